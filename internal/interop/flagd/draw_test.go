package flagd_test

// An expression is drawn with no regard to the purpose of an operator: all operators, with any number of
// arguments of all types, as a list or not.

var drawnOperators = []string{
	"var", "missing", "missing_some", "if", "?:", "and", "or", "!", "!!", "==", "!=", "===", "!==", "<", "<=", ">", ">=",
	"+", "-", "*", "/", "%", "min", "max", "map", "filter", "reduce", "all", "some", "none", "merge", "in", "cat", "substr",
	"starts_with", "ends_with", "sem_ver", "fractional",
}

var drawnNames = []string{
	"age", "name", "plan", "email", "tags", "scores", "profile", "nothing", "zero", "yes", "no", "big", "numeric", "version",
	"matrix", "people", "empty", "word", "targetingKey", "absent",
}

// expression draws a rule.
func (g *generator) expression(depth int) any {
	switch n := g.choose(20); {
	case n < 4 || depth <= 0 && n < 10:
		return g.drawnLiteral(2)
	case n < 8 || depth <= 0:
		return g.drawnVariable(depth)
	case n == 8:
		list := []any{}
		for range g.choose(4) {
			list = append(list, g.expression(depth-1))
		}
		return list
	}
	operator := pick(g, drawnOperators...)
	if g.choose(6) == 0 {
		return map[string]any{operator: g.expression(depth - 1)}
	}
	count := pick(g, 0, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4)
	if g.choose(2) == 0 {
		count = usualCount(operator)
	}
	args := make([]any, count)
	for i := range args {
		args[i] = g.expression(depth - 1)
	}
	if loops(operator) && count > 1 && g.choose(2) == 0 {
		args[0] = variable(pick(g, "tags", "scores", "matrix", "people", "empty"))
		if g.choose(2) == 0 {
			args[1] = g.drawnBody(operator)
		}
	}
	return map[string]any{operator: args}
}

func loops(operator string) bool {
	switch operator {
	case "map", "filter", "reduce", "all", "some", "none":
		return true
	}
	return false
}

func usualCount(operator string) int {
	switch operator {
	case "var", "missing", "!", "!!":
		return 1
	case "if", "?:", "reduce", "substr", "sem_ver", "fractional":
		return 3
	}
	return 2
}

func (g *generator) drawnBody(operator string) any {
	element := variable(pick(g, "", "", "age", "name", "0"))
	if operator == "reduce" {
		return map[string]any{pick(g, "+", "*", "max", "cat", "-", "merge", "and"): []any{variable("accumulator"), variable("current")}}
	}
	return map[string]any{pick(g, ">", "<", "==", "!=", "===", "+", "in", "cat", "!", "!!", "%"): []any{element, g.drawnLiteral(1)}}
}

func (g *generator) drawnVariable(depth int) any {
	name := pick(g, drawnNames...)
	switch g.choose(12) {
	case 0:
		name = pick(g, "", "profile.name", "profile.level", "tags.0", "tags.9", "people.1.age", "matrix.0.1", "name.first", "scores.x", "$flagd.flagKey", "ключ", "a.b", "1")
	case 1:
		return map[string]any{"var": []any{name, g.drawnLiteral(1)}}
	case 2:
		return map[string]any{"var": []any{name}}
	case 3:
		return map[string]any{"var": g.drawnLiteral(1)}
	case 4:
		if depth > 0 {
			return map[string]any{"var": g.expression(depth - 1)}
		}
	}
	return variable(name)
}

func (g *generator) drawnLiteral(depth int) any {
	if depth > 0 {
		switch g.choose(8) {
		case 0:
			list := []any{}
			for range g.choose(4) {
				list = append(list, g.drawnLiteral(depth-1))
			}
			return list
		case 1:
			if g.choose(4) == 0 {
				return map[string]any{"a": 1.0, "b": "x"}
			}
			return map[string]any{}
		}
	}
	return pick[any](g,
		nil, true, false, 0.0, 1.0, -1.0, 2.0, 3.0, 10.0, 18.0, 2.5, 1e21, 1e-7, 9007199254740993.0,
		"", "a", "b", "c", "0", "1", "-1", "2.5", "10", " 3 ", "1e3", "0x10", "Infinity", "NaN", "null", "true", "age", "tags", "profile.name", "abc", "żółw", "😀x",
		"1.2.3", "1.2", ">=", "^")
}

func (g *generator) drawnContext() map[string]any {
	ctx := map[string]any{}
	typical := map[string][]any{
		"age": {17.0, 18.0, 65.0, 0.0}, "name": {"Ada", "bob", ""}, "plan": {"free", "pro", nil}, "email": {"ada@example.com", ""},
		"tags": {[]any{"a", "b"}, []any{}, []any{"c"}}, "scores": {[]any{3.0, 9.0}, []any{1.0, 2.0, 3.0}, []any{}, []any{0.0}},
		"profile": {map[string]any{}, map[string]any{"name": "Ada", "level": 3.0}, map[string]any{"name": nil}}, "nothing": {nil},
		"zero": {0.0}, "yes": {true}, "no": {false}, "big": {9007199254740993.0, 1e21}, "numeric": {"18", "2.5", " 3 ", "x1"},
		"version": {"1.2.3", "v2.0.0", 1.2}, "matrix": {[]any{[]any{1.0, 2.0}, []any{3.0}}}, "word": {"żółw", "a,b", "😀x"},
		"people": {[]any{map[string]any{"name": "Ada", "age": 36.0}, map[string]any{"name": "Bob", "age": 17.0}}, []any{nil, map[string]any{}}},
		"empty":  {"", []any{}, map[string]any{}}, "targetingKey": {"user-1", "user-2", "user-3", ""},
	}
	for _, name := range drawnNames {
		switch values := typical[name]; {
		case values == nil || g.choose(8) == 0:
		case g.choose(4) == 0:
			ctx[name] = g.drawnLiteral(2)
		default:
			ctx[name] = pick(g, values...)
		}
	}
	return ctx
}

// drawnFlag is a flag whose rule uses a random expression as a condition, or as the name of a variant.
func (g *generator) drawnFlag(depth int) map[string]any {
	rule := g.expression(depth)
	variants := map[string]any{"a": 1.0, "b": 2.0, "c": 3.0}
	if g.choose(3) == 0 {
		for i, name := range []string{"true", "false", "0", "1", "2", "3", "10", "18", "", "null", "abc", "Ada", "-1", "2.5", "3,9"} {
			variants[name] = float64(4 + i)
		}
	} else {
		rule = map[string]any{"if": []any{rule, "a", "b"}}
	}
	if m, ok := rule.(map[string]any); !ok || len(m) == 0 {
		rule = map[string]any{"if": []any{rule, "a", "b"}} // a rule must be an operation
	}
	return map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": "c", "targeting": rule}
}
