package document_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/document"
)

// texts formats the faults as a package does.
func texts(r *document.Reader) []string {
	var list []string
	for _, f := range r.Faults() {
		text := document.FaultText("w.yaml", f.Line, f.Column, "window", f.Subject, f.Field, f.Err)
		if f.Warning {
			text = "warning: " + text
		}
		list = append(list, text)
	}
	return list
}

type mode string

func TestReader(t *testing.T) {
	t.Parallel()
	r := document.NewReader("w.yaml")
	root := r.Parse([]byte(`
title: A title
loud: true
count: 3
length: 1d12h
mode: closed
begin: 2026-12-06T01:02:00Z
day: 2027-03-31
paths: [/a, /b]
peers: {shop: 1, web: 2}
nothing: null
`)).Map()
	require.Equal(t, "A title", root.Need("title").Text(100))
	require.True(t, root.Field("loud").Bool())
	require.Equal(t, 3, root.Field("count").Int(1, 5))
	require.Equal(t, 36*time.Hour, root.Field("length").Duration(48*time.Hour))
	require.Equal(t, mode("closed"), document.Enum(root.Field("mode"), mode("open"), mode("closed")))
	require.Equal(t, time.Date(2026, 12, 6, 1, 2, 0, 0, time.UTC), root.Field("begin").Instant())
	require.Equal(t, time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC), root.Field("day").Date())
	require.Equal(t, []string{"/a", "/b"}, root.Field("paths").Texts(2, 10))
	sum := 0
	for key, value := range root.Field("peers").Entries() {
		require.Contains(t, []string{"shop", "web"}, key.Text(10))
		sum += value.Int(0, 9)
	}
	require.Equal(t, 3, sum)
	require.True(t, root.Field("nothing").Null())

	missing := root.Field("missing")
	require.False(t, missing.Present())
	require.Zero(t, missing.Text(1))
	require.Zero(t, missing.Duration(time.Hour))
	require.Zero(t, document.Enum(missing, mode("open")))
	require.Empty(t, missing.Texts(1, 1))
	require.Zero(t, missing.Map().Need("x").Text(1), "what is needed of nothing is no fault")
	root.Done()
	require.Empty(t, r.Faults())
}

func TestReaderCollectsFaultsWithPlaces(t *testing.T) {
	t.Parallel()
	r := document.NewReader("w.yaml")
	root := r.Parse([]byte(`strat: x
windows:
  - id: db-upgrade
    duration: -2h
    mode: clsed
    scope: {pahts: [], hosts: [1, "aaaaaaaa"], methods: x}
    version: 1.10
    extra: [1, 2, 3]
  - just a text
x-note: fine
`)).Map()
	root.Field("start")
	for i, item := range root.Field("windows").List(10) {
		m := item.Map()
		if i == 0 {
			m = item.About("db-upgrade").Map()
		}
		m.Field("id").Text(100)
		m.Need("start")
		m.Field("duration").Duration(time.Hour)
		document.Enum(m.Field("mode"), mode("closed"), mode("read-only"), mode("announce"))
		scope := m.Field("scope").Map()
		scope.Field("paths").Texts(5, 5)
		scope.Field("hosts").Texts(5, 5)
		scope.Field("methods").Texts(5, 5)
		scope.Done()
		m.Field("version").Text(10)
		m.Field("extra").Texts(2, 5)
		m.Done()
	}
	root.Ignore(func(name string) bool { return name == "x-note" })
	root.Done()
	require.Equal(t, []string{
		`w.yaml:1:1: unknown field "strat" (did you mean "start"?)`,
		`w.yaml:3:5: window "db-upgrade": start: is required`,
		`w.yaml:4:15: window "db-upgrade": duration: must be positive, got "-2h"`,
		`w.yaml:5:11: window "db-upgrade": mode: must be closed, read-only or announce, got "clsed" (did you mean "closed"?)`,
		`w.yaml:6:13: window "db-upgrade": scope: unknown field "pahts" (did you mean "paths"?)`,
		`w.yaml:6:32: window "db-upgrade": scope.hosts[0]: must be a string, got a number: write it in quotes, "1"`,
		`w.yaml:6:35: window "db-upgrade": scope.hosts[1]: must be at most 5 bytes, got 8`,
		`w.yaml:6:57: window "db-upgrade": scope.methods: must be a list, got a string`,
		`w.yaml:7:14: window "db-upgrade": version: must be a string, got a number: write it in quotes, "1.10"`,
		`w.yaml:8:12: window "db-upgrade": extra: must have at most 2 elements, got 3`,
		`w.yaml:9:5: windows[1]: must be a map, got a string`,
	}, texts(r))
	var unknown *document.UnknownError
	require.True(t, errors.As(r.Faults()[0].Err, &unknown))
	require.Equal(t, "start", unknown.Suggestion)
	require.Equal(t, "strat", r.Faults()[0].Field)
	require.Equal(t, "scope.pahts", r.Faults()[4].Field)
	require.Equal(t, 11, r.Count())
}

func TestReaderOfNoDocument(t *testing.T) {
	t.Parallel()
	r := document.NewReader("w.json")
	root := r.Parse([]byte("{")).Map()
	require.False(t, root.Present())
	root.Need("windows")
	root.Done()
	require.Equal(t, []string{"w.yaml:1:2: unexpected end of JSON input"}, texts(r))
}

func TestDoneWarn(t *testing.T) {
	t.Parallel()
	r := document.NewReader("w.yaml")
	root := r.Parse([]byte("targetting: 1\ncolour: red\nvariant: 2\nvariants: 3\nstage: beta\n")).Map()
	for _, known := range []string{"targeting", "variants", "state"} {
		root.Field(known)
	}
	root.DoneWarn(func(known string, value *document.Node) bool { return known != "state" || value.Text == "ENABLED" })
	require.Equal(t, []string{
		`w.yaml:1:1: unknown field "targetting" (did you mean "targeting"?)`,
		`warning: w.yaml:2:1: unknown field "colour"`,
		`warning: w.yaml:3:1: unknown field "variant" (did you mean "variants"?)`,
		`warning: w.yaml:5:1: unknown field "stage" (did you mean "state"?)`,
	}, texts(r))
	require.Equal(t, 1, r.Count())
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const limit = 366 * 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "2h": 2 * time.Hour, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour, "366d": limit, "8784h": limit, "0d1s": time.Second,
	} {
		d, err := document.ParseDuration(text, limit)
		require.NoError(t, err, text)
		require.Equal(t, want, d, text)
	}
	for text, want := range map[string]string{
		"":            `must be a duration such as "90m", "2h" or "3d", got ""`,
		"d":           `must be a duration such as "90m", "2h" or "3d", got "d"`,
		"1.5d":        `must be a duration such as "90m", "2h" or "3d", got "1.5d"`,
		"1d-2h":       `must be a duration such as "90m", "2h" or "3d", got "1d-2h"`,
		"--2h":        `must be a duration such as "90m", "2h" or "3d", got "--2h"`,
		"two hours":   `must be a duration such as "90m", "2h" or "3d", got "two hours"`,
		"-2h":         `must be positive, got "-2h"`,
		"-3d":         `must be positive, got "-3d"`,
		"0s":          `must be positive, got "0s"`,
		"0d":          `must be positive, got "0d"`,
		"367d":        `must be at most 366d, got "367d"`,
		"366d1s":      `must be at most 366d, got "366d1s"`,
		"9999999999d": `must be a duration such as "90m", "2h" or "3d", got "9999999999d"`,
		"4000000000d": `must be at most 366d, got "4000000000d"`,
		"99999h":      `must be at most 366d, got "99999h"`,
	} {
		_, err := document.ParseDuration(text, limit)
		require.EqualError(t, err, want)
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"90m", "1d12h", "-2h", "d", "9223372036854775807ns", "106751d24h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := document.ParseDuration(text, 100*time.Hour)
		if err != nil {
			require.Zero(t, d)
			return
		}
		require.Positive(t, d)
		require.LessOrEqual(t, d, 100*time.Hour)
	})
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	known := []string{"start", "id", "defaultVariant", "duration"}
	for name, want := range map[string]string{
		"strat": "start", "stat": "start", "startt": "start", "sxart": "start", "Start": "start", "tsart": "start",
		"defaultVarient": "defaultVariant", "DEFAULTVARIANT": "defaultVariant", "ids": "id", "x": "", "": "", "begin": "", "start": "", "satrt": "start", "trats": "",
		"default_varient": "defaultVariant", "Durations": "duration", "druatoin": "duration", "durraattion": "", "stxxt": "",
	} {
		require.Equal(t, want, document.Suggest(name, known), "%q", name)
	}
}
