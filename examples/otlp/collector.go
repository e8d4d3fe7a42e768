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

// builder is OpenTelemetry's own, which makes a collector of the parts that a list names.
const builder = "go.opentelemetry.io/collector/cmd/builder@v0.124.0"

var (
	//go:embed builder.yaml
	parts []byte

	//go:embed collector.yaml
	collectorConfig []byte
)

// collectorPath is where the collector is once it is built: its name tells its parts, so
// that another list makes another collector.
func collectorPath() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "upkeep-examples", fmt.Sprintf("otelcol-%x", sha256.Sum256(parts))[:24]), nil
}

// buildCollector makes the collector unless it is there, and returns its path.
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
	// Whoever else builds at the same time ends with the same.
	return path, os.Rename(filepath.Join(work, "built", "otelcol"), path)
}
