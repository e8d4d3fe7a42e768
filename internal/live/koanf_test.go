package live_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/live"
)

type koanf struct {
	text  string
	tree  map[string]any
	watch chan func(any, error)
	gone  bool
}

func (k *koanf) ReadBytes() ([]byte, error) {
	if k.text == "" {
		return nil, errors.New("provider does not support ReadBytes")
	}
	return []byte(k.text), nil
}

func (k *koanf) Read() (map[string]any, error) {
	if k.tree == nil {
		return nil, errors.New("provider does not support Read")
	}
	return k.tree, nil
}

type watchedKoanf struct{ koanf }

func (k *watchedKoanf) Watch(cb func(event any, err error)) error { k.watch <- cb; return nil }
func (k *watchedKoanf) Unwatch() error                            { k.gone = true; return nil }

func TestKoanf(t *testing.T) {
	t.Parallel()
	tree := map[string]any{
		"app":        map[string]any{"flags": map[string]any{"a": 1}, "text": "a: 1", "bytes": []byte("b: 1")},
		"app.dotted": "found flat",
		"more.than":  map[string]any{"one.dot": "found mixed"},
	}
	for _, c := range []struct {
		provider  koanf
		key, want string
	}{
		{koanf{text: "a: 1"}, "", "a: 1"},
		{koanf{text: "app: {flags: {a: 1}}"}, "app.flags", `{"a":1}`},
		{koanf{text: "app: {flags: 'a: 1'}"}, "app.flags", "a: 1"},
		{koanf{tree: map[string]any{"a": 1}}, "", `{"a":1}`},
		{koanf{tree: tree}, "app.flags", `{"a":1}`},
		{koanf{tree: tree}, "app.text", "a: 1"},
		{koanf{tree: tree}, "app.bytes", "b: 1"},
		{koanf{tree: tree}, "app.dotted", "found flat"},
		{koanf{tree: tree}, "more.than.one.dot", "found mixed"},
	} {
		data, err := live.Koanf(&c.provider, c.key).Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.want, string(data))
	}
	for _, p := range []*koanf{{text: "a: 1"}, {tree: tree}} {
		_, err := live.Koanf(p, "app.nothing").Load(t.Context())
		require.ErrorIs(t, err, os.ErrNotExist)
		require.ErrorContains(t, err, `"app.nothing"`)
	}
	_, err := live.Koanf(&koanf{}, "").Load(t.Context())
	require.ErrorContains(t, err, "does not support")
}

func TestKoanfRings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &watchedKoanf{koanf{text: "one", watch: make(chan func(any, error), 1)}}
		k := start(t, live.Koanf(p, ""), live.Options[string]{Poll: time.Hour})
		require.NoError(t, k.Ready(t.Context()))
		ring := <-p.watch
		synctest.Wait()
		p.text = "two"
		ring(nil, nil)
		time.Sleep(time.Second)
		require.Equal(t, "two", value(k))
		ring(nil, errors.New("lost"))
		again := <-p.watch
		require.NotNil(t, again)
		require.NoError(t, k.Close())
		require.True(t, p.gone)
	})
}
