package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// The dumps in testdata/format1 are of tables that the first version of package history created
// and filled. They never change: each later version must read the same meaning from them.
const format1 = "testdata/format1"

func TestFormat1(t *testing.T) {
	onEach(t, func(t *testing.T, b *backend) {
		file := func(name string) string {
			data, err := os.ReadFile(filepath.Join(format1, name))
			require.NoError(t, err)
			return string(data)
		}
		_, err := b.db.ExecContext(t.Context(), file(string(b.dialect)+".sql"))
		require.NoError(t, err)

		s := b.store(nil)
		entries, err := s.Entries(t.Context())
		require.NoError(t, err)
		got, err := json.MarshalIndent(entries, "", "\t")
		require.NoError(t, err)
		require.Equal(t, file(string(b.dialect)+".entries.json"), string(got)+"\n")
		list, err := history.Timeline(t.Context(), s, time.Time{}, time.Time{})
		require.NoError(t, err)
		require.Equal(t, file("timeline.txt"), list.String()+"\n")
		require.Zero(t, s.Stats()["rejected_rows"])

		// An existing run is seen again, a new run starts, and the oldest entries are pruned.
		last := entries[len(entries)-1]
		require.NoError(t, s.Append(t.Context(), history.Entry{ID: "later", Kind: history.KindStopped, Time: time.Now(), Run: "run-c", Service: "shop", Environment: "production", Instance: "shop-0"}))
		require.NoError(t, history.Record(t.Context(), s, build("v1.2.0"), production("shop-0")))
		require.Equal(t, 7, b.count(t, "SELECT COUNT(*) FROM history"))
		after, err := s.Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, after, len(entries)+1)
		require.Greater(t, after[len(after)-1].Seq, last.Seq)
		removed, err := s.Prune(t.Context(), time.Now().Add(-time.Minute))
		require.NoError(t, err)
		require.Equal(t, int64(4), removed)
	})
}

// TestSchema1 migrates the tables of the first version. The result equals new tables.
func TestSchema1(t *testing.T) {
	t.Parallel()
	old, fresh := newBackend(t, history.DialectSQLite), newBackend(t, history.DialectSQLite)
	dump, err := os.ReadFile(filepath.Join(format1, "sqlite.sql"))
	require.NoError(t, err)
	_, err = old.db.ExecContext(t.Context(), string(dump))
	require.NoError(t, err)
	var schemas [2]string
	for n, b := range []*backend{old, fresh} {
		require.NoError(t, history.Note(t.Context(), b.store(nil), history.Event{Kind: "flag"}))
		rows, err := b.db.QueryContext(t.Context(), "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var statement string
			require.NoError(t, rows.Scan(&statement))
			schemas[n] += statement + ";\n"
		}
		require.NoError(t, rows.Err())
	}
	require.NotEmpty(t, schemas[0])
	require.Equal(t, schemas[0], schemas[1])
}
