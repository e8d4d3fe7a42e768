package schemas_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/version/compat"
)

// root is the folder of the repository.
const root = "../../.."

// A kind is one of the four documents.
type kind struct {
	name   string
	schema string // its file, from the root
	parse  func(name string, data []byte) error

	// fields are the folders whose source asks a document for its fields.
	fields []string
	// sees are texts of the parser's faults that no schema can see. Every other fault of the
	// parser is one of the schema, too.
	unseen []string
	// passes are texts of Lint's findings about what the schema refuses and the parser passes over.
	passes []string
	lint   func(name string, data []byte) string
	seeds  []string // documents that have every field together
}

var kinds = []*kind{
	{
		name: "flags", schema: "flags/flags.schema.json", fields: []string{"flags"},
		parse: func(name string, data []byte) error {
			p, err := flags.Open(context.Background(), flags.Bytes(name, data), &flags.Options{Strict: true, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				err = p.Close()
			}
			return err
		},
		lint: func(name string, data []byte) string {
			return flags.Lint(name, data).Error()
		},
		unseen: []string{
			"is not a variant",
			"there is another flag",
			"there is no evaluator",
			"refers to itself",
			"references follow one another",
			"beyond 2^53", "float64",
		},
		passes: []string{"unknown field", "unknown operator", "a map with several keys"},
		seeds: []string{`{
	"$schema": "s", "$id": "i", "$comment": "c", "title": "t", "description": "d", "x-own": 1, "allowShrink": true,
	"metadata": {"flagSetId": "s", "version": "1", "n": 1},
	"$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
	"flags": {
		"a": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "metadata": {"owner": "me", "kind": "ops", "expires": "2099-01-01"},
			"$schema": "s", "$id": "i", "$comment": "c", "title": "t", "description": "d", "x-own": 1,
			"targeting": {"if": [{"and": [{"$ref": "staff"}, {"in": [{"var": ["country", "ES"]}, ["ES", "PT"]]}]}, "on", {"fractional": [{"var": "email"}, ["on", 10], ["off", 90]]}]}},
		"b": {"state": "DISABLED", "variants": {"x": "X", "y": "Y"}, "defaultVariant": null,
			"targeting": {"if": [{"sem_ver": [{"var": "version"}, ">=", "1.2.3"]}, "y", {"<": [1, {"var": "age"}, 9]}, "x", {"!": [{"missing": ["a"]}]}, "y"]}},
		"c": {"variants": {"one": 1, "two": [null, 2]}, "targeting": null},
		"d": {"variants": {"o": {"k": null}}, "targeting": {}}
	}
}`, `{
	"flags": [
		{"key": "a", "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "metadata": {"owner": "me"}, "targeting": {"if": [{"var": "x"}, "on"]},
			"$schema": "s", "$id": "i", "$comment": "c", "title": "t", "description": "d", "x-own": 1},
		{"key": "b", "variants": {"one": 1}}
	]
}`},
	},
	{
		name: "windows", schema: "downtime/schedule/windows.schema.json", fields: []string{"downtime/schedule"},
		parse: func(name string, data []byte) error {
			_, err := schedule.Parse(name, data)
			return err
		},
		unseen: []string{
			"is already used on line", "bytes, got", "unknown time zone",
			"must lie between the years", "must be a time such as", "must be an instant with", "must be a date such as",
			"must be positive", "must be at most", "must be a clean path", "as the segment", "must have wildcards as whole segments", "must have {", "valid escapes",
			"must be a host", "must be an http or https URL",
			"unknown window", "repeat: ", "except", "actual: ", "start: the clock shows", "start: must be a whole second",
			"duration: must not be longer", "must be after", "must not be before",
		},
		seeds: []string{`{
	"$schema": "s", "allowShrink": true,
	"windows": [
		{"id": "a", "title": "t", "message": "m", "owner": "o", "runbook": "https://x.example/r", "start": "2026-12-06T02:00", "timezone": "Europe/Madrid",
			"duration": "2h", "announce": "3d", "cutoff": "PT5M", "rollback": "1h30m", "mode": "read-only", "overrun": "reopen",
			"scope": {"paths": ["/a/{b}/**", "/{$}"], "hosts": ["*.x.example", "[::1]"], "methods": ["GET"], "work": ["*"]},
			"actual": {"begin": "2026-12-06T01:02:00Z", "end": null, "until": null}},
		{"id": "b", "start": "2026-01-05T03:00:00Z", "duration": "1h", "repeat": "FREQ=WEEKLY;BYDAY=TU", "except": ["2026-12-15"]}
	],
	"freezes": [{"from": "2026-12-20", "to": "2027-01-07", "timezone": "Europe/Madrid", "reason": "r", "windows": ["b"]}, {"from": "2027-02-01T00:00:00Z", "to": "2027-02-02T00:00:00Z"}]
}`},
	},
	{
		name: "packages", schema: "pkgmgmt/packages.schema.json", fields: []string{"pkgmgmt"},
		parse: func(name string, data []byte) error {
			_, err := pkgmgmt.ParsePolicy(name, data)
			return err
		},
		unseen: []string{"improper constraint", "constraint parser error", "module path", "must be positive", "must be at most"},
		seeds: []string{`{
	"$schema": "s", "forbidReplace": true, "allow": ["corp.example/...", "golang.org/x/mod"],
	"rules": [
		{"module": "corp.example/...", "require": ">=1.0, !=1.2.0", "minAge": "3d", "maxBehind": "180d", "reason": "r"},
		{"module": "github.com/pkg/errors", "deny": "archived", "replacement": "errors"},
		{"module": "corp.example/legacy", "accept": ["deprecated", "retracted"], "reason": "r"},
		{"module": "stdlib", "require": ">=1.26"}
	]
}`},
	},
	{
		name: "compat", schema: "version/compat/compat.schema.json", fields: []string{"version/compat"},
		parse: func(name string, data []byte) error {
			_, err := compat.ParsePolicy(name, data, nil)
			return err
		},
		unseen: []string{
			"is not a version that can be compared", "must not have build metadata", "improper constraint", "constraint parser error", "no version satisfies", "blocks every version",
			"has a number after one that is missing", "is a prerelease of an incomplete version", "has build metadata",
			"must not be earlier than deprecation", "is not an address", "must be one line", "must be a date such as", "must be a whole number",
		},
		seeds: []string{`{
	"$schema": "s", "header": "X-Client", "default": [{"minimum": "v1.4.0", "stage": "warn", "reason": "r", "deprecation": "2026-12-01", "sunset": "2027-12-01T00:00:00Z", "link": "https://x.example/"}],
	"peers": {
		"shop": [{"require": ">=1.4 <3 || >=3.2", "block": ["v1.4.3", "1.5.0 - 1.5.2", "build-4711"], "stage": "enforce", "strict": true}],
		"old": [],
		"edge": [{"skew": {"client": "c", "server": "s", "newer": true, "minor": 2}}]
	}
}`},
	},
}

// compile returns the kind's schema.
func (k *kind) compile(t testing.TB) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join(root, filepath.FromSlash(k.schema)))
	require.NoError(t, err)
	return s
}

// validate returns what the schema has against a document, which is parsed as the parser parses it.
func validate(s *jsonschema.Schema, name string, data []byte) error {
	node, err := document.Parse(name, data)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(node.AppendJSON(nil))))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func containsAny(text string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}
