package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

// A metric is one row of METRICS.md.
type metric struct{ name, kind string }

// reference reads METRICS.md: the metrics by their names in Prometheus, the labels that
// attributes become, and the statistics by the prefix of their names.
func reference(t *testing.T) (metrics map[string]metric, labels map[string]bool, statistics map[string][]string) {
	t.Helper()
	data, err := os.ReadFile("METRICS.md")
	require.NoError(t, err)
	metrics, labels, statistics = map[string]metric{}, map[string]bool{}, map[string][]string{}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		name := strings.Trim(cells[0], "`")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		prometheus := strings.Trim(cells[1], "`")
		switch len(cells) {
		case 5:
			kind, _, _ := strings.Cut(cells[2], ",")
			metrics[prometheus] = metric{name, kind}
			for _, attribute := range strings.Split(cells[3], ", ") {
				labels[strings.ReplaceAll(strings.Trim(attribute, "`"), ".", "_")] = true
			}
		case 3:
			metrics[prometheus] = metric{name, "gauge"}
			prefix := strings.ReplaceAll(strings.TrimSuffix(prometheus, "_"+name), "_", ".")
			statistics[prefix] = append(statistics[prefix], name)
		}
	}
	require.Greater(t, len(metrics), 100)
	return metrics, labels, statistics
}

// TestScrapeHasTheNamesOfTheReference uses everything that emits metrics, scrapes the service
// as Prometheus does, and compares names, kinds and labels with the reference, both ways.
func TestScrapeHasTheNamesOfTheReference(t *testing.T) {
	metrics, labels, statistics := reference(t)
	s, err := newService(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	for prefix, keys := range statistics {
		values := map[string]float64{}
		for _, key := range keys {
			values[key] = 1
		}
		err := s.observer.Gauges(prefix, func() map[string]float64 { return values })
		if slices.Contains([]string{"upkeep.flags", "upkeep.downtime", "upkeep.packages", "upkeep.compat", "upkeep.observer"}, prefix) {
			require.ErrorContains(t, err, "already", "the service exports %s itself", prefix)
			continue
		}
		require.NoError(t, err) // of what this service does not use
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /fails", func(_ http.ResponseWriter, r *http.Request) {
		observe.RecordFlag(r.Context(), "p", openfeature.InterfaceEvaluationDetails{Value: true, EvaluationDetails: openfeature.EvaluationDetails{
			FlagKey: "new-checkout", FlagType: openfeature.Boolean, ResolutionDetail: openfeature.ResolutionDetail{Variant: "on"},
		}})
		observe.Fail(r.Context(), errors.New("broken"))
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
	})
	mux.Handle("/", s.public)
	server := httptest.NewServer(s.observer.Handler(observe.Route(mux)))
	defer server.Close()
	client := &http.Client{Transport: s.observer.Transport(nil)}
	for _, path := range []string{"/", "/fails", "/events"} {
		resp, err := client.Get(server.URL + path)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, errors.Join(err, resp.Body.Close()))
	}
	require.Error(t, s.observer.Do(t.Context(), "job", func(context.Context) error { return errors.New("broken") }))
	server.Close()

	w := httptest.NewRecorder()
	s.operators.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bufio.NewReader(w.Body))
	require.NoError(t, err)
	kinds := map[string]string{"up-down counter": "GAUGE", "counter": "COUNTER", "gauge": "GAUGE", "histogram": "HISTOGRAM"}
	for name, m := range metrics {
		family := families[name]
		require.NotNil(t, family, "%s (%s) is in the reference and not in the scrape", name, m.name)
		require.Equal(t, kinds[m.kind], family.GetType().String(), name)
		require.NotEmpty(t, family.GetHelp(), name)
	}
	for name, family := range families {
		if name == "target_info" {
			continue
		}
		require.Contains(t, metrics, name, "in the scrape and not in the reference")
		for _, one := range family.GetMetric() {
			for _, label := range one.GetLabel() {
				if !strings.HasPrefix(label.GetName(), "otel_scope_") {
					require.Contains(t, labels, label.GetName(), "a label of %s that is not in the reference", name)
				}
			}
		}
	}
}

// expressions are those of the rules and the dashboard, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	data, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(data, &dashboard))
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+" "+target.RefID] = target.Expr
		}
	}
	require.Greater(t, len(all), 20)
	for _, variable := range dashboard.Templating.List {
		if of := regexp.MustCompile(`^label_values\((.*), \w+\)$`).FindStringSubmatch(variable.Definition); of != nil {
			all["variable "+variable.Name] = of[1]
		}
	}
	data, err = os.ReadFile("rules.yaml")
	require.NoError(t, err)
	for _, rule := range strings.Split(string(data), "- alert: ")[1:] {
		name, more, _ := strings.Cut(rule, "\n")
		_, expr, found := strings.Cut(more, "expr:")
		require.True(t, found)
		expr, _, _ = strings.Cut(expr, "labels: {severity")
		all["alert "+name] = expr
	}
	return all
}

// TestExpressionsUseTheReference finds each metric and label that rules and dashboard use in
// the reference.
func TestExpressionsUseTheReference(t *testing.T) {
	metrics, labels, _ := reference(t)
	for _, label := range []string{"job", "instance", "le"} {
		labels[label] = true
	}
	quoted := regexp.MustCompile(`"[^"]*"`)
	name := regexp.MustCompile(`[a-z_][a-z0-9_]*`)
	words := map[string]bool{}
	for _, word := range strings.Fields("sum by rate increase histogram_quantile max or and unless expr for m s h") {
		words[word] = true
	}
	used := map[string]bool{}
	for place, expr := range expressions(t) {
		expr = strings.ReplaceAll(quoted.ReplaceAllString(expr, ""), "$__rate_interval", "")
		for _, n := range name.FindAllString(regexp.MustCompile(`\d+[smh]\b`).ReplaceAllString(expr, ""), -1) {
			m, ok := metrics[n]
			for _, suffix := range []string{"_count", "_sum", "_bucket"} {
				if base, is := strings.CutSuffix(n, suffix); is && metrics[base].kind == "histogram" {
					m, ok = metrics[base], true
				} else if is && ok {
					require.NotEqual(t, "histogram", m.kind)
				}
			}
			if ok {
				require.False(t, m.kind == "histogram" && metrics[n].name != "", "%s: %s is a histogram and has no series of that name", place, n)
				used[n] = true
			}
			require.True(t, ok || labels[n] || words[n], "%s: %s is neither a metric nor a label of the reference", place, n)
		}
	}
	require.Greater(t, len(used), 30)
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			require.NoError(t, err)
		}
		t.Skip("promtool is missing: ./setup installs it")
	}
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	require.NoError(t, err, "promtool %v:\n%s", args, out)
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "rules.yaml")
	promtool(t, "test", "rules", "rules_test.yaml")
}

// TestEachAlertIsTestedAndExplained finds each alert quiet and firing in rules_test.yaml, and
// in the table of README.md.
func TestEachAlertIsTestedAndExplained(t *testing.T) {
	tests, err := os.ReadFile("rules_test.yaml")
	require.NoError(t, err)
	guide, err := os.ReadFile("README.md")
	require.NoError(t, err)
	alerts := 0
	for place := range expressions(t) {
		name, isAlert := strings.CutPrefix(place, "alert ")
		if !isAlert {
			continue
		}
		alerts++
		require.Regexp(t, `\{eval_time: \w+, alertname: `+name+`\}`, string(tests), "it is quiet at first")
		require.Regexp(t, `alertname: `+name+`\n +exp_alerts:\n +- exp_labels`, string(tests), "it fires")
		require.Contains(t, string(guide), "| `"+name+"` | ")
	}
	require.Equal(t, alerts, strings.Count(string(guide), "| `Upkeep"))
}

// TestDashboardExpressions has promtool parse each expression of the dashboard.
func TestDashboardExpressions(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups: [{name: dashboard, rules: [\n")
	for place, expr := range expressions(t) {
		if !strings.HasPrefix(place, "alert ") {
			text, err := json.Marshal(strings.NewReplacer("$__rate_interval", "5m", "$job", "shop").Replace(expr))
			require.NoError(t, err)
			rules.WriteString("{record: 'x', labels: {place: '" + regexp.MustCompile(`\W`).ReplaceAllString(place, "_") + "'}, expr: " + string(text) + "},\n")
		}
	}
	rules.WriteString("]}]\n")
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	promtool(t, "check", "rules", file)
}

// TestGuideShowsTheProgram finds the code of README.md in main.go.
func TestGuideShowsTheProgram(t *testing.T) {
	guide, err := os.ReadFile("README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(guide), "```go\n")
	require.True(t, found)
	code, _, _ = strings.Cut(code, "   ```")
	require.Contains(t, string(program), strings.ReplaceAll("\n"+code, "\n   ", "\n"))
}
