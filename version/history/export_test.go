package history

import "reflect"

// ReadBoth reads a line both ways. Fast is what the view makes of it, plain what parseLine
// does, without Info; each is nil when it cannot read the line.
func ReadBoth(line []byte) (fast, plain *Entry, valid bool) {
	var v view
	if v.read(line) {
		valid = v.valid()
		if e, err := v.entry(map[string]string{}); err == nil {
			fast = &e
		}
	}
	e, err := parseLine(line, maxStoredID)
	if err == nil {
		e.Info = nil
		plain = &e
	}
	if v.rest == nil || !new(view).read(line) {
		return nil, plain, valid
	}
	return fast, plain, valid
}

// Equal compares entries whole.
func Equal(a, b *Entry) bool { return reflect.DeepEqual(a, b) }
