package jsonlogic

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

type kind uint8

const (
	null kind = iota // null
	truth
	number
	text
	list
	object
	undefined // as in JavaScript: a missing argument
)

// A value is a JSON value during an evaluation. It is passed by value, so that comparisons and
// decisions do not allocate.
type value struct {
	kind kind
	num  float64 // of a number; 1 for true
	str  string  // of a text
	ref  any     // the Go value, if it can be returned as the result
}

func boolean(b bool) value {
	if b {
		return value{kind: truth, num: 1}
	}
	return value{kind: truth}
}

// toValue converts a Go value: the usual types here, the others by reflection.
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
	case map[string]any:
		return value{kind: object, ref: v}
	case *reduction:
		return value{kind: object, ref: x.object()}
	case Object:
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

func listOf(items []any) value {
	if len(items) == 0 {
		return emptyList
	}
	return value{kind: list, ref: items}
}

var emptyList = value{kind: list, ref: []any{}}

// defined replaces undefined by null.
func defined(v value) value {
	if v.kind == undefined {
		return value{}
	}
	return v
}

func (v value) isNone() bool      { return v.kind == null || v.kind == undefined }
func (v value) isReference() bool { return v.kind == list || v.kind == object }

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
		if e, ok := pointed(r); ok {
			return toValue(e)
		}
		return value{}
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

// pointed returns what a pointer points to, but not another pointer, not even in an interface: a
// pointer may point to itself, and JSON has no pointers to pointers.
func pointed(r reflect.Value) (any, bool) {
	if r.IsNil() {
		return nil, false
	}
	e := r.Elem()
	if e.Kind() == reflect.Interface {
		e = e.Elem()
	}
	if !e.IsValid() || e.Kind() == reflect.Pointer {
		return nil, false
	}
	return e.Interface(), true
}

// marshaled calls MarshalText, which is not our code: on a panic or an error the value is null.
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

// Go data can contain itself, JSON cannot. A walk over all of it goes no deeper and visits no more
// than this. Anything beyond is null.
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
	m := map[string]any{}
	for name, member := range v.each {
		m[name] = member.plain(w)
	}
	return m
}

// each walks the fields of an object of any Go type except [Object], whose fields cannot be listed.
func (v value) each(yield func(name string, member value) bool) {
	r := reflect.ValueOf(v.ref)
	if r.Kind() == reflect.Map {
		for name, member := range r.Seq2() {
			if !yield(name.String(), toValue(member.Interface())) {
				return
			}
		}
		return
	}
	for _, f := range fieldsOf(r.Type()) {
		if member, ok := f.of(r); ok && !yield(f.name, toValue(member)) {
			return
		}
	}
}

func (v value) members() int {
	if r := reflect.ValueOf(v.ref); r.Kind() == reflect.Map {
		return r.Len()
	}
	return len(fieldsOf(reflect.TypeOf(v.ref)))
}

func (v value) length() int {
	if items, ok := v.ref.([]any); ok {
		return len(items)
	}
	return reflect.ValueOf(v.ref).Len()
}

func (v value) element(i int) value { return toValue(v.item(i)) }

func (v value) item(i int) any {
	if items, ok := v.ref.([]any); ok {
		return items[i]
	}
	return reflect.ValueOf(v.ref).Index(i).Interface()
}

// A reduction is the data of the second argument of reduce.
type reduction struct{ current, accumulator any }

// Get implements [Object].
func (r *reduction) Get(name string) (any, bool) {
	switch name {
	case "current":
		return r.current, true
	case "accumulator":
		return r.accumulator, true
	}
	return nil, false
}

// object copies the present fields, for code that reads the whole object.
func (r *reduction) object() map[string]any {
	return map[string]any{"current": r.current, "accumulator": r.accumulator}
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
		if e, ok := pointed(r); ok {
			return member(e, name)
		}
		return nil, false
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

// index parses a list index as JavaScript does: "0" and "12", but not "01" or "+1".
func index(name string, length int) (int, bool) {
	if name == "" || len(name) > 1 && name[0] == '0' || name[0] == '+' || name[0] == '-' {
		return 0, false
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i < length
}

// truth is JsonLogic's truth: as in JavaScript, except that an empty list is false.
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

// text is JavaScript's String(v), except for a list, whose text [Scope.text] builds.
func (v value) text() string {
	switch v.kind {
	case truth:
		return strconv.FormatBool(v.num != 0)
	case number:
		return formatNumber(v.num)
	case text:
		return v.str
	case object:
		return "[object Object]"
	case undefined:
		return "undefined"
	}
	return "null"
}

// An Object is data that returns its own fields, so that it need not be copied into a map. Get
// returns false for a missing field. Get must not panic, even on a nil pointer.
type Object interface {
	Get(name string) (value any, ok bool)
}

// A Fielder is an [Object] with most of its fields in a map, which is faster. Get is called only for
// names that begin with "$". If Fields returns nil, Get is called for all names.
type Fielder interface {
	Object
	Fields() map[string]any
}

// A field is a field of a struct, under the name that encoding/json uses.
type field struct {
	name  string
	index []int
}

// of returns the field's value, or false if it is behind a nil pointer.
func (f field) of(r reflect.Value) (any, bool) {
	v, err := r.FieldByIndexErr(f.index)
	if err != nil {
		return nil, false
	}
	return v.Interface(), true
}

var fieldCache sync.Map // reflect.Type → []field

// fieldsOf returns the exported fields of a struct, including those of embedded structs. Fields at a
// lower depth come first.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		fields, _ := cached.([]field)
		return fields
	}
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || f.Tag.Get("json") == "-":
			continue
		case f.Anonymous && name == "" && isStruct(f.Type):
			continue // its fields are in the list themselves
		case name == "":
			name = f.Name
		}
		if !exportedPath(t, f.Index) {
			continue
		}
		fields = append(fields, field{name, f.Index})
	}
	fieldCache.Store(t, fields)
	return fields
}

func isStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// exportedPath reports whether a promoted field can be read: it cannot if the path goes through a
// pointer to an unexported struct.
func exportedPath(t reflect.Type, path []int) bool {
	for _, i := range path[:len(path)-1] {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		f := t.Field(i)
		if !f.IsExported() && f.Type.Kind() == reflect.Pointer {
			return false
		}
		t = f.Type
	}
	return true
}
