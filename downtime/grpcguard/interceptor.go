package grpcguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/upkeep-go/upkeep/downtime"
)

// An Interceptor stands in front of a gRPC server's methods: a call in the scope of a
// window is refused while the window is in progress, and counted otherwise until its
// handler returns or panics. Its methods may be called from any goroutine.
type Interceptor struct {
	guard    *downtime.Guard
	services map[string]bool // that pass, as "/package.Service/"
	methods  map[string]bool // that pass, as "/package.Service/Method"
	classify func(string) downtime.Effect
	long     func(string) bool
	maxWait  time.Duration
	grace    time.Duration // negative: streams are not ended

	known sync.Map // full method: *method
}

// Options of an [Interceptor]. Nil options are the defaults.
type Options struct {
	// Pass lists what always passes, is never counted and never refused: methods,
	// "/orders.v1.Orders/Get", and whole services, "/orders.v1.Orders/". Nil:
	// [DefaultPass]. Empty but not nil: nothing.
	Pass []string

	// Classify says what a method, "/orders.v1.Orders/Get", does. It is asked at most a few
	// times for each. Nil: [Idempotency].
	Classify func(fullMethod string) downtime.Effect

	// Long says whether a method takes long, and is therefore refused from a window's
	// cutoff on. It is asked as seldom as Classify. Nil: none does.
	Long func(fullMethod string) bool

	// MaxWait is how long a client may be told to wait that has set no deadline: with a
	// longer wait its call fails at once, for nobody may be there to see that it hangs.
	// A client with a deadline has said how long it waits. 0: 1 min. Negative: never.
	MaxWait time.Duration

	// StreamGrace is how long a stream may go on when a window that refuses it has begun,
	// from the moment on that [downtime.Options].StreamJitter gives it: time for short ones to
	// come to their own end. Then its context ends. 0: 10 s. Negative: it never does, and
	// nothing is quiet before clients or handlers end their streams.
	StreamGrace time.Duration
}

// DefaultPass returns what passes by default: the services of health checking and
// reflection. Without the first, whoever balances load takes the server away, and the
// answer with it. The slice is the caller's, to append to.
func DefaultPass() []string {
	return []string{
		"/grpc.health.v1.Health/",
		"/grpc.reflection.v1.ServerReflection/",
		"/grpc.reflection.v1alpha.ServerReflection/",
	}
}

// New makes the interceptor of a guard. An error is a nil guard, or nonsense in the
// options.
func New(g *downtime.Guard, opts *Options) (*Interceptor, error) {
	if g == nil {
		return nil, errors.New("grpcguard: the guard is nil")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	i := &Interceptor{
		guard:    g,
		services: map[string]bool{},
		methods:  map[string]bool{},
		classify: o.Classify,
		long:     o.Long,
		maxWait:  cmp.Or(o.MaxWait, time.Minute),
		grace:    cmp.Or(o.StreamGrace, 10*time.Second),
	}
	if i.classify == nil {
		i.classify = Idempotency
	}
	if o.Pass == nil {
		o.Pass = DefaultPass()
	}
	for n, name := range o.Pass {
		service, rest, ok := cut(name)
		switch {
		case !ok || strings.Contains(rest, "/"):
			return nil, fmt.Errorf(`grpcguard: Options.Pass[%d]: must be a method, "/package.Service/Method", or a service, "/package.Service/", got %q`, n, name)
		case rest == "":
			i.services[service] = true
		default:
			i.methods[name] = true
		}
	}
	return i, nil
}

// cut takes "/package.Service/Method" apart into "/package.Service/" and "Method".
func cut(fullMethod string) (service, name string, ok bool) {
	rest, ok := strings.CutPrefix(fullMethod, "/")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 1 {
		return "", "", false
	}
	return fullMethod[:slash+2], rest[slash+1:], true
}

// Unary is a grpc.UnaryServerInterceptor. When [downtime.Options].Grace is over, a window ends the
// call's context; the error that the handler then returns becomes the status of a refusal.
func (i *Interceptor) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	m := i.method(info.FullMethod)
	if m.pass {
		return handler(ctx, req)
	}
	entered, leave, err := i.guard.EnterContext(ctx, m.work(ctx))
	if err != nil {
		return nil, i.refusal(ctx, err, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) })
	}
	defer leave()
	resp, err := handler(entered, req)
	var refused *downtime.UnavailableError
	if err != nil && errors.As(context.Cause(entered), &refused) {
		return nil, i.refusal(ctx, refused, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) })
	}
	return resp, err
}

// Stream is a grpc.StreamServerInterceptor. A stream counts until its handler returns.
//
// When a window begins that refuses it, the stream goes on for [Options].StreamGrace. Then
// its context ends, with an error as cause that is [downtime.ErrWindow], and where the client
// streams, receiving gives the status of a refusal. That is what the client gets
// when the handler then returns an error; nil ends the stream well. A handler that looks
// at neither, or that sends to a client which does not receive, goes on: it counts, and
// [downtime.Guard.Report] names its method.
func (i *Interceptor) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := ss.Context()
	m := i.streamMethod(srv, info.FullMethod)
	if m.pass {
		return handler(srv, ss)
	}
	work := m.work(ctx)
	work.Stream = i.grace >= 0
	entered, leave, err := i.guard.EnterContext(ctx, work)
	if err != nil {
		return i.refusal(ctx, err, ss.SetTrailer)
	}
	defer leave()
	if !work.Stream {
		return handler(srv, &enteredStream{ss, entered})
	}
	s := i.newStream(ss, entered, info.IsClientStream)
	defer s.close()
	err = handler(srv, s)
	if refused := s.endedBy(); refused != nil && err != nil {
		return i.refusal(ctx, refused, ss.SetTrailer)
	}
	return err
}

// A method is what is known of one before any call.
type method struct {
	name   string // for reports
	url    *url.URL
	effect downtime.Effect
	long   bool
	pass   bool
}

// nameUnknown is what reports call the methods that are not registered, of which clients
// invent the names.
const nameUnknown = "grpc"

// method returns what is known of a method that is registered, and so one of few.
func (i *Interceptor) method(fullMethod string) *method {
	if m, ok := i.known.Load(fullMethod); ok {
		return m.(*method)
	}
	m, _ := i.known.LoadOrStore(fullMethod, i.newMethod(fullMethod, fullMethod))
	return m.(*method)
}

// streamMethod is method for streams, also those of grpc.UnknownServiceHandler, which
// belong to no service.
func (i *Interceptor) streamMethod(srv any, fullMethod string) *method {
	if srv == nil {
		return i.newMethod(nameUnknown, fullMethod)
	}
	return i.method(fullMethod)
}

func (i *Interceptor) newMethod(name, fullMethod string) *method {
	service, _, _ := cut(fullMethod)
	return &method{
		name:   cmp.Or(name, nameUnknown),
		url:    &url.URL{Path: fullMethod},
		effect: i.classify(fullMethod),
		long:   i.long != nil && i.long(fullMethod),
		pass:   i.methods[fullMethod] || i.services[service],
	}
}

// work is a call as the guard sees it: the POST that it is, with its metadata for headers.
func (m *method) work(ctx context.Context) downtime.Work {
	r := &http.Request{Method: http.MethodPost, URL: m.url, Proto: "HTTP/2.0", ProtoMajor: 2}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		r.Header = make(http.Header, len(md))
		for key, values := range md {
			switch {
			case key == ":authority" && len(values) > 0:
				r.Host = values[0]
			case key != "" && key[0] != ':':
				r.Header[http.CanonicalHeaderKey(key)] = values
			}
		}
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.RemoteAddr = p.Addr.String()
	}
	return downtime.Work{Name: m.name, Effect: m.effect, Long: m.long, Request: r}
}
