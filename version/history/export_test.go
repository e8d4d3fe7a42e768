package history

import "reflect"

// ReadBoth reads a line with view (fast) and with parseLine (plain), without Info. Each result is
// nil if that way cannot read the line.
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

// Equal compares all fields of two entries.
func Equal(a, b *Entry) bool { return reflect.DeepEqual(a, b) }
