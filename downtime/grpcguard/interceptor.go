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

// An Interceptor guards a gRPC server's methods. It refuses a call in the scope of a window
// while the window is in progress. It counts every other call until its handler returns or
// panics. It is safe for concurrent use.
type Interceptor struct {
	guard    *downtime.Guard
	services map[string]bool // services that always pass, as "/package.Service/"
	methods  map[string]bool // methods that always pass, as "/package.Service/Method"
	classify func(string) downtime.Effect
	long     func(string) bool
	maxWait  time.Duration
	grace    time.Duration // negative means that streams are not ended

	cache sync.Map // from full method to *method
}

// Options of an [Interceptor]. Nil options are the defaults.
type Options struct {
	// Pass lists methods ("/orders.v1.Orders/Get") and whole services ("/orders.v1.Orders/")
	// that are never counted or refused. Nil means [DefaultPass]. Empty and not nil means
	// nothing.
	Pass []string

	// Classify returns the effect of a method, such as "/orders.v1.Orders/Get". It is called at
	// most a few times for each method. Nil means [Idempotency].
	Classify func(fullMethod string) downtime.Effect

	// Long reports whether a method takes long, so that it is refused from a window's cutoff
	// on. It is called as rarely as Classify. Nil means that no method takes long.
	Long func(fullMethod string) bool

	// MaxWait is the longest wait that the trailer asks of a client without a deadline. With a
	// longer wait the call fails at once, because otherwise it would hang unnoticed. A client
	// with a deadline has set its own limit. Zero means one minute. Negative means that a
	// client without a deadline never waits.
	MaxWait time.Duration

	// StreamGrace is how long a stream may continue after a window that refuses it has begun,
	// counted from the moment that [downtime.Options].StreamJitter chooses. Short streams can
	// end by themselves in that time. Then the stream's context ends. Zero means 10 seconds.
	// Negative means never: then the scope is not quiet before clients or handlers end their
	// streams.
	StreamGrace time.Duration
}

// DefaultPass returns the services that pass by default: health checking and reflection.
// Without health checking, a load balancer would remove the server, and clients would not
// get the refusal with its time to wait. The caller may change the slice.
func DefaultPass() []string {
	return []string{
		"/grpc.health.v1.Health/",
		"/grpc.reflection.v1.ServerReflection/",
		"/grpc.reflection.v1alpha.ServerReflection/",
	}
}

// New returns the interceptor of a guard. It returns an error if the guard is nil or
// Options.Pass is invalid.
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

// cut splits "/package.Service/Method" into "/package.Service/" and "Method".
func cut(fullMethod string) (service, name string, ok bool) {
	rest, ok := strings.CutPrefix(fullMethod, "/")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 1 {
		return "", "", false
	}
	return fullMethod[:slash+2], rest[slash+1:], true
}

// Unary is a grpc.UnaryServerInterceptor. A window ends the context of a running call when
// [downtime.Options].Grace is over. If the handler then returns an error, the client gets the
// status of a refusal instead.
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
// A stream that a window refuses continues for [Options].StreamGrace after the window's begin.
// Then its context ends, with a cause that matches [downtime.ErrWindow], and RecvMsg of a client
// stream returns the status of a refusal. The client gets that status if the handler then returns
// an error; if it returns nil, the stream ends normally. A handler that ignores both, or that is
// blocked in a send to a client that does not receive, continues: it counts, and
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

// A method has the properties of a method that do not depend on a call.
type method struct {
	name   string // for reports
	url    *url.URL
	effect downtime.Effect
	long   bool
	pass   bool
}

// nameUnknown is the name in reports for unregistered methods, because clients choose the names
// of those.
const nameUnknown = "grpc"

// method returns a registered method. Only registered ones may be cached: there are few.
func (i *Interceptor) method(fullMethod string) *method {
	if m, ok := i.cache.Load(fullMethod); ok {
		return m.(*method)
	}
	m, _ := i.cache.LoadOrStore(fullMethod, i.newMethod(fullMethod, fullMethod))
	return m.(*method)
}

// streamMethod is method for streams. srv is nil for grpc.UnknownServiceHandler, which serves
// unregistered methods.
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

// work returns a call as work of the guard: a POST request, with the metadata as headers.
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
