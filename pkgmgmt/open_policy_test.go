package pkgmgmt_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

var silent = slog.New(slog.DiscardHandler)

// A shelf is a source with a document that changes.
type shelf struct {
	mu   sync.Mutex
	text string
	err  error
}

func (s *shelf) Name() string { return "packages.yaml" }

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

// old is a program with an old version of a module.
var old = &debug.BuildInfo{
	Path: "corp.example/shop", Main: debug.Module{Path: "corp.example/shop"},
	Deps: []*debug.Module{{Path: "a.example/x", Version: "v1.0.0"}},
}

// A policy follows its document while it is in use. A document with a fault changes nothing.
func TestOpenPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &shelf{text: `rules: [{module: a.example/x, require: ">=2"}]`}
		pol, err := pkgmgmt.OpenPolicy(t.Context(), src, &pkgmgmt.PolicyOptions{Logger: silent})
		require.NoError(t, err)
		first := pol.Revision()
		require.Regexp(t, "^[0-9a-f]{16}$", first)
		require.Len(t, pol.Check(old), 1)
		require.Empty(t, pol.Problems())

		src.put(`{rules: [{module: a.example/x, requir: ">=1"}], forbidReplace: true}`, nil)
		require.Len(t, pol.Problems(), 1)
		require.EqualError(t, pol.Problems()[0], `packages.yaml:1:32: rule "a.example/x": unknown field "requir" (did you mean "require"?)`)
		var fault *pkgmgmt.Fault
		require.ErrorAs(t, pol.Problems()[0], &fault)
		require.Equal(t, pkgmgmt.Fault{File: "packages.yaml", Line: 1, Column: 32, Rule: "a.example/x", Field: "requir", Err: fault.Err}, *fault)
		require.Equal(t, "error", fault.Severity.String())
		src.put("", errors.New("out of reach"))
		require.EqualError(t, pol.Problems()[0], "packages.yaml: out of reach")
		src.put("{}\n", nil)
		require.Empty(t, pol.Problems())
		require.Empty(t, pol.Check(old), "a policy may shrink to nothing, as its author says")
		src.put("null\n", nil)
		require.Len(t, pol.Problems(), 1, "what says nothing is no policy")
		require.Equal(t, 2.0, pol.Stats()["document_updates"])
		require.Equal(t, 1.0, pol.Stats()["problems"])
		require.GreaterOrEqual(t, pol.Stats()["document_failures"], 3.0)

		src.put(`rules: [{module: a.example/x, deny: archived}]`, nil)
		require.Equal(t, pkgmgmt.RuleDeny, pol.Check(old)[0].Rule)
		require.Equal(t, pkgmgmt.RuleDeny, pol.CheckWith(t.Context(), old, pkgmgmt.ModuleSources{})[0].Rule)
		require.NotEqual(t, first, pol.Revision())
		f, err := pkgmgmt.NewFleet([]pkgmgmt.Target{{Service: "shop", BuildInfo: old}}, &pkgmgmt.FleetOptions{Policy: pol})
		require.NoError(t, err)
		require.Equal(t, pkgmgmt.FleetVerdictOutside, f.Collect(t.Context()).Worst())
		src.put(`{}`, nil)
		require.Equal(t, pkgmgmt.FleetVerdictFine, f.Collect(t.Context()).Worst(), "a fleet sees the change, too")

		require.NoError(t, pol.Close())
		require.NoError(t, pol.Close())
		src.put(`rules: [{module: a.example/x, deny: archived}]`, nil)
		require.Empty(t, pol.Check(old), "it is closed, and the rules stay")
	})
}

// The start of a policy takes the source, else the last good copy, else the fallback.
func TestOpenPolicyStart(t *testing.T) {
	t.Parallel()
	lastGood := filepath.Join(t.TempDir(), "packages.last")
	open := func(src pkgmgmt.Source, opts pkgmgmt.PolicyOptions) (*pkgmgmt.Policy, error) {
		opts.Logger = silent
		pol, err := pkgmgmt.OpenPolicy(t.Context(), src, &opts)
		if err == nil {
			t.Cleanup(func() { require.NoError(t, pol.Close()) })
		}
		return pol, err
	}
	_, err := open(nil, pkgmgmt.PolicyOptions{})
	require.EqualError(t, err, "pkgmgmt: the source is nil")
	_, err = open(pkgmgmt.File(filepath.Join(t.TempDir(), "missing.yaml")), pkgmgmt.PolicyOptions{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = open(pkgmgmt.Bytes("packages.yaml", []byte("rules: [{}]")), pkgmgmt.PolicyOptions{})
	var faults pkgmgmt.Faults
	require.ErrorAs(t, err, &faults)
	require.EqualError(t, err, "pkgmgmt: packages.yaml:1:9: rules[0].module: is required")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = pkgmgmt.OpenPolicy(ended, pkgmgmt.Bytes("packages.yaml", []byte("rules: [{}]")), &pkgmgmt.PolicyOptions{Logger: silent})
	require.Error(t, err)

	const deny = "rules: [{module: a.example/x, deny: archived}]"
	pol, err := open(pkgmgmt.FS(fstest.MapFS{"packages.yaml": {Data: []byte(deny)}}, "packages.yaml"), pkgmgmt.PolicyOptions{LastGood: lastGood})
	require.NoError(t, err)
	require.Len(t, pol.Check(old), 1)
	require.NoError(t, pol.Close()) // the copy is written
	copied, err := os.ReadFile(lastGood)
	require.NoError(t, err)
	require.Equal(t, deny, string(copied))

	missing := pkgmgmt.FS(fstest.MapFS{}, "packages.yaml")
	pol, err = open(missing, pkgmgmt.PolicyOptions{LastGood: lastGood, Fallback: []byte("{}")})
	require.NoError(t, err)
	require.Len(t, pol.Check(old), 1)
	require.ErrorIs(t, pol.Problems()[0], fs.ErrNotExist)
	require.Equal(t, -1.0, pol.Stats()["document_checked_seconds"])
	pol, err = open(missing, pkgmgmt.PolicyOptions{Fallback: []byte("{}")})
	require.NoError(t, err)
	require.Empty(t, pol.Check(old))
}

// A policy without a source has a revision too, and nothing to close.
func TestParsedPolicy(t *testing.T) {
	t.Parallel()
	pol := parse(t, "rules: [{module: a.example/x, deny: archived}]")
	require.Regexp(t, "^[0-9a-f]{16}$", pol.Revision())
	require.NotEqual(t, pol.Revision(), parse(t, "{}").Revision())
	require.Empty(t, pol.Problems())
	require.Empty(t, pol.Stats())
	require.NoError(t, pol.Close())
	require.NoError(t, pol.Close())
	require.Len(t, pol.Check(old), 1)
}
