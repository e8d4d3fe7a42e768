package flagd_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A jsCore is a process with flagd's JavaScript core.
type jsCore struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// startJS starts the process. It skips the test if something is missing, but fails it in CI.
func startJS(t *testing.T) *jsCore {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		message := what + ": run ./setup in internal/interop/flagd, which gets what is needed on Debian"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("there is no node")
	}
	if _, err := os.Stat(filepath.Join("js", "node_modules", ".package-lock.json")); err != nil {
		missing("the npm packages are not installed")
	}
	cmd := exec.Command(node, filepath.Join("js", "evaluate.mjs"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		require.NoError(t, cmd.Wait())
	})
	return &jsCore{in, bufio.NewReaderSize(out, 1<<20)}
}

// An asked is a request for one evaluation.
type asked struct {
	Key     string         `json:"key"`
	Type    string         `json:"type"`
	Context map[string]any `json:"context"`
}

// ask evaluates flags of a document. The error means that the document is refused.
func (js *jsCore) ask(t *testing.T, document []byte, asks []asked) ([]outcome, error) {
	t.Helper()
	for i := range asks {
		switch asks[i].Type {
		case "bool":
			asks[i].Type = "boolean"
		case "float", "int":
			asks[i].Type = "number"
		}
	}
	line := encode(map[string]any{"document": string(document), "asks": asks})
	_, err := js.in.Write(append(line, '\n'))
	require.NoError(t, err)
	text, err := js.out.ReadBytes('\n')
	require.NoError(t, err)
	var answer struct {
		Error   string
		Answers []outcome
	}
	require.NoError(t, json.Unmarshal(text, &answer))
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	require.Len(t, answer.Answers, len(asks))
	for i, o := range answer.Answers {
		if o.Code != "" {
			answer.Answers[i] = failure(o.Code)
		}
	}
	return answer.Answers, nil
}
