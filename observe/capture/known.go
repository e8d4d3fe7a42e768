package capture

import "github.com/upkeep-go/upkeep/observe/capture/har"

// Again returns a Redactor that takes for pseudonyms what stands for something hidden in
// the bundle b, which this one has redacted: the answers of a replay are then redacted to
// what was recorded.
func (r *Redactor) Again(b *Bundle) *Redactor {
	m, c := newMask(r.key), r.rules
	m.collect = true
	d := &b.Log.Details
	for i := range b.Log.Entries {
		e := &Entry{Entry: b.Log.Entries[i].Entry} // b stays as it is
		if i == 0 {
			e.Response = har.Response{} // it is to be found out
		}
		m.entry(e, d.Route, i == 0, c)
	}
	for _, v := range d.Values {
		m.value(&v, c)
	}
	for _, f := range d.Flags {
		if !c.flags[f.Key] {
			m.rawJSON(f.Value, nowhere, nil)
		}
		m.text(f.Targeting)
	}
	for _, v := range d.Values { // last, as prose is redacted last
		for _, text := range v.Error {
			m.prose(text, c)
		}
	}
	again := *r
	again.known = m.known
	return &again
}
