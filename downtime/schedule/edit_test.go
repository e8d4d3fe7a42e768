package schedule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// command applies a command in words: "begin", "complete", "cancel", or "extend" with a time.
func command(doc, words, id string, now time.Time) (string, error) {
	var data []byte
	var err error
	verb, until, _ := strings.Cut(words, " ")
	switch verb {
	case "begin":
		data, err = schedule.Begin("windows.yaml", []byte(doc), id, now)
	case "complete":
		data, err = schedule.Complete("windows.yaml", []byte(doc), id, now)
	case "cancel":
		data, err = schedule.Cancel("windows.yaml", []byte(doc), id, now)
	default:
		at, parseErr := time.Parse(time.RFC3339, until)
		if parseErr != nil {
			return "", parseErr
		}
		data, err = schedule.Extend("windows.yaml", []byte(doc), id, at, now)
	}
	return string(data), err
}

func TestEditChangesOneField(t *testing.T) {
	t.Parallel()
	const id, during = "w", "2026-12-06T02:30:00Z"
	for _, c := range []struct{ name, doc, now, words, old, new string }{
		{
			"a block", "# plan\nwindows:\n  - id: w # main\n    start: 2026-12-06T02:00:00Z\n    duration: 1h   # exact\n  # next\n  - {id: v, start: 2026-12-06T02:00:00Z, duration: 1h}\n",
			during, "complete", "# exact\n", "# exact\n    actual: {end: \"2026-12-06T02:30:00Z\"}\n",
		},
		{
			"without a line break at the end", "windows:\n- id: w\n  start: 2026-12-06T02:00:00Z\n  duration: 1h",
			during, "complete", "1h", "1h\n  actual: {end: \"2026-12-06T02:30:00Z\"}",
		},
		{
			"line breaks of Windows", "windows:\r\n- id: w\r\n  start: 2026-12-06T02:00:00Z\r\n  duration: 1h\r\n",
			during, "complete", "1h\r\n", "1h\r\n  actual: {end: \"2026-12-06T02:30:00Z\"}\r\n",
		},
		{
			"a byte order mark and wide characters", "\ufeffwindows: [{title: 'Größe – ж', id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]\n",
			during, "complete", "1h}", "1h, actual: {end: \"2026-12-06T02:30:00Z\"}}",
		},
		{
			"a list in braces", "windows: [{duration: 1h, start: '2026-12-06T02:00:00Z', id: w}] # end\n",
			during, "extend 2026-12-06T05:00:00+01:00", "id: w", "id: w, actual: {until: \"2026-12-06T04:00:00Z\"}",
		},
		{
			"a list in braces over lines", "windows: [\n  {id: w,\n   start: 2026-12-06T02:00:00Z,\n   duration: 1h # exact\n  }]\n",
			during, "complete", "1h #", "1h, actual: {end: \"2026-12-06T02:30:00Z\"} #",
		},
		{
			"actual with comments", "windows:\n- id: w\n  start: 2026-12-06T02:00:00Z\n  duration: 1h\n  actual: # by Anna\n    begin: 2026-12-06T01:00:00Z # early\n    # the end\n    end: null # open\n",
			during, "complete", "end: null", "end: \"2026-12-06T02:30:00Z\"",
		},
		{
			"actual without the field", "windows:\n- id: w\n  start: 2026-12-06T02:00:00Z\n  duration: 1h\n  actual:\n    begin: 2026-12-06T01:00:00Z # early\n  mode: closed\n",
			during, "complete", "# early\n", "# early\n    end: \"2026-12-06T02:30:00Z\"\n",
		},
		{
			"actual in braces", "windows:\n- id: w\n  start: 2026-12-06T02:00:00Z\n  duration: 1h\n  actual: { begin: 2026-12-06T01:00:00Z, end: ~ } # x\n",
			during, "extend 2026-12-06T04:00:00Z", "end: ~", "end: ~, until: \"2026-12-06T04:00:00Z\"",
		},
		{
			"empty actual", "windows:\n- id: w\n  start: 2026-12-06T02:00:00Z\n  duration: 1h\n  actual: {}\n",
			during, "complete", "{}", "{end: \"2026-12-06T02:30:00Z\"}",
		},
		{
			"a message over lines", "windows:\n- id: w\n  start: 2026-12-06T02:00:00Z\n  duration: 1h\n  message: back\n    soon\n  title: |\n    a\n    b\n",
			during, "complete", "duration: 1h\n", "duration: 1h\n  actual: {end: \"2026-12-06T02:30:00Z\"}\n",
		},
		{
			"JSON", "{\"windows\": [\n  {\n    \"id\": \"w\",\n    \"start\": \"2026-12-06T02:00:00Z\",\n    \"duration\": \"1h\"\n  }\n]}\n",
			during, "complete", "\"1h\"", "\"1h\",\n    \"actual\": {\"end\": \"2026-12-06T02:30:00Z\"}",
		},
		{
			"compact JSON", `{"windows":[{"id":"w","start":"2026-12-06T02:00:00Z","duration":"1h","actual":{"begin":"2026-12-06T02:10:00Z","end":null}}]}`,
			during, "complete", "null", `"2026-12-06T02:30:00Z"`,
		},
		{
			"JSON with actual", "{\"windows\": [{\"id\": \"w\", \"actual\": {\n  \"begin\": \"2026-12-06T02:10:00Z\"\n}, \"start\": \"2026-12-06T02:00:00Z\", \"duration\": \"1h\"}]}",
			during, "complete", "02:10:00Z\"\n", "02:10:00Z\",\n  \"end\": \"2026-12-06T02:30:00Z\"\n",
		},
		{
			"begin early", "windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]",
			"2026-12-06T01:30:00.9Z", "begin", "1h}", "1h, actual: {begin: \"2026-12-06T01:30:00Z\"}}",
		},
		{
			"cancel", "windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]",
			"2026-12-06T01:30:00Z", "cancel", "1h}", "1h, actual: {end: \"2026-12-06T02:00:00Z\"}}",
		},
		{
			"complete after the end, for held work", "windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]",
			"2026-12-06T03:30:00Z", "complete", "1h}", "1h, actual: {end: \"2026-12-06T03:30:00Z\"}}",
		},
		{
			"a fault in a different window", "windows: [{id: v, start: x}, {id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]",
			during, "complete", "1h}", "1h, actual: {end: \"2026-12-06T02:30:00Z\"}}",
		},
		{
			"an anchor", "windows:\n- &a {id: v, start: 2026-12-06T02:00:00Z, duration: 1h}\n- <<: *a\n  id: w\n",
			during, "complete", "id: w\n", "id: w\n  actual: {end: \"2026-12-06T02:30:00Z\"}\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339, c.now)
			require.NoError(t, err)
			got, err := command(c.doc, c.words, id, now)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(c.doc, c.old))
			require.Equal(t, strings.Replace(c.doc, c.old, c.new, 1), got)
		})
	}
}

func TestEditOfAWindowThatRepeats(t *testing.T) {
	t.Parallel()
	const nightly = "windows: [{id: w, start: 2026-01-06T03:00:00Z, duration: 1h, announce: 3d, repeat: FREQ=WEEKLY%s}]"
	doc := func(actual string) string {
		if actual != "" {
			actual = ", actual: " + actual
		}
		return strings.ReplaceAll(nightly, "%s", actual)
	}
	for _, c := range []struct{ now, words, was, want string }{
		{"2026-01-13T03:30:00Z", "complete", "", "{end: \"2026-01-13T03:30:00Z\"}"},
		{"2026-01-13T04:30:00Z", "complete", "", "{end: \"2026-01-13T04:30:00Z\"}"}, // held
		{"2026-01-13T04:30:00Z", "extend 2026-01-13T05:00:00Z", "", "{until: \"2026-01-13T05:00:00Z\"}"},
		{"2026-01-13T04:30:00Z", "extend 2026-01-20T05:00:00Z", "", "{until: \"2026-01-20T05:00:00Z\"}"}, // the next one
		{"2026-01-13T03:30:00Z", "extend 2026-01-21T05:00:00Z", "", "{begin: \"2026-01-13T03:00:00Z\", until: \"2026-01-21T05:00:00Z\"}"},
		{"2026-01-12T03:30:00Z", "begin", "", "{begin: \"2026-01-12T03:30:00Z\"}"},
		{"2026-01-12T03:30:00Z", "cancel", "", "{end: \"2026-01-13T03:00:00Z\"}"},
		{"2026-01-12T03:30:00Z", "cancel", `{begin: "2026-01-06T02:00:00Z", end: "2026-01-06T03:00:00Z"}`, `{begin: null, end: "2026-01-13T03:00:00Z"}`},
		{"2026-01-13T02:30:00Z", "complete", `{begin: "2026-01-13T02:00:00Z"}`, `{begin: "2026-01-13T02:00:00Z", end: "2026-01-13T02:30:00Z"}`},
		{"2026-01-13T02:10:00Z", "begin", `{until: "2026-01-06T05:00:00Z"}`, `{until: null, begin: "2026-01-13T02:10:00Z"}`},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		require.NoError(t, err)
		got, err := command(doc(c.was), c.words, "w", now)
		require.NoError(t, err, c)
		if want := doc(c.want); got != want {
			// The order of new fields does not matter.
			a, err := schedule.Parse("a", []byte(want))
			require.NoError(t, err)
			b, err := schedule.Parse("b", []byte(got))
			require.NoError(t, err)
			require.Equal(t, a.Window("w").Actual, b.Window("w").Actual, got)
		}
	}
}

func TestEditIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, now, words, want string }{
		{"windows: [{id: v, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T02:30:00Z", "complete", `window "w": unknown window "w"`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T01:30:00Z", "complete", `begins at 2026-12-06T02:00:00Z: cancel it`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T10:30:00Z", "complete", `ended at 2026-12-06T03:00:00Z`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h, actual: {end: 2026-12-06T02:10:00Z}}]", "2026-12-06T02:30:00Z", "complete", `was ended with actual.end 2026-12-06T02:10:00Z`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T02:30:00Z", "begin", `began at 2026-12-06T02:00:00Z`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T03:30:00Z", "begin", `ended at 2026-12-06T03:00:00Z`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-01T03:30:00Z", "begin", `begins at 2026-12-06T02:00:00Z: a window that is not announced can begin at most 24h0m0s earlier`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T02:30:00Z", "cancel", `began at 2026-12-06T02:00:00Z: complete it`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h, actual: {end: 2026-12-06T02:00:00Z}}]", "2026-12-06T01:30:00Z", "cancel", `is already cancelled`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h, actual: {end: 2026-12-06T02:00:00Z}}]", "2026-12-06T01:30:00Z", "begin", `is cancelled`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T02:30:00Z", "extend 2026-12-06T02:20:00Z", `cannot end at 2026-12-06T02:20:00Z, which is past`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T01:30:00Z", "extend 2026-12-06T02:00:00Z", `before its start`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]", "2026-12-06T02:30:00Z", "extend 2028-12-06T02:20:00Z", `more than 366 days after its start`},
		{"windows: [{id: w, start: x, duration: 1h}]", "2026-12-06T02:30:00Z", "complete", `windows.yaml:1:26: window "w": start: must be a time`},
		{"windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h}]\nfreezes: 1", "2026-12-06T02:30:00Z", "complete", `freezes: must be a list`},
		{"windows: 1", "2026-12-06T02:30:00Z", "complete", `windows: must be a list`},
		{"windows:\n- id: w\n  start: &s 2026-12-06T02:00:00Z\n  duration: 1h\n  actual: {begin: *s}", "2026-12-06T02:30:00Z", "begin", `began at`},
		{"x: &x {begin: 2026-12-06T02:00:00Z}", "2026-12-06T02:30:00Z", "begin", `unknown field "x"`},
		{"windows:\n- {id: v, start: 2026-12-06T02:00:00Z, duration: 1h, actual: &a {begin: 2026-12-06T02:00:00Z}}\n- {id: w, start: 2026-12-06T02:00:00Z, duration: 1h, actual: *a}", "2026-12-06T02:30:00Z", "complete", `actual.end: cannot be edited in this form, write it by hand`},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		require.NoError(t, err)
		got, err := command(c.doc, c.words, "w", now)
		require.ErrorContains(t, err, c.want, c.doc)
		require.Empty(t, got)
		var fault *schedule.Fault
		require.ErrorAs(t, err, &fault)
	}
}

func TestEditSuggestsAWindow(t *testing.T) {
	t.Parallel()
	_, err := schedule.Cancel("windows.yaml", []byte("windows: [{id: orders-db, start: 2026-12-06T02:00:00Z, duration: 1h}]"), "order-db", time.Now())
	require.EqualError(t, err, `windows.yaml: window "order-db": unknown window "order-db" (did you mean "orders-db"?)`)
}

// An edit of any document changes only one window's actual, keeps all other bytes in order, and can be
// read again.
func FuzzEdit(f *testing.F) {
	f.Add("windows:\n- id: w # x\n  start: 2026-12-06T02:00:00Z\n  duration: 1h\n", uint8(1), int64(1796524200))
	f.Add("windows: [{id: w, start: 2026-12-06T02:00:00Z, duration: 1h, actual: {end: null}}]", uint8(1), int64(1796524200))
	f.Add("{\"windows\":[{\"id\":\"w\",\"start\":\"2026-12-06T02:00:00Z\",\"duration\":\"1h\",\"actual\":{}}]}", uint8(2), int64(1796524200))
	f.Add("windows:\r\n- &a\r\n  id: w\r\n  'start': \"2026-12-06T02:00:00Z\"\r\n  duration: >\r\n   1h\r\n  actual:\r\n", uint8(0), int64(1796520600))
	f.Add("windows:\n- {id: w, start: 2026-12-06T02:00, timezone: Europe/Madrid, duration: 1h, repeat: FREQ=DAILY, actual: {until: ~, begin: null}}", uint8(3), int64(1796524200))
	f.Fuzz(func(t *testing.T, doc string, verb uint8, at int64) {
		now := time.Unix(at%230e9, 0)
		words := []string{"begin", "complete", "extend " + now.Add(2*time.Hour).UTC().Format(time.RFC3339), "cancel"}[verb%4]
		got, err := command(doc, words, "w", now)
		if err != nil {
			if got != "" {
				t.Fatalf("a document with the error %v", err)
			}
			return
		}
		before, _, err := schedule.Update(empty, "a", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		after, _, err := schedule.Update(empty, "b", []byte(got))
		if err != nil {
			t.Fatal(err)
		}
		a, b := slices.Collect(before.Windows()), slices.Collect(after.Windows())
		if len(a) != len(b) {
			t.Fatalf("%d windows became %d", len(a), len(b))
		}
		for i := range a {
			if a[i].ID != b[i].ID || a[i].Start != b[i].Start && !a[i].Start.Equal(b[i].Start) || a[i].Duration != b[i].Duration || a[i].Message != b[i].Message || a[i].ID != "w" && a[i].Actual != b[i].Actual {
				t.Fatalf("window %d changed: %+v, %+v", i, a[i], b[i])
			}
		}
		if json.Valid([]byte(doc)) != json.Valid([]byte(got)) {
			t.Fatal("it was JSON, or has become JSON")
		}
		if strings.Count(doc, "#") != strings.Count(got, "#") {
			t.Fatal("comments differ")
		}
	})
}

var empty = func() *schedule.Schedule {
	s, err := schedule.Parse("empty", []byte("windows: []"))
	if err != nil {
		panic(err)
	}
	return s
}()

func TestEditKeepsAHugeDocument(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString("windows:\n")
	for i := range 500 {
		b.WriteString("- {id: v" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ", start: 2026-12-06T02:00:00Z, duration: 1h} # " + strings.Repeat("é", i%7) + "\n")
	}
	b.WriteString("- {id: w, start: 2026-12-06T02:00:00Z, duration: 1h}\n")
	now := time.Date(2026, 12, 6, 2, 30, 0, 0, time.UTC)
	got, err := schedule.Complete("windows.yaml", b.Bytes(), "w", now)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(got, b.Bytes()[:b.Len()-3]))
	_, err = schedule.Complete("windows.yaml", got, "w", now.Add(time.Minute))
	var fault *schedule.Fault
	require.True(t, errors.As(err, &fault))
	require.Equal(t, "w", fault.Window)
}
