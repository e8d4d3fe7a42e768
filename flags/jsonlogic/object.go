package jsonlogic

import (
	"reflect"
	"strings"
	"sync"
)

// An Object is data that answers for its own members, so that it need not be copied
// into a map. Get returns false for a member that it does not have. It must not panic,
// be it on a nil pointer.
type Object interface {
	Get(name string) (value any, ok bool)
}

// A Fielder is an [Object] of which the members stand in a map, where they are found
// sooner: all but those whose names begin with "$", for which Get is asked. With nil
// Get is asked for all.
type Fielder interface {
	Object
	Fields() map[string]any
}

// A field is a member of a struct, under the name that encoding/json gives it.
type field struct {
	name  string
	index []int
}

// of returns the field's value, false when it lies behind a nil pointer.
func (f field) of(r reflect.Value) (any, bool) {
	v, err := r.FieldByIndexErr(f.index)
	if err != nil {
		return nil, false
	}
	return v.Interface(), true
}

var fieldCache sync.Map // reflect.Type → []field

// fieldsOf lists the exported fields of a struct, those of embedded structs
// included, the shallower first.
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
			continue // its fields are listed themselves
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

// exportedPath says whether a promoted field can be read: not through a pointer to
// an unexported struct.
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
