// Package grpcguard puts a [downtime.Guard] in front of a gRPC server.
//
// [New] returns the two interceptors. Put them first, so that a refused call has not begun
// anything:
//
//	i, err := grpcguard.New(guard, nil)
//	srv := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(i.Unary, auth.Unary),
//		grpc.ChainStreamInterceptor(i.Stream, auth.Stream),
//	)
//
// # Scope
//
// A gRPC call is an HTTP/2 POST to /package.Service/Method. Windows use that path:
//
//	scope: {paths: ["/orders.v1.Orders/**"]}
//
// A window's methods (POST) and hosts (the call's :authority) apply too, and a window
// without scope covers all calls. The scope's work is only for jobs: even "*" does not cover
// calls. Reports name calls by their full method.
//
// A read-only window admits methods that only read: those defined with
// "option idempotency_level = NO_SIDE_EFFECTS", or those that [Options].Classify selects.
// Health checks and reflection always pass, and the health service still answers SERVING,
// because a client that sees an unhealthy server sends it no calls and so never learns when
// to retry.
//
// # Refusals
//
// The status is UNAVAILABLE with the window's message. Its details are a
// google.rpc.RetryInfo with the time to wait, and a google.rpc.ErrorInfo with reason
// MAINTENANCE_WINDOW, domain [Domain] and the metadata window, mode and until (RFC 3339).
//
// The trailer grpc-retry-pushback-ms (gRFC A6) has the same time for the client's library. A
// client acts on it if its service config has a retryPolicy with UNAVAILABLE in
// retryableStatusCodes: it waits, then retries, up to maxAttempts. The trailer is -1, so the
// call fails at once, if the call's deadline comes before the end of the wait, or if the call
// does not have a deadline and the wait is longer than [Options].MaxWait. Interceptors before
// this one must not send or set headers, because grpc-go's client retries only responses that
// consist of trailers alone.
//
// # Streams
//
// A stream counts while its handler runs, which may take days. So a window ends the streams
// that it refuses: see [Interceptor.Stream] and [Options].StreamGrace.
//
// # Hostile input
//
// Nothing of a call is echoed, logged, or used as a name; reports have registered methods
// only. The window's message reaches every refused caller.
//
// A [downtime.Bypass] reads its token from the metadata with its Header's name, and the
// client's address from the peer, or from x-forwarded-for behind proxies. Unlike the Handler of
// a guard, the interceptor leaves the token in the metadata, so a handler that forwards its
// metadata also forwards the token.
//
// A grpc.Server that is served as an http.Handler behind [downtime.Guard.Handler] is already
// guarded. With the interceptor as well, its calls count twice.
package grpcguard
