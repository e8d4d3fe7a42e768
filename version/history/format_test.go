package history_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// The files in testdata/format1 were written by the first version of this package. They
// never change: each later version must read the same meaning from them.
const format1 = "testdata/format1"

func TestFormat1(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		rejected float64
	}{
		{"history", 1}, // all kinds, a reporter with a wrong clock, a repeated id, an invalid line, an incomplete last line
		{"folded", 0},  // was rewritten because it was too long
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				data, err := os.ReadFile(filepath.Join(format1, test.name+".jsonl"))
				require.NoError(t, err)
				s, path := fileIn(t, nil)
				require.NoError(t, os.WriteFile(path, data, 0o600))
				time.Sleep(24 * time.Hour)

				hasMeaning(t, s, test.name)
				require.Equal(t, test.rejected, s.Stats()["rejected_lines"])

				// An append changes nothing that is in it.
				before := len(timeline(t, s).Items)
				require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "later"}))
				items := timeline(t, s).Items
				require.Len(t, items, before+1)
			})
		})
	}
}

// TestFormat1Report sends a request of a reporter of the first version.
func TestFormat1Report(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data, err := os.ReadFile(filepath.Join(format1, "reported.jsonl"))
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		s := new(memory)
		c := newCollector(t, s, nil)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(data))
		r.Header.Set("Content-Type", "application/x-ndjson")
		r.Header.Set("Authorization", "ci")
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		require.JSONEq(t, `{"accepted": 3}`, w.Body.String())
		hasMeaning(t, s, "reported")
	})
}

// hasMeaning requires that the answers are those of the first version of this package for the
// same data.
func hasMeaning(t *testing.T, s history.Store, name string) {
	t.Helper()
	entries, err := s.Entries(t.Context())
	require.NoError(t, err)
	got, err := json.MarshalIndent(entries, "", "\t")
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(format1, name+".entries.json"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got)+"\n")
	want, err = os.ReadFile(filepath.Join(format1, name+".timeline.txt"))
	require.NoError(t, err)
	require.Equal(t, string(want), timeline(t, s).String()+"\n")
}
