package jsonlogic

import "math"

// number is JavaScript's Number(v).
func (s *Scope) number(v value) float64 {
	if v.kind == number {
		return v.num
	}
	return s.slowNumber(v)
}

func (s *Scope) slowNumber(v value) float64 {
	switch v = s.primitive(v); v.kind {
	case truth:
		return v.num
	case text:
		return parseNumber(s.read(v.str))
	case undefined:
		return math.NaN()
	}
	return 0
}

// leadingNumber is JavaScript's parseFloat(v).
func (s *Scope) leadingNumber(v value) float64 {
	switch v = s.primitive(v); v.kind {
	case number:
		return v.num
	case text:
		return parseFloat(s.read(v.str))
	}
	return math.NaN()
}

// text is JavaScript's String(v).
func (s *Scope) text(v value) string {
	if v.kind == list {
		b, _ := s.join(nil, v)
		return string(b)
	}
	return v.text()
}

// primitive is what an object or list is converted as.
func (s *Scope) primitive(v value) value {
	if v.isReference() {
		return value{kind: text, str: s.text(v)}
	}
	return v
}

// join appends what Array.join makes of v: null is empty, and lists are joined by
// commas. It is false when the evaluation is to end.
func (s *Scope) join(b []byte, v value) ([]byte, bool) { return s.joinWalking(b, v, &walk{}) }

func (s *Scope) joinWalking(b []byte, v value, w *walk) ([]byte, bool) {
	switch v.kind {
	case nothing, undefined:
		return b, true
	case list:
	default:
		t := v.text()
		b = append(b, t...)
		return b, s.fits(b, len(t))
	}
	defer w.up()
	if !w.down() {
		return b, true
	}
	for i := range v.length() {
		if i > 0 {
			b = append(b, ',')
		}
		if !s.spend(1) {
			return b, false
		}
		var ok bool
		if b, ok = s.joinWalking(b, v.element(i), w); !ok {
			return b, false
		}
	}
	return b, s.fits(b, 0)
}
