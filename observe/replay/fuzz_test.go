package replay_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// FuzzRun: whatever file is taken for a bundle, its replay ends with a verdict.
func FuzzRun(f *testing.F) {
	for _, data := range []string{
		`{"log":{"version":"1.2","entries":[{"request":{"method":"GET","url":"http://x/"},"response":{"status":200}}]}}`,
		`{"log":{"version":"1.2","_upkeep":{"schema":1,"reason":"panicked","panic":{"type":"x","text":"y","stack":"panic\n\ta.go:1\nmain.f\n\ta.go:2\n"},"redaction":{"rules":{"json":["$.a"],"urls":["/a/{b}"]}},
			"flags":[{"key":"a","type":"int","value":1},{"key":"a","value":"x","errorCode":"PARSE_ERROR"}],"values":[{"name":"a","result":{"b":1}},{"name":"a","ordinal":1,"error":["EOF"]}]},
			"entries":[{"request":{"method":"POST","url":"https://x/a%2Fb?c=d","postData":{"mimeType":"application/json","text":"{\"a\":[1]}"}},"response":{"status":500,"headers":[{"name":"Content-Type","value":"application/json"}],"content":{"text":"{\"a\":[1,{\"b\":2}]}"}}},
			{"request":{"method":"GET","url":"//a/x?y=z"},"response":{"status":200,"content":{"text":"_","encoding":"base64"}}},{"request":{"method":"GET","url":"x:y"},"_upkeep":{"error":["i/o timeout"]}}]}}`,
		`{"log":{"version":"1.2","_upkeep":{"redaction":{"key":"x","rules":{"json":["nonsense"]}}},"entries":[{"request":{"method":"GET","url":"%41"}}]}}`,
	} {
		f.Add([]byte(data))
	}
	path := filepath.Join(f.TempDir(), "case.har")
	build := func(c *replay.Case) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			_, _ = io.Copy(w, r.Body)
			_, _ = observe.Value(ctx, "a", func(context.Context) (int, error) { return 1, nil })
			_, _ = observe.Value(ctx, "a", func(context.Context) (string, error) { return "", nil })
			c.FlagClient().Int(ctx, "a", 0, openfeature.NewEvaluationContext("ann", nil))
			c.FlagClient().Object(ctx, "a", nil, openfeature.EvaluationContext{})
			for _, url := range []string{"http://a/x?y=z", "http://desk/"} {
				req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
				if resp, err := c.HTTPClient().Do(req); err == nil {
					_, _ = io.Copy(w, resp.Body)
					_ = resp.Body.Close()
				}
			}
			if r.ContentLength > 3 {
				panic(r.URL)
			}
		})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		for _, o := range []replay.Options{{}, {Strict: true, AsRecorded: true}} {
			d := &desk{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				o.Run(d, path, build)
			}()
			<-done
			if d.fatal == "" {
				require.NotEmpty(t, d.said())
			} else if _, err := capture.Parse("", data); err == nil {
				require.Contains(t, d.fatal, "capture: Redaction.")
			}
		}
	})
}
