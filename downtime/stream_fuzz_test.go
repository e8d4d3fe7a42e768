package downtime_test

import (
	"mime"
	"testing"

	"github.com/upkeep-go/upkeep/downtime"
)

// Package mime is the oracle where it can parse a type at all.
func FuzzStreamType(f *testing.F) {
	for _, seed := range []string{
		"", "text/event-stream", "Text/Event-Stream; charset=utf-8", "text/event-stream;;", " application/json-seq\t;x",
		"multipart/x-mixed-replace; boundary=\"a;b\"", "text/csv", "text/event-stream-x", "text/event-stream, text/csv", "-;text/event-stream", "é-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, contentType string) {
		is := downtime.IsStreamType(contentType)
		media, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return
		}
		want := media == "text/event-stream" || media == "multipart/x-mixed-replace" || media == "application/json-seq"
		if is != want {
			t.Fatalf("%q: %v, by package mime %q", contentType, is, media)
		}
	})
}
