package capture

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
)

// fitted redacts a result so that it can be decoded into its type: numbers stay in the range of
// their type, and names of an enumeration are other names of it. It reports whether that is possible.
func (m *mask) fitted(data json.RawMessage, t reflect.Type, c *rules) (json.RawMessage, bool) {
	j := &jsonText{mask: m, text: string(data), stays: c.places(), names: c.names}
	j.fit = func(at []any, original string, pseudonym []byte) []byte {
		if leaf := typeAt(t, at); leaf != nil && !decodes(leaf, pseudonym) {
			return m.inRange(leaf, original, pseudonym)
		}
		return pseudonym
	}
	if !j.redact() || !decodes(t, j.out) {
		return nil, false
	}
	return j.out, true
}

// decodes survives types whose methods panic.
func decodes(t reflect.Type, data []byte) (ok bool) {
	defer func() { _ = recover() }()
	return json.Unmarshal(data, reflect.New(t).Interface()) == nil
}

// typeAt is the type of what is at a place in the JSON form of a type; nil when it is not known.
func typeAt(t reflect.Type, at []any) reflect.Type {
	for _, step := range at {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name, isName := step.(string)
		switch t.Kind() {
		case reflect.Map, reflect.Slice, reflect.Array:
			t = t.Elem()
		case reflect.Struct:
			if t = memberOf(t, name); t == nil || !isName {
				return nil
			}
		default:
			return nil
		}
	}
	return t
}

func memberOf(t reflect.Type, name string) reflect.Type {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" {
			tag = f.Name
		}
		if f.IsExported() && strings.EqualFold(tag, name) {
			return f.Type
		}
	}
	return nil
}

// inRange returns another value of type t. If there is no other, it returns the pseudonym.
func (m *mask) inRange(t reflect.Type, original string, pseudonym []byte) (fit []byte) {
	fit = pseudonym
	defer func() { _ = recover() }() // of methods of t
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	m.source.Seed(*digest(m, "fit", original))
	random := rand.New(m.source)
	var all []string
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		all = enumerated(t, original)
		if n, ok := anyInteger(t, original, random); ok {
			all = append(all, n)
		}
	case reflect.Float32, reflect.Float64:
		sign := strings.TrimSuffix(original[:1], strings.TrimPrefix(original[:1], "-"))
		all = []string{sign + strconv.FormatFloat(1+random.Float64(), 'f', 3, 32)}
	default:
		if zero, err := json.Marshal(reflect.New(t).Elem().Interface()); err == nil {
			all = []string{string(zero)}
		}
	}
	random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for _, text := range all {
		if text != original && decodes(t, []byte(text)) {
			return []byte(text)
		}
	}
	return pseudonym
}

// anyInteger is a number of the same sign in the range of t.
func anyInteger(t reflect.Type, original string, r *rand.Rand) (string, bool) {
	bits := t.Bits()
	if _, err := strconv.ParseFloat(original, 64); err != nil {
		return "", false
	}
	if t.Kind() >= reflect.Uint {
		return strconv.FormatUint(1+r.Uint64N(math.MaxUint64>>(64-bits)), 10), true
	}
	n := 1 + r.Int64N(math.MaxInt64>>(64-bits))
	if original[0] == '-' {
		n = -n
	}
	return strconv.FormatInt(n, 10), true
}

// enumerated lists the JSON forms of an enumeration's values that it decodes again, for types
// whose forms are not plain numbers.
func enumerated(t reflect.Type, original string) (all []string) {
	if original[0] != '"' {
		return nil
	}
	for n := -16; n <= 64; n++ {
		v := reflect.New(t).Elem()
		switch {
		case t.Kind() < reflect.Uint:
			v.SetInt(int64(n))
		case n < 0:
			continue
		default:
			v.SetUint(uint64(n))
		}
		data, err := json.Marshal(v.Interface())
		again := reflect.New(t)
		if err == nil && data[0] == '"' && json.Unmarshal(data, again.Interface()) == nil && again.Elem().Equal(v) {
			all = append(all, string(data))
		}
	}
	return all
}
