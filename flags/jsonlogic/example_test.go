package jsonlogic_test

import (
	"errors"
	"fmt"
	"path"
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

// Explain shows how a rule came to its result: each operation with its inputs and its result. Parts
// that were not evaluated do not occur.
func ExampleRule_Explain() {
	rule, err := jsonlogic.Compile([]byte(`{"if": [
		{"and": [{"in": [{"var": "country"}, ["ES", "PT"]]}, {">=": [{"var": "age"}, 18]}]}, "adult",
		"nobody"]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, trace, err := rule.Explain(map[string]any{"country": "FR", "age": 70})
	fmt.Println(result, err)
	fmt.Println(trace)
	// Output:
	// nobody <nil>
	// if → "nobody"
	//   and → false
	//     in → false
	//       var("country") → "FR"
	//       ["ES","PT"]
	//   "nobody"
}

// A custom operator adds details to the explanation.
func ExampleScope_Note() {
	opts := &jsonlogic.Options{Operators: map[string]jsonlogic.Operator{
		"between": func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
			return func(s *jsonlogic.Scope) (any, error) {
				hour, _ := args[0].Eval(s).(float64)
				if s.Explaining() {
					s.Note("hours left", 17-hour)
				}
				return 9 <= hour && hour < 17, nil
			}, nil
		},
	}}
	rule, err := jsonlogic.Compile([]byte(`{"between": [{"var": "hour"}]}`), opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, trace, err := rule.Explain(map[string]any{"hour": 14})
	fmt.Println(trace, err)
	// Output:
	// between → true   # hours left: 3
	//   var("hour") → 14 <nil>
}

func ExampleOptions_log() {
	rule, err := jsonlogic.Compile([]byte(`{"+": [1, {"log": {"var": "n"}}]}`), &jsonlogic.Options{
		Log: func(value any) { fmt.Println("log:", value) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rule.Eval(map[string]any{"n": 2}))
	// Output:
	// log: 2
	// 3 <nil>
}

// A hostile rule or hostile data cannot make an evaluation long.
func ExampleOptions_bounds() {
	rule, err := jsonlogic.Compile([]byte(`{"some": [{"var": "users"}, {"==": [{"var": "name"}, "Ada"]}]}`), &jsonlogic.Options{MaxSteps: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	users := make([]any, 100_000)
	_, err = rule.Eval(map[string]any{"users": users})
	fmt.Println(err)
	fmt.Println(errors.Is(err, jsonlogic.ErrTooManySteps))

	_, err = jsonlogic.Compile([]byte(`[[[[["deep"]]]]]`), &jsonlogic.Options{MaxDepth: 4})
	fmt.Println(err)
	// Output:
	// jsonlogic: the evaluation takes too many steps: at most 1000
	// true
	// jsonlogic: the rule is nested too deep: at most 4
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

// environment returns its fields without a copy into a map[string]any.
type environment map[string]string

func (e environment) Get(name string) (any, bool) {
	v, ok := e[name]
	return v, ok
}

// A custom operator that is true or false should be a predicate: it is then one function call
// between an attribute and a decision.
func ExamplePredicate() {
	opts := &jsonlogic.Options{Predicates: map[string]jsonlogic.Predicate{
		"glob": func(args []jsonlogic.Arg) (func(*jsonlogic.Scope) (holds, ok bool), error) {
			if len(args) != 2 {
				return nil, errors.New("glob takes a text and a pattern")
			}
			return func(s *jsonlogic.Scope) (holds, ok bool) {
				text, ok := args[0].Eval(s).(string)
				pattern, also := args[1].Eval(s).(string)
				if !ok || !also {
					return false, false // null
				}
				holds, err := path.Match(pattern, text)
				return holds, err == nil
			}, nil
		},
	}}
	rule, err := jsonlogic.Compile([]byte(`{"if": [{"glob": [{"var": "host"}, "*.example.com"]}, "ours", "theirs"]}`), opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rule.Eval(map[string]any{"host": "shop.example.com"}))
	fmt.Println(rule.Eval(map[string]any{"host": "example.org"}))
	// Output:
	// ours <nil>
	// theirs <nil>
}

// In the dialect of flagd all arguments of a comparison count, and a rule that both of flagd's
// engines refuse is an error.
func ExampleDialect() {
	for _, rule := range []string{`{">": [65, {"var": "age"}, 18]}`, `{"/": [2, {"var": "none"}]}`} {
		for _, dialect := range []jsonlogic.Dialect{jsonlogic.DialectStandard, jsonlogic.DialectFlagd} {
			r, err := jsonlogic.Compile([]byte(rule), &jsonlogic.Options{Dialect: dialect})
			if err != nil {
				fmt.Println(err)
				return
			}
			result, err := r.Eval(map[string]any{"age": 10})
			fmt.Println(dialect, result, err)
		}
	}
	// Output:
	// standard true <nil>
	// flagd false <nil>
	// standard +Inf <nil>
	// flagd <nil> jsonlogic: "/": invalid arguments
}
