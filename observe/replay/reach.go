package replay

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// reach is how far the request got through what the bundle has.
type reach struct {
	left      []string // outbound calls and Values that were not asked for
	leftCalls int      // how many of them are calls, which come first
	missing   []string // what the outcome may depend on and is not as it was then
}

func (c *Case) reach() (r reach) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range c.hiddenParts {
		r.missing = append(r.missing, "of the request: "+part)
	}
	r.missing = append(r.missing, c.missing...)
	for i := 1; i < len(c.made); i++ {
		e := &c.Bundle.Log.Entries[i]
		name := e.Request.Method + " " + e.Request.URL
		if !c.made[i] {
			r.left = append(r.left, name)
			continue
		}
		for _, part := range e.Exchange.Hidden {
			if header, ok := strings.CutPrefix(part, "header "); ok && slices.Contains(plumbing, http.CanonicalHeaderKey(header)) {
				continue
			}
			if part == "error" {
				continue // see newRecorded
			}
			r.missing = append(r.missing, "of the answer to "+name+": "+part)
		}
		if b := e.Exchange.ResponseBody; b != nil && b.Trailers {
			r.missing = append(r.missing, "of the answer to "+name+": trailers")
		}
	}
	r.leftCalls = len(r.left)
	d := &c.Bundle.Log.Details
	for i := range d.Values {
		v := &d.Values[i]
		name := `observe.Value("` + v.Name + `"), the ` + nth(v.Ordinal)
		switch {
		case !c.valuesRead[i]:
			r.left = append(r.left, name)
		case v.Hidden && len(v.Error) == 0: // for errors see newRecorded
			r.missing = append(r.missing, "the result of "+name)
		}
	}
	for i := range d.Flags {
		if f := &d.Flags[i]; c.flagsRead[i] && f.Hidden {
			r.missing = append(r.missing, `the value of flag "`+f.Key+`"`)
		}
	}
	return r
}

// remarkLeft logs what was not asked for.
func (c *Case) remarkLeft(r *reach) {
	if len(r.left) > 0 {
		c.remark("not asked for now, and asked for then:%s", indented(r.left))
	}
}

func indented(lines []string) string {
	if len(lines) > 20 {
		lines = append(lines[:20:20], "and "+strconv.Itoa(len(lines)-20)+" more")
	}
	return "\n\t\t" + strings.Join(lines, "\n\t\t")
}
