package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
)

// schema returns the schema that CycloneDX publishes, from its Go module.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	require.NoError(t, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for url, file := range map[string]string{
		"bom-1.6.schema.json":  "bom-1.6.schema.json",
		"spdx.schema.json":     "spdx.schema.json",
		"jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, c.AddResource("http://cyclonedx.org/schema/"+url, doc))
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	require.NoError(t, err)
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, bill []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(bill))
	require.NoError(t, err)
	return s.Validate(doc)
}

// TestOfAProgram validates the bill of this program, built and run as a user would.
func TestOfAProgram(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "sbom")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	own, err := exec.CommandContext(t.Context(), program).Output()
	require.NoError(t, err)
	s := schema(t)
	require.NoError(t, validate(t, s, own))

	now := time.Now()
	var b bytes.Buffer
	require.NoError(t, run([]string{program}, &b, now))
	require.NoError(t, validate(t, s, b.Bytes()))
	var bill struct {
		Metadata   struct{ Timestamp string }
		Components []struct{ Name, Version, Purl string }
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &bill))
	require.Equal(t, now.UTC().Format(time.RFC3339), bill.Metadata.Timestamp)
	var purls []string
	for _, c := range bill.Components {
		purls = append(purls, c.Purl)
	}
	require.Contains(t, purls, "pkg:golang/github.com/CycloneDX/cyclonedx-go@v0.12.0")
	require.Contains(t, strings.Join(purls, "\n"), "pkg:golang/stdlib@1.")
}

// TestOfUnusualBuilds validates bills of builds that this machine's go command does not make.
func TestOfUnusualBuilds(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for name, bi := range map[string]*debug.BuildInfo{
		"alone":    {Path: "corp.example/shop", Main: debug.Module{Path: "corp.example/shop"}},
		"no main":  {Deps: []*debug.Module{{Path: "a.example/x", Version: "v1.0.0"}}},
		"no names": {Deps: []*debug.Module{{}, {}}},
		"replaced": {
			GoVersion: "devel go1.27-abc X:boringcrypto", Path: "corp.example/shop/cmd/shop", Main: debug.Module{Path: "corp.example/shop", Version: "(devel)"},
			Deps: []*debug.Module{
				{Path: "a.example/X", Version: "v1.0.0", Replace: &debug.Module{Path: "./x"}},
				{Path: "b.example/x", Version: "v1.0.0", Replace: &debug.Module{Path: "c.example/x", Version: "v2.0.0+incompatible", Sum: "h1:x="}},
				{Path: "c.example/x", Version: "v2.0.0+incompatible", Sum: "h1:x="},
				{Path: "d.example/ü \x00\xff", Version: "@#?%"},
			},
			Settings: []debug.BuildSetting{{Key: "-tags", Value: "a,b"}, {Key: "vcs.time", Value: "2026-01-01T00:00:00Z"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			require.NoError(t, sbom.Write(&b, bi, &sbom.Options{Name: "shop"}))
			require.NoError(t, validate(t, s, b.Bytes()), "%s", b.String())
		})
	}
}

// TestTheValidatorLooks: a bill with a mistake must not pass.
func TestTheValidatorLooks(t *testing.T) {
	t.Parallel()
	s := schema(t)
	var b bytes.Buffer
	require.NoError(t, sbom.Write(&b, &debug.BuildInfo{Path: "corp.example/shop", Main: debug.Module{Path: "corp.example/shop"}}, nil))
	for _, edit := range [][2]string{{`"specVersion": "1.6"`, `"specVersion": 1.6`}, {`"type": "application"`, `"type": "app"`}, {`"urn:uuid:`, `"uuid:`}, {`"version": 1,`, `"version": 1, "extra": true,`}} {
		wrong := strings.Replace(b.String(), edit[0], edit[1], 1)
		require.NotEqual(t, b.String(), wrong)
		require.Error(t, validate(t, s, []byte(wrong)), edit[1])
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.EqualError(t, run([]string{"a", "b"}, &b, time.Now()), "takes one program")
	require.ErrorIs(t, run([]string{filepath.Join(t.TempDir(), "missing")}, &b, time.Now()), os.ErrNotExist)
	require.Empty(t, b.String())
}
