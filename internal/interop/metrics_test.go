package interop_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/internal/stats"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
	"github.com/upkeep-go/upkeep/version/compat"
	"github.com/upkeep-go/upkeep/version/history"
)

var update = flag.Bool("update", false, "write examples/alerts/METRICS.md and internal/stats/meanings.go")

// A source is a type with statistics.
type source struct {
	method string // as internal/stats names it
	prefix string // that the reference recommends for Observer.Gauges
	open   func(*testing.T) func() map[string]float64
}

var sources = []source{
	{"flags.(*Provider).Stats", "upkeep.flags", func(t *testing.T) func() map[string]float64 {
		p, err := flags.New(flags.Bytes("flags.yaml", []byte("flags: {}")), nil)
		require.NoError(t, err)
		return p.Stats
	}},
	{"downtime.(*Guard).Stats", "upkeep.downtime", func(t *testing.T) func() map[string]float64 {
		g, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", []byte("windows: []")), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		return g.Stats
	}},
	{"downtime/quorum.(*Replica).Stats", "upkeep.quorum", func(t *testing.T) func() map[string]float64 {
		r, err := quorum.Files(t.TempDir(), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return r.Stats
	}},
	{"observe.(*Observer).Stats", "upkeep.observer", func(t *testing.T) func() map[string]float64 {
		o, err := observe.New(nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, o.Close()) })
		return o.Stats
	}},
	{"version/compat.(*Policy).Stats", "upkeep.compat", func(t *testing.T) func() map[string]float64 {
		p, err := compat.OpenPolicy(t.Context(), compat.Bytes("peers.yaml", []byte("default: [{strict: true}]")), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		return p.Stats
	}},
	{"pkgmgmt.(*Policy).Stats", "upkeep.packages", func(t *testing.T) func() map[string]float64 {
		p, err := pkgmgmt.OpenPolicy(t.Context(), pkgmgmt.Bytes("packages.yaml", []byte("rules: []")), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		return p.Stats
	}},
	{"pkgmgmt/registry.(*Registry).Stats", "upkeep.registry", func(t *testing.T) func() map[string]float64 {
		r, err := registry.New(registry.Dir(t.TempDir()), &registry.Options{Private: []string{"corp.example"}, Upstream: &registry.Upstream{URL: "http://localhost/", SumDB: "off"}})
		require.NoError(t, err)
		return r.Stats
	}},
	{"version/history.(*Collector).Stats", "upkeep.history.collector", func(t *testing.T) func() map[string]float64 {
		c, err := history.NewCollector(&entries{}, nil)
		require.NoError(t, err)
		return c.Stats
	}},
	{"version/history.(*Reporter).Stats", "upkeep.history.reporter", func(t *testing.T) func() map[string]float64 {
		r, err := history.NewReporter("http://localhost/", nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return r.Stats
	}},
	{"version/history.(*FileStore).Stats", "upkeep.history.file", func(t *testing.T) func() map[string]float64 {
		s, err := history.NewFile(filepath.Join(t.TempDir(), "history"), nil)
		require.NoError(t, err)
		return s.Stats
	}},
	{"version/history.(*SQLStore).Stats", "upkeep.history.sql", func(t *testing.T) func() map[string]float64 {
		s, err := history.NewSQL(sql.OpenDB(noDatabase{}), history.DialectPostgreSQL, nil)
		require.NoError(t, err)
		return s.Stats
	}},
}

type noDatabase struct{ driver.Connector }

// TestStatistics finds every method Stats in the source and compares the keys in its comment
// with those that it returns.
func TestStatistics(t *testing.T) {
	t.Parallel()
	documented := documentedStats(t)
	require.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(func(yield func(string) bool) {
		for _, s := range sources {
			if !yield(s.method) {
				return
			}
		}
	}), "each type with a method Stats, in the source and in the table of this test")
	for _, s := range sources {
		method := s.open(t)
		require.Equal(t, s.method, stats.Source(method))
		require.Equal(t, slices.Sorted(maps.Keys(method())), slices.Sorted(maps.Keys(documented[s.method])), "the keys of %s and those in its comment", s.method)
	}
}

// documentedStats reads the tables in the comments of methods Stats: by the method's name, the
// meaning of each key. A table is a block of code. A line of it has a key and its meaning, or
// goes on with the meaning.
func documentedStats(t *testing.T) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	root := filepath.Join("..", "..")
	line := regexp.MustCompile(`^\t([a-z][a-z0-9_]*)  +(\S.*)$`)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{"examples", "testdata", "internal", ".git"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Stats" || f.Type.Params.NumFields() > 0 {
				continue
			}
			folder, err := filepath.Rel(root, filepath.Dir(name))
			if err != nil {
				return err
			}
			receiver := f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
			method := filepath.ToSlash(folder) + ".(*" + receiver + ").Stats"
			keys, last := map[string]string{}, ""
			for text := range strings.Lines(f.Doc.Text()) {
				text = strings.TrimRight(text, "\n")
				if m := line.FindStringSubmatch(text); m != nil {
					last = m[1]
					keys[last] = m[2]
				} else if more, ok := strings.CutPrefix(text, "\t"); ok && last != "" {
					keys[last] += " " + strings.TrimSpace(more)
				}
			}
			all[method] = keys
		}
		return nil
	})
	require.NoError(t, err)
	return all
}

// TestReferenceOfMetrics holds examples/alerts/METRICS.md and the descriptions of gauges to the
// metrics that the packages emit. Run it with -update after a change.
func TestReferenceOfMetrics(t *testing.T) {
	t.Parallel()
	documented := documentedStats(t)
	var b bytes.Buffer
	b.WriteString(referenceHead)
	b.WriteString("| metric | in Prometheus | kind and unit | attributes | meaning |\n|---|---|---|---|---|\n")
	for _, m := range emitted(t) {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", m.name, inPrometheus(m), m.kind+", "+m.unit, m.attributes, m.description)
	}
	b.WriteString(statisticsHead)
	for _, s := range sources {
		fmt.Fprintf(&b, "\n### %s\n\n| statistic | in Prometheus | meaning |\n|---|---|---|\n", strings.NewReplacer("(*", "", ")", "").Replace(s.method))
		for _, key := range slices.Sorted(maps.Keys(documented[s.method])) {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", key, strings.ReplaceAll(s.prefix+"."+key, ".", "_"), documented[s.method][key])
		}
	}
	same(t, filepath.Join("..", "..", "examples", "alerts", "METRICS.md"), b.Bytes())

	var code bytes.Buffer
	code.WriteString("package stats\n\n// meanings are what the comments of the methods Stats say, by method and key. A test in\n// internal/interop writes this file, with -update.\nvar meanings = map[string]map[string]string{\n")
	for _, s := range sources {
		fmt.Fprintf(&code, "%q: {\n", s.method)
		for _, key := range slices.Sorted(maps.Keys(documented[s.method])) {
			fmt.Fprintf(&code, "%q: %q,\n", key, documented[s.method][key])
		}
		code.WriteString("},\n")
	}
	code.WriteString("}\n")
	formatted, err := format.Source(code.Bytes())
	require.NoError(t, err)
	same(t, filepath.Join("..", "stats", "meanings.go"), formatted)
}

func same(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(name, want, 0o644))
		return
	}
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go test ./internal/interop -run 'Statistics|Reference' -update writes it anew")
}

const referenceHead = `<!-- Written by a test: go test ./internal/interop -run Reference -update -->

# Metrics

All metrics of upkeep. [What to alert on](README.md) says which of them matter.

## What an Observer emits

An Observer of the package observe emits these by itself, with the MeterProvider in its options. The metrics and attributes
that begin with ` + "`http.`" + ` are those of OpenTelemetry's semantic conventions. The values of ` + "`" + `upkeep.observe.what` + "`" + ` are names in [Observer.Stats](#observeobserverstats).

`

const statisticsHead = `
## Statistics

These types return numbers from their method Stats. A program exports them with one line for each object, such as
` + "`obs.Gauges(\"upkeep.flags\", provider.Stats)`" + `. Each is a gauge without unit and attributes. The first part of its name is the one
given to Gauges. The names below and the rules and the dashboard beside this file have those that the example gives.

A statistic that counts something counts since the start of the process, so use ` + "`rate`, `increase` or `changes`" + ` for it.
`

// A metricRow is one metric of an Observer.
type metricRow struct{ name, kind, unit, attributes, description string }

// inPrometheus is the metric's name by the rules of OpenTelemetry's Prometheus exporter. The
// test of examples/alerts compares it with a real scrape.
func inPrometheus(m metricRow) string {
	name := strings.ReplaceAll(m.name, ".", "_")
	switch m.unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if m.kind == "counter" {
		name += "_total"
	}
	return name
}

// emitted are the metrics of an Observer that has seen one operation of each kind.
func emitted(t *testing.T) []metricRow {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	obs, err := observe.New(&observe.Options{
		Log: slog.DiscardHandler, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), GuardedFlags: []string{"express"},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, obs.Close()) }()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /fails", func(_ http.ResponseWriter, r *http.Request) {
		observe.RecordFlag(r.Context(), "p", openfeature.InterfaceEvaluationDetails{Value: true, EvaluationDetails: openfeature.EvaluationDetails{FlagKey: "express", FlagType: openfeature.Boolean, ResolutionDetail: openfeature.ResolutionDetail{Variant: "on"}}})
		observe.Fail(r.Context(), errors.New("broken"))
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
	})
	server := httptest.NewServer(obs.Handler(observe.Route(mux)))
	defer server.Close()
	client := &http.Client{Transport: obs.Transport(nil)}
	for _, path := range []string{"/fails", "/events"} {
		resp, err := client.Get(server.URL + path)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	server.Close()
	_, err = client.Get(server.URL + "/fails") // nobody listens
	require.Error(t, err)
	require.Error(t, obs.Do(t.Context(), "job", func(context.Context) error { return errors.New("broken") }))

	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	var rows []metricRow
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			row := metricRow{name: m.Name, unit: m.Unit, description: m.Description}
			keys := map[string]bool{}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				row.kind = "histogram"
				for _, p := range data.DataPoints {
					addKeys(keys, p.Attributes.ToSlice())
				}
			case metricdata.Sum[int64]:
				row.kind = "up-down counter"
				if data.IsMonotonic {
					row.kind = "counter"
				}
				for _, p := range data.DataPoints {
					addKeys(keys, p.Attributes.ToSlice())
				}
			default:
				require.Fail(t, "a metric of another kind", "%s: %T", m.Name, data)
			}
			row.attributes = "none"
			if len(keys) > 0 {
				row.attributes = "`" + strings.Join(slices.Sorted(maps.Keys(keys)), "`, `") + "`"
			}
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b metricRow) int { return strings.Compare(a.name, b.name) })
	require.Equal(t, metricsInSource(t), names(rows), "each metric that the source names is emitted")
	return rows
}

func addKeys(keys map[string]bool, attrs []attribute.KeyValue) {
	for _, a := range attrs {
		keys[string(a.Key)] = true
	}
}

func names(rows []metricRow) (all []string) {
	for _, r := range rows {
		all = append(all, r.name)
	}
	return all
}

// metricsInSource are the values of the constants of package observe that name metrics.
func metricsInSource(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "observe", "semconv.go"))
	require.NoError(t, err)
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^\tmetric[A-Z]\w* += "(.*)"$`).FindAllStringSubmatch(string(data), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}
