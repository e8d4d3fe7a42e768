// Package tail keeps the log records of a request that are below the level, and writes
// them only if the request fails.
//
// [New] wraps any slog.Handler. [Handler.Start] begins a [Tail]: the records below the
// level that are logged with its context wait in memory. [Tail.End] writes or forgets
// them:
//
//	h, err := tail.New(slog.NewJSONHandler(os.Stderr, nil), nil)
//	logger := slog.New(h)
//
//	ctx, t := h.Start(ctx, "GET /users/{id}")
//	logger.DebugContext(ctx, "read the cache", "hit", false)
//	t.End(err != nil)
//
// Package observe does this for each request and job.
//
// A record is kept as it was logged: time, level, source line, attributes and groups; and so
// is its context. Values that are not a bool, number, string, time or duration are rendered
// when they are logged, as the wrapped slog.TextHandler would, or else as JSON. So a value may
// be changed later, and a LogValuer is asked once, in the goroutine that logs.
//
// # Bounds
//
// Each record counts with the bytes of its message, keys and values, 40 more, and 16 more
// for each attribute; in memory it takes up to three times that. A tail keeps 20 KiB and
// all tails of a handler 16 MiB. In a full tail the oldest records give way. When all of
// them are full, the tails that have waited longest give way, except for the first of each
// name. Texts are cut to 1 KiB. Attributes beyond 4 KiB of a record, or beyond 2 KiB of
// its logger's With, are left out and counted in the attribute "attrs_left".
package tail
