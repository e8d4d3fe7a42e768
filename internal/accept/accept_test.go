package accept_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/accept"
)

const (
	json  = "application/json"
	html  = "text/html"
	plain = "text/plain"
	event = "text/event-stream"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	offers := []string{json, html, plain, event}
	for _, c := range []struct {
		header []string
		want   string
	}{
		{nil, json},
		{[]string{""}, json},
		{[]string{"*/*"}, json},
		{[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}, html},
		{[]string{"application/json, text/plain, */*"}, json},
		{[]string{"text/plain, application/json"}, plain},
		{[]string{"text/*"}, html},
		{[]string{"text/*;q=0.5, text/plain;q=0.4"}, html},
		{[]string{"TEXT/PLAIN"}, plain},
		{[]string{"text/plain;q=0", "*/*;q=0.1"}, json},
		{[]string{"application/*;q=0, */*"}, html},
		{[]string{"image/png"}, ""},
		{[]string{"text/html;q=x"}, ""},
		{[]string{"text/html;q=2, text/plain;q=0.001"}, plain},
		{[]string{event}, event},
		{[]string{"text/html;level=1;q=0.4, text/plain; Q = 0.5"}, plain},
		{[]string{strings.Repeat("a/b,", 5000) + html}, ""},
	} {
		require.Equal(t, c.want, accept.Choose(c.header, offers...), "%q", c.header)
	}
}

func FuzzChoose(f *testing.F) {
	f.Add("text/html,*/*;q=0.8")
	f.Add("text/*;q=,;;=,/")
	f.Fuzz(func(t *testing.T, header string) {
		offers := []string{json, html, plain}
		got := accept.Choose([]string{header}, offers...)
		require.True(t, got == "" || slices.Contains(offers, got))
		require.Equal(t, got, accept.Choose([]string{header}, offers...))
	})
}

func BenchmarkChoose(b *testing.B) {
	header := []string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}
	b.ReportAllocs()
	for b.Loop() {
		accept.Choose(header, json, html, plain)
	}
}
