package replay

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// reach is how far the request got through what the bundle has.
type reach struct {
	left      []string // outbound calls and Values that were not asked for
	leftCalls int      // how many of them are calls, which come first
	reached   int      // how many were asked for
	hidden    []string // what was read and is not what it was then: calls, Values, flags
}

func (c *Case) reach() (r reach) {
	c.mu.Lock()
	defer c.mu.Unlock()
	note := func(asked bool, name string, hidden func() bool) {
		switch {
		case !asked:
			r.left = append(r.left, name)
			return
		case hidden():
			r.hidden = append(r.hidden, name)
		}
		r.reached++
	}
	for i := 1; i < len(c.made); i++ {
		e := &c.Bundle.Log.Entries[i]
		note(c.made[i], e.Request.Method+" "+e.Request.URL, func() bool { return c.hidesExchange(e) })
	}
	r.leftCalls = len(r.left)
	d := &c.Bundle.Log.Details
	for i := range d.Values {
		v := &d.Values[i]
		note(c.valuesRead[i], `observe.Value("`+v.Name+`"), the `+nth(v.Ordinal), func() bool { return c.hidesValue(v) })
	}
	for i := range d.Flags {
		if f := &d.Flags[i]; c.flagsRead[i] && c.hidesFlag(f) {
			r.hidden = append(r.hidden, `the value of flag "`+f.Key+`"`)
		}
	}
	r.hidden = slices.Compact(r.hidden)
	return r
}

// isRefused reports whether the request was turned away, as one is that lacks what
// redaction took from it, before it came to where it failed.
func (r *reach) isRefused(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	}
	return 300 <= status && status < 500 && r.reached == 0 && len(r.left) > 0
}

// remarkReach says of a test that passes what that does not tell.
func (c *Case) remarkReach(r *reach) {
	if len(r.left) > 0 {
		c.remark("not asked for now, and asked for then:%s", indented(r.left))
	}
	if len(r.hidden) > 0 {
		c.remark("pseudonyms were read in place of what was there then:%s\n\tA failure that hangs on these data need not come again: see the test red before the fix, "+
			"or let capture.Redaction keep them.", indented(r.hidden))
	}
}

func indented(lines []string) string {
	if len(lines) > 20 {
		lines = append(lines[:20:20], "and "+strconv.Itoa(len(lines)-20)+" more")
	}
	return "\n\t\t" + strings.Join(lines, "\n\t\t")
}

// anew is what becomes of a part of the bundle with another key, which gives other
// pseudonyms; nil when the bundle is not redacted.
func (c *Case) anew(d capture.Details, entries ...capture.Entry) *capture.Bundle {
	b := &capture.Bundle{Log: capture.Log{Details: d, Entries: entries}}
	if c.other == nil || c.other.Redact(b) != nil {
		return nil
	}
	return b
}

func (c *Case) hidesExchange(e *capture.Entry) bool {
	x := capture.Entry{Entry: har.Entry{Response: e.Response}, Exchange: capture.Exchange{Error: slices.Clone(e.Exchange.Error)}}
	b := c.anew(capture.Details{}, capture.Entry{}, x)
	return b != nil && (b.Log.Entries[1].Response.Content.Text != e.Response.Content.Text || !slices.Equal(b.Log.Entries[1].Exchange.Error, e.Exchange.Error))
}

func (c *Case) hidesValue(v *capture.Value) bool {
	b := c.anew(capture.Details{Values: []capture.Value{{Name: v.Name, Result: v.Result, Error: slices.Clone(v.Error)}}})
	return b != nil && (!sameJSON(b.Log.Details.Values[0].Result, v.Result) || !slices.Equal(b.Log.Details.Values[0].Error, v.Error))
}

func (c *Case) hidesFlag(f *capture.Flag) bool {
	b := c.anew(capture.Details{Flags: []capture.Flag{{Key: f.Key, Type: f.Type, Value: f.Value}}})
	return b != nil && !sameJSON(b.Log.Details.Flags[0].Value, f.Value)
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return decode(string(a), &x) == decode(string(b), &y) && reflect.DeepEqual(x, y)
}
