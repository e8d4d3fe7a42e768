package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

const requestTimeout = 30 * time.Second

// load reads the build of a source.
func (c *command) load(ctx context.Context, source string) (version.Info, error) {
	switch {
	case source == "-":
		data, err := readAll(c.in, version.MaxSnapshot)
		if err != nil {
			return version.Info{}, fmt.Errorf("standard input: %w", err)
		}
		return version.Parse("standard input", data)
	case strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://"):
		return fetch(ctx, source)
	}
	info, err := version.ReadFile(source)
	if !errors.Is(err, version.ErrNotGoProgram) {
		return info, err
	}
	data, readErr := readFile(source, version.MaxSnapshot)
	if readErr != nil {
		return version.Info{}, err
	}
	if info, parseErr := version.Parse(source, data); parseErr == nil || bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return info, parseErr
	}
	return version.Info{}, err
}

// fetch reads the build of an endpoint.
func fetch(ctx context.Context, address string) (version.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return version.Info{}, usagef("%q is not an address", address)
	}
	name := u.Redacted()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return version.Info{}, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", version.Current().UserAgent())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return version.Info{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return version.Info{}, fmt.Errorf("%s answers %q", name, response.Status)
	}
	data, err := readAll(response.Body, version.MaxSnapshot)
	if err != nil {
		return version.Info{}, fmt.Errorf("%s: %w", name, err)
	}
	return version.Parse(name, data)
}

func readAll(r io.Reader, most int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("is longer than %d bytes", most)
	}
	return data, err
}

func readFile(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readAll(f, most)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

func (c *command) show(ctx context.Context, args []string) error {
	args, err := c.parse(flag.NewFlagSet("show", flag.ContinueOnError), args, 1, 1)
	if err != nil {
		return err
	}
	info, err := c.load(ctx, args[0])
	if err != nil {
		return err
	}
	text := info.String() + "\n"
	for _, conflict := range info.Conflicts {
		text += "conflict: " + conflict.String() + "\n"
	}
	return c.print(info, text+info.BuildInfo().String())
}

func (c *command) diff(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("diff", flag.ContinueOnError)
	exitCode := flags.Bool("exit-code", false, "")
	args, err := c.parse(flags, args, 2, 2)
	if err != nil {
		return err
	}
	old, err := c.load(ctx, args[0])
	if err != nil {
		return err
	}
	new, err := c.load(ctx, args[1])
	if err != nil {
		return err
	}
	changes := version.Diff(old, new)
	if err := c.print(changes, changes.String()); err != nil {
		return err
	}
	if *exitCode && !changes.Empty() {
		return errDifferent
	}
	return nil
}
