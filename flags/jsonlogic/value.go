package jsonlogic

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type kind uint8

const (
	nothing kind = iota // null, and JavaScript's undefined
	truth
	number
	text
	list
	object
)

// A value is one JSON value during evaluation. It is passed by value, so that
// comparing and deciding allocate nothing.
type value struct {
	kind kind
	num  float64 // a number; 1 for true
	str  string  // a text
	ref  any     // the Go value it came from, where that is already its result
}

func boolean(b bool) value {
	if b {
		return value{kind: truth, num: 1}
	}
	return value{kind: truth}
}

// toValue reads a Go value: the usual types here, the others by reflection.
func toValue(v any) value {
	switch x := v.(type) {
	case nil:
		return value{}
	case bool:
		return boolean(x)
	case string:
		return value{kind: text, str: x, ref: v}
	case float64:
		return value{kind: number, num: x, ref: v}
	case int:
		return value{kind: number, num: float64(x)}
	case int64:
		return value{kind: number, num: float64(x)}
	case []any:
		return value{kind: list, ref: v}
	case map[string]any, Object:
		return value{kind: object, ref: v}
	case time.Time:
		return value{kind: text, str: x.Format(time.RFC3339Nano)}
	case json.Number:
		f, err := x.Float64()
		if err != nil && !math.IsInf(f, 0) {
			return value{}
		}
		return value{kind: number, num: f}
	case json.RawMessage:
		var parsed any
		if json.Unmarshal(x, &parsed) != nil {
			return value{}
		}
		return toValue(parsed)
	}
	return reflected(v)
}

func reflected(v any) value {
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && r.IsNil() {
		return value{}
	}
	if m, ok := v.(encoding.TextMarshaler); ok {
		return marshaled(m)
	}
	switch r.Kind() {
	case reflect.Pointer:
		if r.Elem().Kind() == reflect.Pointer {
			return value{} // could point to itself, and means nothing in JSON
		}
		return toValue(r.Elem().Interface())
	case reflect.Bool:
		return boolean(r.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return value{kind: number, num: float64(r.Int())}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return value{kind: number, num: float64(r.Uint())}
	case reflect.Float32, reflect.Float64:
		return value{kind: number, num: r.Float()}
	case reflect.String:
		return value{kind: text, str: r.String()}
	case reflect.Slice, reflect.Array:
		return value{kind: list, ref: v}
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String {
			return value{kind: object, ref: v}
		}
	case reflect.Struct:
		return value{kind: object, ref: v}
	}
	return value{}
}

// marshaled is the text of a value that knows it. It is others' code: one that panics
// has no text.
func marshaled(m encoding.TextMarshaler) (v value) {
	defer func() {
		if recover() != nil {
			v = value{}
		}
	}()
	t, err := m.MarshalText()
	if err != nil {
		return value{}
	}
	return value{kind: text, str: string(t)}
}

// Go data can contain itself, which JSON cannot. A walk that has to follow all of it
// goes no deeper and visits no more than this; what lies beyond is null.
const (
	walkDepth = 200
	walkSteps = 1 << 20
)

type walk struct{ depth, steps int }

func (w *walk) down() bool {
	w.depth++
	w.steps++
	return w.depth <= walkDepth && w.steps <= walkSteps
}

func (w *walk) up() { w.depth-- }

// result gives a value to the caller as plain Go.
func (v value) result() any {
	switch v.kind {
	case truth:
		return v.num != 0
	case number:
		if v.ref != nil {
			return v.ref
		}
		return v.num
	case text:
		if v.ref != nil {
			return v.ref
		}
		return v.str
	case list, object:
		switch v.ref.(type) {
		case []any, map[string]any, Object:
			return v.ref
		}
		return v.plain(&walk{})
	}
	return nil
}

// plain copies a list or object of another Go type into a []any or map[string]any.
func (v value) plain(w *walk) any {
	if v.kind != list && v.kind != object {
		return v.result()
	}
	switch v.ref.(type) {
	case []any, map[string]any, Object:
		return v.ref
	}
	defer w.up()
	if !w.down() {
		return nil
	}
	if v.kind == list {
		items := make([]any, v.length())
		for i := range items {
			items[i] = v.element(i).plain(w)
		}
		return items
	}
	r := reflect.ValueOf(v.ref)
	m := map[string]any{}
	if r.Kind() == reflect.Map {
		for key, val := range r.Seq2() {
			m[key.String()] = toValue(val.Interface()).plain(w)
		}
		return m
	}
	for _, f := range fieldsOf(r.Type()) {
		if val, ok := f.of(r); ok {
			m[f.name] = toValue(val).plain(w)
		}
	}
	return m
}

// length and element walk a list of any Go type.
func (v value) length() int {
	if items, ok := v.ref.([]any); ok {
		return len(items)
	}
	return reflect.ValueOf(v.ref).Len()
}

func (v value) element(i int) value {
	if items, ok := v.ref.([]any); ok {
		return toValue(items[i])
	}
	return toValue(reflect.ValueOf(v.ref).Index(i).Interface())
}

// member is data[name], for maps, structs and lists.
func member(data any, name string) (any, bool) {
	switch d := data.(type) {
	case map[string]any:
		v, ok := d[name]
		return v, ok
	case Object:
		return d.Get(name)
	case []any:
		if i, ok := index(name, len(d)); ok {
			return d[i], true
		}
		return nil, false
	case nil, bool, string, float64, int, int64, time.Time:
		return nil, false
	}
	return reflectedMember(reflect.ValueOf(data), name)
}

func reflectedMember(r reflect.Value, name string) (any, bool) {
	switch r.Kind() {
	case reflect.Pointer:
		if r.IsNil() || r.Elem().Kind() == reflect.Pointer {
			return nil, false
		}
		return member(r.Elem().Interface(), name)
	case reflect.Slice, reflect.Array:
		if i, ok := index(name, r.Len()); ok {
			return r.Index(i).Interface(), true
		}
	case reflect.Map:
		if r.Type().Key().Kind() != reflect.String {
			return nil, false
		}
		if v := r.MapIndex(reflect.ValueOf(name).Convert(r.Type().Key())); v.IsValid() {
			return v.Interface(), true
		}
	case reflect.Struct:
		for _, f := range fieldsOf(r.Type()) {
			if f.name == name {
				return f.of(r)
			}
		}
	}
	return nil, false
}

// index reads a list index as JavaScript would: "0", "12", never "01" or "+1".
func index(name string, length int) (int, bool) {
	if name == "" || len(name) > 1 && name[0] == '0' || name[0] == '+' || name[0] == '-' {
		return 0, false
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i < length
}

// truth is JsonLogic's: like JavaScript's, but an empty list is false.
func (v value) truth() bool {
	switch v.kind {
	case truth, number:
		return v.num != 0 && !math.IsNaN(v.num)
	case text:
		return v.str != ""
	case list:
		return v.length() > 0
	case object:
		return true
	}
	return false
}

// number is JavaScript's Number(v).
func (v value) number() float64 {
	switch v.kind {
	case truth, number:
		return v.num
	case text:
		return parseNumber(v.str)
	case list:
		return parseNumber(v.text())
	case object:
		return math.NaN()
	}
	return 0
}

func parseNumber(s string) float64 {
	s = strings.TrimFunc(s, isSpace)
	if s == "" {
		return 0
	}
	if len(s) > 2 && s[0] == '0' {
		base := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'O': 8, 'b': 2, 'B': 2}[s[1]]
		if base != 0 {
			n, err := strconv.ParseUint(s[2:], base, 64)
			if err != nil {
				return math.NaN()
			}
			return float64(n)
		}
	}
	switch strings.TrimLeft(s, "+-") {
	case "Infinity":
	default:
		// Go reads more than JavaScript does: "inf", "nan", "0x1p4", "1_0".
		for i := range len(s) {
			if strings.IndexByte("0123456789+-.eE", s[i]) < 0 {
				return math.NaN()
			}
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff:
		return true
	}
	return 0x2000 <= r && r <= 0x200a
}

// text is JavaScript's String(v).
func (v value) text() string {
	switch v.kind {
	case truth:
		return strconv.FormatBool(v.num != 0)
	case number:
		return formatNumber(v.num)
	case text:
		return v.str
	case list:
		return string(v.appendJoined(nil))
	case object:
		return "[object Object]"
	}
	return "null"
}

// appendJoined appends what Array.join makes of v: null is empty, and lists are
// joined by commas.
func (v value) appendJoined(b []byte) []byte { return v.join(b, &walk{}) }

func (v value) join(b []byte, w *walk) []byte {
	switch v.kind {
	case nothing:
		return b
	case list:
	default:
		return append(b, v.text()...)
	}
	defer w.up()
	if !w.down() {
		return b
	}
	for i := range v.length() {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.element(i).join(b, w)
	}
	return b
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

// primitive is what an object or list is compared as.
func (v value) primitive() value {
	if v.kind == list || v.kind == object {
		return value{kind: text, str: v.text()}
	}
	return v
}

func strictEqual(a, b value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case truth, number:
		return a.num == b.num
	case text:
		return a.str == b.str
	case list, object:
		return same(a.ref, b.ref)
	}
	return true
}

// same says whether two lists or objects are one, as JavaScript compares them.
func same(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != y.Kind() {
		return false
	}
	switch x.Kind() {
	case reflect.Slice:
		return x.Len() == y.Len() && x.Len() > 0 && x.UnsafePointer() == y.UnsafePointer()
	case reflect.Map, reflect.Pointer:
		return x.UnsafePointer() == y.UnsafePointer()
	}
	return false
}

func looseEqual(a, b value) bool {
	if a.kind == b.kind {
		return strictEqual(a, b)
	}
	if a.kind == nothing || b.kind == nothing {
		return false
	}
	a, b = a.primitive(), b.primitive()
	if a.kind == text && b.kind == text {
		return a.str == b.str
	}
	return a.number() == b.number()
}

func less(a, b value) bool {
	a, b = a.primitive(), b.primitive()
	if a.kind == text && b.kind == text {
		return compareUTF16(a.str, b.str) < 0
	}
	return a.number() < b.number()
}

func lessOrEqual(a, b value) bool {
	a, b = a.primitive(), b.primitive()
	if a.kind == text && b.kind == text {
		return compareUTF16(a.str, b.str) <= 0
	}
	return a.number() <= b.number()
}

// compareUTF16 orders texts by their UTF-16 code units, as JavaScript does. That is
// the order of bytes but for characters beyond U+FFFF, whose surrogates come before
// U+E000.
func compareUTF16(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	for i > 0 && !utf8.RuneStart(a[i]) {
		i--
	}
	x, _ := utf8.DecodeRuneInString(a[i:])
	y, _ := utf8.DecodeRuneInString(b[i:])
	if (x > 0xffff) != (y > 0xffff) {
		if x > 0xffff {
			x = 0xd800
		} else {
			y = 0xd800
		}
	}
	if x == y { // bytes that are no UTF-8
		return strings.Compare(a[i:], b[i:])
	}
	return int(x) - int(y)
}
