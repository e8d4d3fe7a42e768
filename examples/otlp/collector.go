package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// builder is OpenTelemetry's own. It builds a collector from a list of parts.
const builder = "go.opentelemetry.io/collector/cmd/builder@v0.124.0"

var (
	//go:embed builder.yaml
	parts []byte

	//go:embed collector.yaml
	collectorConfig []byte
)

// collectorPath is the path of the collector. It contains a hash of the parts, so that another list of parts
// makes another collector.
func collectorPath() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "upkeep-examples", fmt.Sprintf("otelcol-%x", sha256.Sum256(parts))[:24]), nil
}

// buildCollector builds the collector unless it exists, and returns its path.
func buildCollector(ctx context.Context, out io.Writer) (path string, err error) {
	path, err = collectorPath()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(path), "build-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := os.WriteFile(filepath.Join(work, "builder.yaml"), parts, 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "run", builder, "--config", "builder.yaml")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	// Another process that builds at the same time gets the same result.
	return path, os.Rename(filepath.Join(work, "built", "otelcol"), path)
}
