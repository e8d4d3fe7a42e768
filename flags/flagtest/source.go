package flagtest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/flags"
)

// patience bounds each wait.
const patience = 10 * time.Second

// Source tests an implementation of flags.Source, and of flags.Watcher if it is one. For each subtest,
// open makes a source whose document does not exist yet, and write creates or changes that document; a
// nil document removes it. A failure names the rule that is broken.
func Source(t *testing.T, open func(t *testing.T) (src flags.Source, write func(doc []byte))) {
	t.Run("a missing document", func(t *testing.T) {
		src, _ := open(t)
		if _, err := load(t, src); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load without a document gives the error %v; it must be fs.ErrNotExist by errors.Is", err)
		}
	})
	t.Run("a document and its changes", func(t *testing.T) {
		src, write := open(t)
		for _, doc := range [][]byte{[]byte("flags: {}"), []byte("flags: {a: {variants: {b: 1}}}"), {}} {
			write(doc)
			got, err := load(t, src)
			if err != nil || !bytes.Equal(got, doc) {
				t.Errorf("Load after the document was made %q gives %q and the error %v", doc, got, err)
			}
		}
		write([]byte("flags: {}"))
		first, err := load(t, src)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		clear(first)
		if again, _ := load(t, src); !bytes.Equal(again, []byte("flags: {}")) {
			t.Errorf("The bytes that Load returns are the caller's: after the caller has cleared them, Load gives %q", again)
		}
		write(nil)
		if _, err := load(t, src); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load of a document that was removed gives the error %v; it must be fs.ErrNotExist by errors.Is", err)
		}
	})
	t.Run("a context that has ended", func(t *testing.T) {
		src, write := open(t)
		write([]byte("flags: {}"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		within(t, "Load must return soon once its context has ended", func() { _, _ = src.Load(ctx) })
	})
	t.Run("watching", func(t *testing.T) {
		src, write := open(t)
		watcher, ok := src.(flags.Watcher)
		if !ok {
			t.Skip("the source is not a flags.Watcher")
		}
		write([]byte("flags: {}"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		rings := make(chan struct{}, 1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = watcher.Watch(ctx, func() {
				select {
				case rings <- struct{}{}:
				default:
				}
			})
		}()
		// A watch may miss changes before it has started, so the document changes repeatedly.
		within(t, "Watch must call changed when the document changes", func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				write(bytes.Repeat([]byte("#\n"), i%100+1))
				select {
				case <-rings:
					return
				case <-tick.C:
				}
			}
		})
		cancel()
		within(t, "Watch must return when its context ends", func() { <-ended })
	})
}

func load(t *testing.T, src flags.Source) (doc []byte, err error) {
	t.Helper()
	within(t, "Load must return", func() { doc, err = src.Load(t.Context()) })
	return doc, err
}

// within fails the test if do takes too long.
func within(t *testing.T, rule string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		t.Fatalf("%s, but it did not within %v", rule, patience)
	}
}
