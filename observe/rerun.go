package observe

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/rerun"
)

// decode sets value to a recorded result. It reports to the replay what the result lacks.
func decode(replay rerun.Replay, name string, result []byte, dynamic string, value reflect.Value) error {
	if value.Kind() == reflect.Interface {
		return decodeDynamic(replay, name, result, dynamic, value)
	}
	if err := json.Unmarshal(result, value.Addr().Interface()); err != nil {
		return err
	}
	if what := lossy(value.Type(), map[reflect.Type]bool{}); what != "" {
		replay.Lost(name, what+" is not in the bundle")
	}
	var then, now any
	again, err := json.Marshal(value.Interface())
	if err != nil || json.Unmarshal(again, &now) != nil || json.Unmarshal(result, &then) != nil {
		return nil
	}
	if member := unread(then, now); member != "" {
		replay.Lost(name, fmt.Sprintf("the recorded member %q has no place in %v", member, value.Type()))
	}
	return nil
}

// basic are types that a result for an interface can be made of again.
var basic = func() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, v := range []any{
		false, "", 0, int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0), uint32(0), uint64(0), float32(0), float64(0),
		[]byte(nil), []string(nil), []int(nil), []int64(nil), []float64(nil), []bool(nil), map[string]string(nil), map[string]int(nil),
		time.Time{},
		time.Duration(0), json.Number(""), json.RawMessage(nil), map[string]any(nil), []any(nil),
	} {
		types[typeName(v)] = reflect.TypeOf(v)
	}
	return types
}()

func decodeDynamic(replay rerun.Replay, name string, result []byte, dynamic string, value reflect.Value) error {
	if string(result) == "null" {
		return nil
	}
	t := basic[dynamic]
	if t == nil || !t.AssignableTo(value.Type()) {
		if dynamic == "" {
			dynamic = "a type that the bundle does not name"
		}
		return errors.New("the result was " + dynamic + ", which a replay cannot make for an interface: call observe.Value with a concrete type")
	}
	made := reflect.New(t)
	if err := json.Unmarshal(result, made.Interface()); err != nil {
		return err
	}
	if strings.Contains(dynamic, "interface") {
		replay.Lost(name, "types inside of "+dynamic+" are not in the bundle")
	}
	value.Set(made.Elem())
	return nil
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// lossy names what JSON does not keep of a type, or returns "".
func lossy(t reflect.Type, seen map[reflect.Type]bool) string {
	if p := reflect.PointerTo(t); seen[t] || p.Implements(jsonMarshaler) || p.Implements(textMarshaler) {
		return ""
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return lossy(t.Elem(), seen)
	case reflect.Interface:
		return "the type inside of an interface"
	case reflect.Struct:
		for f := range t.Fields() {
			if !f.IsExported() && !f.Anonymous || f.Tag.Get("json") == "-" {
				return fmt.Sprintf("field %s of %v", f.Name, t)
			}
			if what := lossy(f.Type, seen); what != "" {
				return what
			}
		}
	}
	return ""
}

// unread is a member of then that now lacks, or "".
func unread(then, now any) string {
	switch then := then.(type) {
	case map[string]any:
		now, _ := now.(map[string]any)
		for name, member := range then {
			other, ok := now[name]
			if !ok && !hasFold(now, name) {
				return name
			}
			if inner := unread(member, other); ok && inner != "" {
				return name + "." + inner
			}
		}
	case []any:
		now, _ := now.([]any)
		for i := range min(len(then), len(now)) {
			if inner := unread(then[i], now[i]); inner != "" {
				return inner
			}
		}
	}
	return ""
}

func hasFold(members map[string]any, name string) bool {
	for other := range members {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}
