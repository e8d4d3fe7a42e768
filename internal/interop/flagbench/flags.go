package main

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// The three flags, all booleans. Each user has every attribute that a rule reads, so that no engine leaves
// a rule early. The flags with a rule are on for half of the users.
const (
	static = "static" // on for all
	rule   = "rule"   // two conditions, then a split
	long   = "long"   // twenty conditions, then a split
)

// An operator is one that every engine has, under any name.
type operator int

const (
	in operator = iota
	startsWith
	endsWith
	atLeast
)

// A condition is about one attribute. All conditions of a rule must hold.
type condition struct {
	attribute string
	op        operator
	values    []string // for in; other operators use the first
	number    float64  // of atLeast
}

// conditions are the rules of the flags.
var conditions = map[string][]condition{
	rule: {
		{attribute: "email", op: endsWith, values: []string{"@example.com"}},
		{attribute: "country", op: in, values: []string{"ES", "PT", "FR", "DE"}},
	},
	long: twenty(),
}

func twenty() (all []condition) {
	for i := range 20 {
		c := condition{attribute: fmt.Sprintf("attribute%02d", i), op: operator(i % 4)}
		switch c.op {
		case in:
			c.values = []string{"red", "green", "blue", "value-" + strconv.Itoa(i)}
		case startsWith:
			c.values = []string{"value-"}
		case endsWith:
			c.values = []string{"-" + strconv.Itoa(i)}
		case atLeast:
			c.number = float64(i)
		}
		all = append(all, c)
	}
	return all
}

// A user is the subject of an evaluation: a key and attributes, which are strings and float64.
type user struct {
	key        string
	attributes map[string]any
}

// userFor has the attributes that a flag's rule reads, and a plan.
func userFor(flag, key string) user {
	u := user{key, map[string]any{"email": key + "@example.com", "country": "DE", "plan": "pro"}}
	if flag == long {
		for i, c := range conditions[long] {
			if c.op == atLeast {
				u.attributes[c.attribute] = float64(i)
			} else {
				u.attributes[c.attribute] = "value-" + strconv.Itoa(i)
			}
		}
	}
	return u
}

// flat is the user in the form for flagd and OpenFeature's providers.
func (u user) flat() map[string]any {
	m := map[string]any{"targetingKey": u.key}
	for name, v := range u.attributes {
		m[name] = v
	}
	return m
}

// flagdDocument is the flags in flagd's format.
func flagdDocument() []byte {
	variants := map[string]any{"on": true, "off": false}
	flags := map[string]any{static: map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": "on"}}
	for flag, all := range conditions {
		flags[flag] = map[string]any{
			"state": "ENABLED", "variants": variants, "defaultVariant": "off",
			"targeting": map[string]any{"if": []any{
				map[string]any{"and": jsonLogic(all)},
				map[string]any{"fractional": []any{[]any{"on", 50}, []any{"off", 50}}},
				"off",
			}},
		}
	}
	return encode(map[string]any{"flags": flags})
}

func jsonLogic(all []condition) (rules []any) {
	for _, c := range all {
		attribute := map[string]any{"var": c.attribute}
		switch c.op {
		case in:
			rules = append(rules, map[string]any{"in": []any{attribute, c.values}})
		case startsWith:
			rules = append(rules, map[string]any{"starts_with": []any{attribute, c.values[0]}})
		case endsWith:
			rules = append(rules, map[string]any{"ends_with": []any{attribute, c.values[0]}})
		case atLeast:
			rules = append(rules, map[string]any{">=": []any{attribute, c.number}})
		}
	}
	return rules
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // v has only maps, lists, strings and numbers
	}
	return b
}
