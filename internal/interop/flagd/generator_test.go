package flagd_test

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
)

// A scenario is a flag document and contexts for its evaluation.
type scenario struct {
	document map[string]any
	contexts []map[string]any
}

func (s scenario) json() []byte { return encode(s.document) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the generator makes only values that JSON can express
	}
	return b
}

// A generator makes scenarios from choices. Choice 0 is always the smallest one, so a source that is
// exhausted, and returns 0 for ever, ends the scenario.
type generator struct {
	choose func(n int) int // from 0 to n-1
}

// seeded chooses at random.
func seeded(seed uint64) *generator {
	r := rand.New(rand.NewPCG(seed, 0))
	return &generator{r.IntN}
}

// fromBytes chooses by the bytes of a fuzzer.
func fromBytes(data []byte) *generator {
	return &generator{func(n int) int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b) % n
	}}
}

func pick[T any](g *generator, items ...T) T { return items[g.choose(len(items))] }

// oneIn is true for one in n choices.
func (g *generator) oneIn(n int) bool { return g.choose(n) == n-1 }

func (g *generator) scenario() scenario {
	flags := map[string]any{}
	evaluators := map[string]any{
		"staff":  map[string]any{"ends_with": []any{variable("email"), "@example.com"}},
		"adult":  g.bool(2),
		"nested": map[string]any{"and": []any{map[string]any{"$ref": "staff"}, true}},
	}
	for i := range 1 + g.choose(4) {
		flags["flag-"+strconv.Itoa(i)] = g.flag()
	}
	doc := map[string]any{"flags": flags, "$evaluators": evaluators}
	if g.oneIn(4) {
		doc["metadata"] = map[string]any{"set": "random"}
	}
	s := scenario{document: doc}
	for range 1 + g.choose(4) {
		s.contexts = append(s.contexts, g.context())
	}
	return s
}

// flag is a definition, which is usually valid.
func (g *generator) flag() map[string]any {
	f := map[string]any{"state": "ENABLED", "variants": g.variants()}
	if g.oneIn(12) {
		f["state"] = "DISABLED"
	}
	switch g.choose(8) {
	case 6: // none
	case 7:
		f["defaultVariant"] = nil
	default:
		f["defaultVariant"] = "on"
	}
	if g.oneIn(60) {
		f["defaultVariant"] = "no-such-variant"
	}
	switch g.choose(12) {
	case 0: // none
	case 10:
		f["targeting"] = map[string]any{}
	case 11:
		f["targeting"] = nil
	default:
		f["targeting"] = g.targeting()
	}
	if g.oneIn(6) {
		f["metadata"] = map[string]any{"owner": "team"}
	}
	return f
}

func (g *generator) variants() map[string]any {
	switch g.choose(8) {
	case 0:
		return map[string]any{"on": true, "off": false, "true": true, "false": false}
	case 1:
		return map[string]any{"on": "ON", "off": "", "red": "#f00", "a b": "both", "1": "one"}
	case 2:
		return map[string]any{"on": 1.0, "off": 0.0, "red": 1.5, "1": 1e9, "-1": -1.0, "0.5": 0.5}
	case 3:
		return map[string]any{"on": map[string]any{"a": 1.0, "b": []any{"x"}}, "off": map[string]any{}, "red": map[string]any{"c": nil}}
	case 4:
		return map[string]any{"on": []any{1.0, "x"}, "off": []any{}, "red": []any{true}}
	case 5:
		return map[string]any{"on": true, "off": "off", "red": 3.0, "1": false, "true": map[string]any{"k": "v"}}
	case 6:
		return map[string]any{"on": true, "off": false, "red": true, "": false, `a"b`: true, "<b>": false, "ünï": true, "null": false}
	}
	return map[string]any{"on": true}
}

var variantNames = []any{"on", "off", "red", "true", "1", nil, "a b", "no-such-variant", `a"b`, "<b>", "ünï", "null", ""}

// targeting is a rule, which usually gives the name of a variant.
func (g *generator) targeting() any {
	switch g.choose(6) {
	case 4:
		return g.fractional(2)
	case 5:
		return g.any(3)
	}
	args := []any{g.bool(3), g.variant()}
	for g.oneIn(3) {
		args = append(args, g.bool(2), g.variant())
	}
	if !g.oneIn(5) {
		args = append(args, g.variant())
	}
	return map[string]any{"if": args}
}

func (g *generator) variant() any {
	switch g.choose(10) {
	case 7:
		return g.fractional(1)
	case 8:
		return g.bool(1)
	case 9:
		return g.any(2)
	}
	return variantNames[min(g.choose(len(variantNames)), g.choose(len(variantNames)))]
}

func variable(path string) any { return map[string]any{"var": path} }

var paths = []string{
	"email", "age", "country", "version", "beta", "tags", "scores", "user.name", "user.plan.level", "nothing",
	"empty", "orders", "orders.0.qty", "tags.1", "targetingKey", "missing", "user.missing", "$flagd.flagKey", "zero",
	"mixed", "tags.9", "email.length", "user", "1", "numeric",
}

func (g *generator) path() string { return paths[g.choose(len(paths))] }

// context is an evaluation context. Each attribute may be missing, and sometimes has an unusual type.
func (g *generator) context() map[string]any {
	ctx := map[string]any{}
	set := func(name string, values ...any) {
		switch g.choose(8) {
		case 6: // none
		case 7:
			ctx[name] = g.literal(2)
		default:
			ctx[name] = pick(g, values...)
		}
	}
	set("targetingKey", "user-1", "user-2", "u", "", "ünï-7", "user-"+strconv.Itoa(g.choose(200)))
	set("email", "ada@example.com", "bob@elsewhere.org", "", "@example.com", "ada")
	set("age", 17.0, 18.0, 65.0, 0.0, -1.0, 17.5, 42)
	set("country", "ES", "PT", "es", "DE")
	set("version", "1.4.0", "1.4", "v2.0.0", "1.4.0-rc.1", "2", "1.4.0+build", 1.4, "1.x")
	set("beta", true, false)
	set("tags", []any{"a", "b"}, []any{}, []any{"a", 1.0, nil, true})
	set("scores", []any{1.0, 2.0, 3.0}, []any{0.0}, []any{-1.0, 2.5}, []any{})
	set("user", map[string]any{"name": "Ada", "plan": map[string]any{"level": 3.0}}, map[string]any{})
	set("orders", []any{map[string]any{"qty": 1.0, "name": "tea"}, map[string]any{"qty": 20.0, "name": "rum"}}, []any{map[string]any{}})
	set("mixed", []any{"1", 1.0, true, nil, []any{}, "x"}, []any{"x", "y"}, "mixed", 0.0)
	set("empty", "", []any{}, map[string]any{})
	set("zero", 0.0, "0", false)
	set("numeric", "18", "1.5", " 3 ", "1e3", "0x10", "-0")
	set("nothing", nil)
	return ctx
}

// literal is a JSON value.
func (g *generator) literal(depth int) any {
	if depth > 0 && g.oneIn(5) {
		list := []any{}
		for range g.choose(4) {
			list = append(list, g.literal(depth-1))
		}
		return list
	}
	return pick[any](g,
		"on", true, false, 1.0, 0.0, "", "a", nil, "1", "0", -1.0, 2.5, 18.0, "b", "ES", "user-1", "ada@example.com",
		"1.4.0", "x y", "é", "😀a", 1e21, 1e-7, 3.0, "10", "9", "NaN", "true", "null", " 1 ",
		"@example.com", "tags", "email", 4294967296.0, 100.0)
}

// any is an expression with any result.
func (g *generator) any(depth int) any {
	if depth <= 0 {
		if g.oneIn(2) {
			return variable(g.path())
		}
		return g.literal(1)
	}
	switch g.choose(10) {
	case 0:
		return g.literal(1)
	case 1, 2:
		return g.variable(depth)
	case 3:
		return g.bool(depth)
	case 4:
		return g.number(depth)
	case 5:
		return g.text(depth)
	case 6:
		return g.list(depth)
	case 7:
		return g.branch(depth)
	case 8:
		return map[string]any{pick(g, "and", "or"): g.args(depth, 0, 3, g.any)}
	}
	return g.fractional(depth)
}

// args are least to most arguments. A single argument is sometimes written without a list.
func (g *generator) args(depth, least, most int, arg func(int) any) any {
	if least <= 1 && g.oneIn(8) {
		return arg(depth - 1)
	}
	args := []any{}
	for range least + g.choose(most-least+1) {
		if g.oneIn(8) {
			args = append(args, g.any(depth-1))
		} else {
			args = append(args, arg(depth-1))
		}
	}
	return args
}

func (g *generator) variable(int) any {
	switch g.choose(8) {
	case 4:
		return map[string]any{"var": []any{g.path()}}
	case 5:
		return map[string]any{"var": []any{g.path(), g.literal(1)}}
	case 6:
		return map[string]any{"var": pick[any](g, "", 1.0, 0.0, nil, []any{})}
	}
	return variable(g.path())
}

func (g *generator) branch(depth int) any {
	return map[string]any{pick(g, "if", "?:"): g.args(depth, 1, 5, g.any)}
}

func (g *generator) bool(depth int) any {
	if depth <= 0 {
		return pick[any](g, true, false, variable("beta"))
	}
	switch g.choose(16) {
	case 0:
		return map[string]any{"in": []any{variable("country"), []any{"ES", "PT", "FR"}}}
	case 1:
		return map[string]any{pick(g, "==", "!=", "===", "!=="): g.args(depth, 2, 2, g.any)}
	case 2:
		return map[string]any{pick(g, "<", "<=", ">", ">="): g.args(depth, 2, 2, g.number)}
	case 3:
		return map[string]any{pick(g, "<", "<=", ">", ">="): g.args(depth, 2, 2, g.any)}
	case 4:
		return map[string]any{pick(g, "<", "<="): g.args(depth, 3, 3, g.number)}
	case 5:
		return map[string]any{pick(g, "!", "!!"): g.args(depth, 1, 1, g.any)}
	case 6, 7:
		return map[string]any{pick(g, "and", "or"): g.args(depth, 1, 3, g.bool)}
	case 8:
		return map[string]any{"in": g.args(depth, 2, 2, g.any)}
	case 9, 10:
		return map[string]any{pick(g, "starts_with", "ends_with"): g.args(depth, 2, 2, g.text)}
	case 11, 12:
		operator := pick[any](g, ">=", "=", "!=", "<", "<=", ">", "^", "~", "~>", 1.0)
		return map[string]any{"sem_ver": []any{g.version(depth - 1), operator, g.version(depth - 1)}}
	case 13:
		if g.oneIn(40) {
			return map[string]any{"no-such-operator": []any{1.0}}
		}
		return map[string]any{"$ref": pick(g, "staff", "adult", "staff", "adult", "nested", "staff", "adult", "no-such-evaluator")}
	case 14:
		return map[string]any{pick(g, "all", "none", "some"): []any{g.list(depth - 1), g.body(depth - 1)}}
	}
	return map[string]any{pick(g, "===", "!=="): g.args(depth, 2, 2, g.text)}
}

func (g *generator) version(depth int) any {
	switch g.choose(6) {
	case 4:
		return pick[any](g, "1", "v1.4", "V1.4.0", "1.4.0-rc.1", "1.4.0-rc.2", "01.4.0", "1.4.0+b", "", 2.0, nil, "1.4-rc.1", "1.4.0.0", true)
	case 5:
		return g.any(depth)
	}
	return pick[any](g, variable("version"), "1.4.0", "2.0.0", "1.3.9")
}

func (g *generator) number(depth int) any {
	if depth <= 0 {
		return pick[any](g, 1.0, 0.0, -1.0, 2.5, 18.0, 100.0, variable("age"), variable("scores.0"), "18", variable("numeric"))
	}
	switch g.choose(9) {
	case 0:
		return g.number(0)
	case 1:
		return map[string]any{"+": g.args(depth, 1, 3, g.number)}
	case 2:
		return map[string]any{"*": g.args(depth, 1, 3, g.number)}
	case 3:
		return map[string]any{"-": g.args(depth, 1, 2, g.number)}
	case 4:
		return map[string]any{pick(g, "/", "%"): g.args(depth, 2, 2, g.number)}
	case 5, 6:
		return map[string]any{pick(g, "min", "max"): g.args(depth, 1, 3, g.number)}
	case 7:
		body := map[string]any{"+": []any{variable("current"), variable("accumulator")}}
		return map[string]any{"reduce": []any{g.list(depth - 1), body, pick[any](g, 0.0, 1.0, variable("age"), nil, "")}}
	}
	return variable(pick(g, "age", "zero", "user.plan.level", "orders.0.qty"))
}

func (g *generator) text(depth int) any {
	if depth <= 0 {
		return pick[any](g, "ada", "@example.com", variable("email"), variable("country"), "user", "", variable("targetingKey"), "E")
	}
	switch g.choose(4) {
	case 1:
		return map[string]any{"cat": g.args(depth, 1, 3, g.text)}
	case 2:
		args := []any{g.text(depth - 1), pick[any](g, 0.0, 1.0, -1.0, -3.0, 2.0, 9.0, -9.0)}
		if g.oneIn(2) {
			args = append(args, pick[any](g, 1.0, 0.0, -1.0, 2.0, 9.0, -9.0))
		}
		return map[string]any{"substr": args}
	}
	return g.text(0)
}

func (g *generator) list(depth int) any {
	if depth <= 0 {
		return pick[any](g, variable("tags"), variable("scores"), variable("orders"), []any{1.0, 2.0}, []any{}, []any{"a"}, variable("mixed"), variable("missing"))
	}
	switch g.choose(7) {
	case 1:
		return map[string]any{"merge": g.args(depth, 0, 3, g.list)}
	case 2:
		return map[string]any{pick(g, "map", "filter"): []any{g.list(depth - 1), g.body(depth - 1)}}
	case 3:
		return map[string]any{"missing": g.args(depth, 0, 3, g.name)}
	case 4:
		return map[string]any{"missing_some": []any{pick[any](g, 1.0, 0.0, 2.0), []any{g.path(), g.path()}}}
	case 5:
		return g.args(depth, 0, 3, g.any)
	}
	return g.list(0)
}

func (g *generator) name(int) any { return g.path() }

// body is a rule for each element of a list.
func (g *generator) body(depth int) any {
	own := pick[any](g, variable(""), variable("qty"), map[string]any{"var": []any{"qty", 5.0}}, variable("name"), variable("email"))
	switch g.choose(7) {
	case 0:
		return own
	case 1, 2:
		return map[string]any{pick(g, "<", "<=", ">", ">=", "==", "===", "!="): []any{own, g.literal(0)}}
	case 3:
		return map[string]any{pick(g, "+", "*", "cat"): []any{own, g.literal(0)}}
	case 4:
		return map[string]any{"in": []any{own, pick[any](g, []any{"a", 1.0, "tea"}, "abc")}}
	case 5:
		return map[string]any{pick(g, "!", "!!"): []any{own}}
	}
	return g.any(depth)
}

func (g *generator) fractional(depth int) any {
	var args []any
	switch g.choose(6) {
	case 3:
		args = append(args, variable("email"))
	case 4:
		args = append(args, map[string]any{"cat": []any{variable("$flagd.flagKey"), variable("email")}})
	case 5:
		args = append(args, g.any(depth-1))
	}
	for range 1 + g.choose(3) {
		entry := []any{variantNames[min(g.choose(len(variantNames)), g.choose(len(variantNames)))]}
		if g.oneIn(6) {
			entry[0] = g.any(depth - 1)
		}
		switch g.choose(10) {
		case 7: // weight 1
		case 8:
			entry = append(entry, pick[any](g, 0.0, -5.0, nil, 1.5, 2147483647.0, 2147483648.0, "50", 1e19, -1e19))
		case 9:
			entry = append(entry, g.number(depth-1))
		default:
			entry = append(entry, pick[any](g, 50.0, 25.0, 10.0, 1.0, 90.0))
		}
		args = append(args, entry)
	}
	if g.oneIn(30) {
		args = append(args, g.any(depth-1))
	}
	return map[string]any{"fractional": args}
}
