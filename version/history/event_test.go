package history_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

var fullEvent = history.Event{
	Kind: "flag", Subject: "express_checkout", From: "off", To: "on", Actor: "ada",
	Service: "shop", Environment: "production", URL: "https://flags.example/express_checkout?a=(b)&c=*d*", Share: 0.05,
}

// TestEventFields: a store returns all fields of an event.
func TestEventFields(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	m := &memory{}
	c := newCollector(t, m, nil)
	for _, e := range []history.Event{fullEvent, {Subject: "é", Service: "bücher", Environment: "é", Share: 1}, {Kind: "note", Share: 1e-7, URL: "http://[::1]:8080/"}} {
		require.NoError(t, history.Note(t.Context(), s, e))
		list := timeline(t, s).Items
		got := *list[len(list)-1].Event
		require.False(t, got.Time.IsZero())
		got.Time = time.Time{}
		require.Equal(t, e, got)
	}
	require.Equal(t, 200, send(c, "shop", read(t, path)).Code)
	require.Equal(t, timeline(t, s).Items[0].Event.URL, timeline(t, m).Items[0].Event.URL)

	// Lines without the new fields are read as before.
	require.NoError(t, os.WriteFile(path, []byte(noted("1", "a")+"\n"), 0o600))
	require.Equal(t, history.Event{Kind: "flag", Subject: "a", Time: time.Date(2026, 11, 20, 11, 20, 0, 0, time.UTC)}, *timeline(t, s).Items[0].Event)
}

func TestEventText(t *testing.T) {
	t.Parallel()
	l := history.List{Items: []history.Item{{Time: clock("11:00"), Event: &fullEvent}}}
	require.Equal(t, "2026-01-05 11:00:00Z  flag express_checkout (shop, production): off → on for 5 % of the users, by ada", l.String())
	require.Contains(t, l.Markdown(), `| [flag express\_checkout (shop, production)](https://flags.example/express%5Fcheckout?a=%28b%29&c=%2Ad%2A) | off → on for 5 % of the users, by ada |`)

	// An event that was not checked by a store must not become markup.
	l.Items[0].Event = &history.Event{Kind: "x", URL: "javascript:alert(1)"}
	require.NotContains(t, l.Markdown(), "javascript")
}

// TestEventsRefused: addresses that are unsafe as links, and shares that are not a part.
func TestEventsRefused(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	for _, address := range []string{
		"javascript:alert(1)", "data:text/html,x", "//host/x", "/path", "https://", "https://user:secret@host/", "https://host/a b", "https://host/\"onclick=x",
		"https://host/<script>", "https://host/'", "https://host/\\", "https://host/`x`", "https://host/|", "https://host/\u202e", "https://host/" + strings.Repeat("x", 1024), "ftp://host/x", "http://[::1", "https://:80/",
	} {
		err := history.Note(t.Context(), s, history.Event{Kind: "flag", URL: address})
		require.ErrorIs(t, err, history.ErrEntry, address)
		require.ErrorContains(t, err, "url must be an http or https address")
	}
	nan := 0.0
	nan /= nan
	for _, share := range []float64{-0.1, 1.1, nan} {
		require.ErrorContains(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Share: share}), "share must be between 0 and 1")
	}
	require.Empty(t, timeline(t, s).Items)
}

// TestOnlyEvents restricts events that have a service or an environment.
func TestOnlyEvents(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	for _, e := range []history.Event{
		{Subject: "a"},
		{Subject: "b", Service: "shop"},
		{Subject: "c", Service: "till"},
		{Subject: "d", Environment: "staging"},
		{Subject: "e", Service: "shop", Environment: "production"},
		{Subject: "f", Service: "bücher"},
	} {
		require.NoError(t, history.Note(t.Context(), s, e))
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	data, err := json.Marshal(map[string]any{"id": "x", "kind": "noted", "time": time.Now(), "event": map[string]any{"subject": "g", "service": "till", "share": "half"}})
	require.NoError(t, err)
	_, err = f.Write(append(data, '\n')) // its share is not a number
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, store := range []history.Store{s, plain{s}} {
		only := func(q history.Query) string { return subjects(timeline(t, history.Only(store, q))) }
		require.Equal(t, "a b d e", only(history.Query{Service: "shop"}))
		require.Equal(t, "a c d", only(history.Query{Service: "till"}))
		require.Equal(t, "a b e", only(history.Query{Service: "shop", Environment: "production"}))
		require.Equal(t, "a d f", only(history.Query{Service: "bücher"}))
		part := history.Only(history.Only(store, history.Query{Service: "shop"}), history.Query{Service: "till"})
		require.Equal(t, "a d", subjects(timeline(t, part)))
	}
}
