package observe_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The stack of a panic is the last attribute: a reader finds the ids without scrolling.
func TestIdsComeBeforeTheStack(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(k *rig){
		"request": func(k *rig) {
			k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })), "GET", "/")
		},
		"job": func(k *rig) {
			_ = k.obs.Do(context.Background(), "job", func(context.Context) error { panic("boom") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, nil)
			fail(k)
			text := k.logs.String()
			stack := strings.Index(text, `"stack":`)
			require.Positive(t, stack, text)
			for _, key := range []string{`"request_id":`, `"trace_id":`, `"span_id":`, `"error":`} {
				at := strings.Index(text, key)
				require.Positive(t, at, "%s in %s", key, text)
				require.Less(t, at, stack, key)
				require.Equal(t, 1, strings.Count(text, key), key)
			}
		})
	}
}
