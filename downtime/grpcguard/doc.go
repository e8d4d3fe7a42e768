// Package grpcguard puts a [downtime.Guard] in front of a gRPC server.
//
// One name does it, [New], with the two interceptors that it makes; they stand first,
// so that nothing has begun that a refusal would have to undo:
//
//	i, err := grpcguard.New(guard, nil)
//	srv := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(i.Unary, auth.Unary),
//		grpc.ChainStreamInterceptor(i.Stream, auth.Stream),
//	)
//
// # What is in scope
//
// A gRPC call is an HTTP/2 POST to /package.Service/Method, and that is how windows
// speak of it:
//
//	scope: {paths: ["/orders.v1.Orders/**"]}
//
// A window's methods (POST) and hosts (the call's :authority) hold too, and a window
// without scope is about all calls. The scope's work is about jobs, and has no calls in
// it, not even with "*". Reports name calls by their full method.
//
// In a read-only window the methods pass that only read: those whose definition says
// "option idempotency_level = NO_SIDE_EFFECTS", or what [Options].Classify says.
// Health checks and reflection always pass, and the health service goes on to say
// SERVING: a server in a window is in good health, and a client that is told otherwise
// sends it no calls that could be answered with when to come back.
//
// # What a refused client is told
//
// The status is UNAVAILABLE with the window's message. Its details are a
// google.rpc.RetryInfo, with when to come back, and a google.rpc.ErrorInfo with reason
// MAINTENANCE_WINDOW, domain [Domain] and the metadata window, mode and until (RFC 3339).
//
// The trailer grpc-retry-pushback-ms (gRFC A6) says the same to the client's library,
// which alone acts on it: a client whose service config has a retryPolicy with
// UNAVAILABLE among its retryableStatusCodes waits so long, and then tries again, as
// often as maxAttempts allows. Where waiting is of no use the trailer is -1, and the
// client's call fails at once: when the call's deadline comes first, or when it has no
// deadline and the wait is longer than [Options].MaxWait. An interceptor outside of this
// one must not send or set headers: grpc-go's client retries only what was answered
// by trailers alone.
//
// # Streams
//
// A stream counts as long as its handler runs, and that may be for days. So a window ends
// the streams that it refuses: see [Interceptor.Stream] and [Options].StreamGrace.
//
// # What it guards against, and what it does not
//
// Calls are hostile: nothing of one is echoed, logged, or made the name of anything;
// the methods in reports are those that are registered. What the windows document says
// reaches every caller that it refuses.
//
// A [downtime.Bypass] finds its token in the metadata of its Header's name, and the client
// in the address of the peer, behind proxies in x-forwarded-for. Unlike the Handler of a
// guard the interceptor leaves the token in the metadata: a handler that sends what came
// in on to others sends it too.
//
// A grpc.Server that is served as an http.Handler behind [downtime.Guard.Handler] is
// guarded already: with the interceptor besides, its calls are counted twice.
package grpcguard
