package replay_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// The note counts for the bundle and the request that it was written for, and for no other.
func TestTheNoteOfAReproducedFailureIsOfOneBundle(t *testing.T) {
	t.Parallel()
	path, other := incident(t), incident(t)
	require.Len(t, play(t, replay.Options{}, path, broken).errors, 1)
	note, err := os.ReadFile(path + ".red")
	require.NoError(t, err)
	require.NotContains(t, string(note), "ann")

	require.NoError(t, os.WriteFile(other+".red", note, 0o600))
	d := play(t, replay.Options{}, other, repaired)
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], ".red is about another bundle, or another redaction of this one. ")

	// Something else is put back than when it failed.
	prepare := func(r *http.Request) { r.Header.Set("Authorization", "Bearer of-bob") }
	d = play(t, replay.Options{Prepare: prepare}, path, repaired)
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], ".red is about a request with other parts hidden, by Options.Prepare. ")
	require.Empty(t, play(t, replay.Options{}, path, repaired).errors)

	for content, want := range map[string]string{
		"":                         "EOF",
		"{}":                       "bundle: not a SHA-256 digest in hexadecimal",
		`{"bundel":1}`:             `unknown field "bundel"`,
		string(note) + "{}":        "more than one JSON value",
		strings.Repeat(" ", 2<<20): "are too many",
	} {
		require.NoError(t, os.WriteFile(path+".red", []byte(content), 0o600))
		d := play(t, replay.Options{}, path, repaired)
		require.Len(t, d.errors, 1)
		require.Contains(t, d.errors[0], "The note that it was reproduced cannot be read: ")
		require.Contains(t, d.errors[0], want)
	}
	require.Len(t, play(t, replay.Options{}, path, broken).errors, 1)
	require.Empty(t, play(t, replay.Options{}, path, repaired).errors, "a broken note is written anew")
}

// A failure that is not the recorded one, or a pass, writes no note.
func TestOnlyAReproducedFailureIsNoted(t *testing.T) {
	t.Parallel()
	path := incident(t)
	for _, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) },
		func(w http.ResponseWriter, _ *http.Request) { panic("other") },
		func(w http.ResponseWriter, _ *http.Request) {},
	} {
		require.Len(t, play(t, replay.Options{}, path, func(*replay.Case) http.Handler { return h }).errors, 1)
		require.NoFileExists(t, path+".red")
	}
	require.Empty(t, play(t, replay.Options{AsRecorded: true, Ignore: []string{"*"}}, answered(t), func(*replay.Case) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	}).errors)
}

// answered is the bundle of a 500 without a panic.
func answered(t *testing.T) string {
	t.Helper()
	p := newProduction(t, capture.Redaction{})
	return p.capture(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), order(""))
}

// A folder that cannot be written to does not change the verdict, and the log says so.
func TestAReadOnlyFolder(t *testing.T) {
	t.Parallel()
	path := incident(t)
	require.NoError(t, os.Mkdir(path+".red", 0o700)) // also for root, who may write everywhere
	require.NoError(t, os.WriteFile(filepath.Join(path+".red", "x"), nil, 0o600))
	d := play(t, replay.Options{}, path, broken)
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], "verdict: reproduced")
	require.Contains(t, d.said(), "it is not noted that the failure was reproduced, so a fix may stay inconclusive: ")
}

// FuzzRed: no note breaks the reader.
func FuzzRed(f *testing.F) {
	f.Add([]byte(`{"bundle":"` + strings.Repeat("0", 64) + `","hidden":["host"],"build":"shop v2","of":"shop v1","failure":"status 500","time":"2026-03-14T15:09:26Z"}`))
	f.Add([]byte("{}"))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle, err := replay.ParseRed(data)
		if err == nil {
			require.Len(t, bundle, 64)
		}
	})
}
