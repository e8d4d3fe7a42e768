package jsonlogic

import (
	"math"
	"strconv"
	"strings"
)

func (s *Scope) number(v value) float64 {
	switch v = s.primitive(v); v.kind {
	case truth, number:
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

// primitive converts an object or a list to its text.
func (s *Scope) primitive(v value) value {
	if v.isReference() {
		return value{kind: text, str: s.text(v)}
	}
	return v
}

// join appends the result of JavaScript's Array.join: null is empty, and the elements of a list are
// joined by commas. It returns false when the evaluation must stop.
func (s *Scope) join(b []byte, v value) ([]byte, bool) { return s.joinWalking(b, v, &walk{}) }

func (s *Scope) joinWalking(b []byte, v value, w *walk) ([]byte, bool) {
	switch v.kind {
	case null, undefined:
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

// parseNumber is JavaScript's Number(s) for a string.
func parseNumber(s string) float64 {
	s = strings.TrimFunc(s, isSpace)
	if s == "" {
		return 0
	}
	if len(s) > 2 && s[0] == '0' {
		if base := radix(s[1]); base != 0 {
			return parseInteger(s[2:], base)
		}
	}
	if n := decimalPrefix(s); n < len(s) {
		return math.NaN()
	}
	return parseFloat(s)
}

func radix(letter byte) int {
	switch letter {
	case 'x', 'X':
		return 16
	case 'o', 'O':
		return 8
	case 'b', 'B':
		return 2
	}
	return 0
}

func parseInteger(digits string, base int) float64 {
	var f float64
	for i := range len(digits) {
		d, err := strconv.ParseUint(digits[i:i+1], base, 8)
		if err != nil {
			return math.NaN()
		}
		f = f*float64(base) + float64(d)
	}
	return f
}

// parseFloat is JavaScript's parseFloat(s) for a string.
func parseFloat(s string) float64 {
	s = strings.TrimLeftFunc(s, isSpace)
	f, err := strconv.ParseFloat(s[:decimalPrefix(s)], 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// decimalPrefix returns the length of the decimal number at the start of s. It exists because Go's
// syntax accepts more than JavaScript's: "inf", "nan", "0x1p4", "1_0".
func decimalPrefix(s string) int {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	if strings.HasPrefix(s[i:], "Infinity") {
		return i + len("Infinity")
	}
	whole := digits(s[i:])
	i += whole
	if i < len(s) && s[i] == '.' {
		fraction := digits(s[i+1:])
		if whole+fraction == 0 {
			return 0
		}
		i += 1 + fraction
	} else if whole == 0 {
		return 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		e := i + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if exponent := digits(s[e:]); exponent > 0 {
			i = e + exponent
		}
	}
	return i
}

func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}

func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff:
		return true
	}
	return 0x2000 <= r && r <= 0x200a
}

// formatNumber is JavaScript's Number.toString.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	if a := math.Abs(f); a >= 1e21 || a < 1e-6 {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		mantissa, exponent, _ := strings.Cut(s, "e")
		return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
