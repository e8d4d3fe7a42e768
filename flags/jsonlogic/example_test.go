package jsonlogic_test

import (
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

func Example() {
	rule, err := jsonlogic.Compile([]byte(`{"if": [
		{"in": [{"var": "country"}, ["ES", "PT"]]}, "iberia",
		{">=": [{"var": "age"}, 65]},               "senior",
		"everyone"]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, user := range []map[string]any{{"country": "PT"}, {"country": "FR", "age": 70}, {}} {
		segment, err := rule.Eval(user)
		fmt.Println(segment, err)
	}
	// Output:
	// iberia <nil>
	// senior <nil>
	// everyone <nil>
}

func ExampleOperator() {
	opts := &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"upper": func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
			if len(args) != 1 {
				return nil, fmt.Errorf("upper: takes one argument, got %d", len(args))
			}
			return func(s *jsonlogic.Scope) (any, error) {
				text, _ := args[0].Eval(s).(string)
				return strings.ToUpper(text), nil
			}, nil
		},
	}}
	rule, err := jsonlogic.Compile([]byte(`{"upper": {"var": "name"}}`), opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rule.Eval(map[string]any{"name": "ada"}))

	_, err = jsonlogic.Compile([]byte(`{"if": [true, {"upper": []}]}`), opts)
	fmt.Println(err)
	// Output:
	// ADA <nil>
	// jsonlogic: /if/1/upper: upper: takes one argument, got 0
}

func ExampleObject() {
	rule, err := jsonlogic.Compile([]byte(`{"==": [{"var": "host"}, "shop-1"]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rule.Eval(environment{"host": "shop-1"}))
	// Output: true <nil>
}

// environment answers for its members without being copied into a map[string]any.
type environment map[string]string

func (e environment) Get(name string) (any, bool) {
	v, ok := e[name]
	return v, ok
}
