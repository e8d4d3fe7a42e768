package compat_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version/compat"
)

// A shelf is a source whose document changes.
type shelf struct {
	mu   sync.Mutex
	text string
	err  error
}

func (s *shelf) Name() string { return "compat.yaml" }

func (s *shelf) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.text), s.err
}

func (s *shelf) put(text string, err error) {
	s.mu.Lock()
	s.text, s.err = text, err
	s.mu.Unlock()
	time.Sleep(20 * time.Second) // longer than a poll; in a bubble
}

// A policy follows its document while it is in use. One with faults changes nothing.
func TestOpenPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &shelf{text: "default: [{minimum: v1.4.0}]"}
		p, err := compat.OpenPolicy(t.Context(), src, &compat.Options{Logger: quiet})
		require.NoError(t, err)
		first := p.Revision()
		require.Regexp(t, "^[0-9a-f]{16}$", first)
		require.NoError(t, p.CheckClient("shop/v1.4.3"))
		require.Empty(t, p.Problems())
		require.ErrorContains(t, p.SetRules(compat.Rules{Default: []compat.Rule{{Minimum: "v2.0.0"}}}), "change its document")

		src.put("default: [{minimun: v1.9.0, block: [v1.4.3]}]", nil)
		require.Len(t, p.Problems(), 1)
		require.EqualError(t, p.Problems()[0], `compat.yaml:1:12: default[0]: unknown field "minimun" (did you mean "minimum"?)`)
		var fault *compat.Fault
		require.ErrorAs(t, p.Problems()[0], &fault)
		require.Equal(t, compat.Fault{File: "compat.yaml", Line: 1, Column: 12, Rule: "default[0]", Field: "default[0].minimun", Err: fault.Err}, *fault)
		require.Equal(t, "error", fault.Severity.String())
		src.put("default: [{minimum: latest}]", nil)
		require.EqualError(t, p.Problems()[0],
			`compat.yaml:1:21: default[0].minimum: "latest" is not a version that can be compared: it has no order, because it is a build number, a date or another name`)
		src.put("", errors.New("out of reach"))
		require.EqualError(t, p.Problems()[0], "compat.yaml: out of reach")
		require.NoError(t, p.CheckClient("shop/v1.4.3"), "nothing has changed")
		require.Equal(t, first, p.Revision())
		require.Equal(t, 1.0, p.Stats()["document_updates"])
		require.Equal(t, 1.0, p.Stats()["problems"])
		require.GreaterOrEqual(t, p.Stats()["document_failures"], 3.0)

		src.put("default: [{minimum: v1.4.0, block: [v1.4.3]}]", nil)
		require.Empty(t, p.Problems())
		require.Error(t, p.CheckClient("shop/v1.4.3"))
		require.NotEqual(t, first, p.Revision())
		require.Equal(t, 2.0, p.Stats()["document_updates"])

		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		src.put("default: [{minimum: v9.0.0}]", nil)
		require.NoError(t, p.CheckClient("shop/v1.4.4"), "it is closed, and the rules stay")
	})
}

// The start of a policy takes the source, else the last good copy, else the fallback.
func TestOpenPolicyStart(t *testing.T) {
	t.Parallel()
	lastGood := filepath.Join(t.TempDir(), "compat.last")
	open := func(src compat.Source, opts compat.Options) (*compat.Policy, error) {
		opts.Logger = quiet
		p, err := compat.OpenPolicy(t.Context(), src, &opts)
		if err == nil {
			t.Cleanup(func() { require.NoError(t, p.Close()) })
		}
		return p, err
	}
	_, err := open(nil, compat.Options{})
	require.EqualError(t, err, "compat: the source is nil")
	_, err = open(compat.File(filepath.Join(t.TempDir(), "missing.yaml")), compat.Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = open(compat.Bytes("compat.yaml", []byte("default: [{}]")), compat.Options{})
	var faults compat.Faults
	require.ErrorAs(t, err, &faults)
	require.EqualError(t, err, "compat: compat.yaml:1:11: default[0]: needs one of minimum, require, block, skew and strict")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = compat.OpenPolicy(ended, compat.Bytes("compat.yaml", []byte("default: [{}]")), &compat.Options{Logger: quiet})
	require.Error(t, err)

	good := fstest.MapFS{"compat.yaml": {Data: []byte("default: [{minimum: v1.4.0}]")}}
	p, err := open(compat.FS(good, "compat.yaml"), compat.Options{LastGood: lastGood})
	require.NoError(t, err)
	require.Error(t, p.CheckClient("shop/v1.3.0"))
	require.NoError(t, p.Close()) // the copy is written
	copied, err := os.ReadFile(lastGood)
	require.NoError(t, err)
	require.Equal(t, "default: [{minimum: v1.4.0}]", string(copied))

	missing := compat.FS(fstest.MapFS{}, "compat.yaml")
	fallback := []byte("default: [{minimum: v1.2.0}]")
	p, err = open(missing, compat.Options{LastGood: lastGood, Fallback: fallback})
	require.NoError(t, err)
	require.Error(t, p.CheckClient("shop/v1.3.0"))
	require.ErrorIs(t, p.Problems()[0], fs.ErrNotExist)
	require.Equal(t, -1.0, p.Stats()["document_checked_seconds"])
	p, err = open(missing, compat.Options{Fallback: fallback})
	require.NoError(t, err)
	require.NoError(t, p.CheckClient("shop/v1.3.0"))
	require.Error(t, p.CheckClient("shop/v1.1.0"))
}

// A policy without a source has a revision too, and nothing to close.
func TestFixedPolicy(t *testing.T) {
	t.Parallel()
	p := policy(t, compat.Rule{Minimum: "v1.4.0"})
	before := p.Revision()
	require.Regexp(t, "^[0-9a-f]{16}$", before)
	require.NoError(t, p.SetRules(compat.Rules{Default: []compat.Rule{{Minimum: "v1.5.0"}}}))
	require.NotEqual(t, before, p.Revision())
	require.Empty(t, p.Problems())
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	require.NoError(t, p.SetRules(compat.Rules{Default: []compat.Rule{{Minimum: "v1.4.0"}}}))
	require.Equal(t, before, p.Revision(), "the same rules")
}

// The last good copy of a policy's document in testdata was written by the first version
// that keeps one. Every later version reads it with the same meaning.
func TestLastGood1(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	p, err := compat.OpenPolicy(t.Context(), compat.FS(fstest.MapFS{}, "compat.yaml"), &compat.Options{
		LastGood: "testdata/lastgood1.yaml", Self: "v1.35.0", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	defer p.Close()
	require.EqualError(t, p.CheckClient("shop/v1.4.3"), "compat: shop v1.4.3 is blocked; needed is >=1.4.0, not v1.4.3, not build-7: orders lose their currency")
	require.EqualError(t, p.CheckClient("kubelet/v1.31.0"), "compat: kubelet v1.31.0 is 4 minor versions older, and may be 3; needed is 1.32 to 1.35")
	require.NoError(t, p.CheckClient("ops/v0.0.1"))
}
