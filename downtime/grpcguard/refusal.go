package grpcguard

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/upkeep-go/upkeep/downtime"
)

// What a refusal's google.rpc.ErrorInfo says.
const (
	Domain = "github.com/upkeep-go/upkeep/downtime"
	Reason = "MAINTENANCE_WINDOW"
)

// pushback is the trailer of gRFC A6: how many milliseconds to wait before the next
// try; what is negative says not to try again.
const pushback = "grpc-retry-pushback-ms"

// maxMessage bounds what is sent of a window's message, in bytes: it travels in trailers,
// of which clients take 8 KB at least.
const maxMessage = 1024

// refusal is the status of a call that was not admitted, of which the trailer is set.
func (i *Interceptor) refusal(ctx context.Context, err error, setTrailer func(metadata.MD)) error {
	var refused *downtime.UnavailableError
	switch {
	case errors.As(err, &refused):
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	default:
		return status.Error(codes.Unavailable, err.Error())
	}
	setTrailer(metadata.Pairs(pushback, strconv.FormatInt(i.wait(ctx, refused.RetryAfter), 10)))
	info := &errdetails.ErrorInfo{Reason: Reason, Domain: Domain, Metadata: map[string]string{"mode": refused.Mode.String()}}
	if refused.Window != "" {
		info.Metadata["window"] = refused.Window
	}
	if !refused.Until.IsZero() {
		info.Metadata["until"] = refused.Until.UTC().Format(time.RFC3339)
	}
	plain := status.New(codes.Unavailable, clip(refused.Reason))
	full, err := plain.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(refused.RetryAfter)}, info)
	if err != nil {
		return plain.Err()
	}
	return full.Err()
}

// wait is what the client's library is told, in milliseconds: never less than the
// wait, for a client that comes too early is refused again.
func (i *Interceptor) wait(ctx context.Context, wait time.Duration) int64 {
	most := i.maxWait
	if deadline, ok := ctx.Deadline(); ok {
		most = time.Until(deadline)
	}
	if wait > most {
		return -1
	}
	return int64((wait + time.Millisecond - 1) / time.Millisecond)
}

// clip cuts a text to maxMessage.
func clip(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
}
