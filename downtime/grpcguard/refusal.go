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

// The domain and the reason in the google.rpc.ErrorInfo of a refusal.
const (
	Domain = "github.com/upkeep-go/upkeep/downtime"
	Reason = "MAINTENANCE_WINDOW"
)

// pushback is the trailer of gRFC A6: the milliseconds to wait before the next attempt.
// Negative means that the client must not retry.
const pushback = "grpc-retry-pushback-ms"

// maxMessage bounds the window's message in a status, in bytes. It is sent in trailers, and
// some clients accept only 8 KB of them.
const maxMessage = 1024

// refusal returns the status of a refused call and sets the call's trailer.
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

// wait returns the value of the trailer in milliseconds. It rounds up, because a client that
// retries too early is refused again.
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

func clip(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
}
