package pkgmgmt

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
)

// A Target is one service and the source of its build information. Exactly one of URL, File
// and BuildInfo must be set.
type Target struct {
	Service     string // "shop"; required
	Environment string // "production"; services of one environment should have equal versions

	// URL is the service's version endpoint, with http or https. The request accepts
	// text/x-go-buildinfo, the format of "go version -m".
	URL string

	// File is the path of a program that the go command built, or of a text in the format of
	// "go version -m".
	File string

	BuildInfo *debug.BuildInfo
}

func (t Target) check() error {
	switch {
	case t.Service == "":
		return errors.New("must have a service")
	case count(t.URL != "", t.File != "", t.BuildInfo != nil) != 1:
		return errors.New("must have one of URL, File and BuildInfo")
	case t.URL != "":
		if u, err := url.Parse(t.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return errors.New("must be a URL with http or https and a host") // the URL may contain a password
		}
	}
	return nil
}

// buildInfoType is the media type of the format of "go version -m".
const buildInfoType = "text/x-go-buildinfo"

// maxBuildInfo is the longest build information, in bytes. Twenty thousand modules fit.
const maxBuildInfo = 4 << 20

func (t Target) read(ctx context.Context, client *http.Client, credentials func(*http.Request) error) (*debug.BuildInfo, error) {
	switch {
	case t.BuildInfo != nil:
		return t.BuildInfo, nil
	case t.File != "":
		return readFile(t.File)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL, nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Accept", buildInfoType)
	if credentials != nil {
		if err := credentials(req); err != nil {
			return nil, fmt.Errorf("no token: %w", err)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode == http.StatusNotAcceptable, resp.StatusCode == http.StatusOK && kind != buildInfoType:
		return nil, errors.New("shows too little")
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	text, err := readAtMost(resp.Body)
	if err != nil {
		return nil, withoutURL(err)
	}
	return parseBuildInfo(text)
}

func readFile(name string) (*debug.BuildInfo, error) {
	stat, err := os.Stat(name) // opening a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	bi, notProgram := buildinfo.ReadFile(name)
	if notProgram == nil {
		return bi, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readAtMost(f)
	if err == nil {
		bi, err = parseBuildInfo(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is neither a program of Go nor its build information: %w", name, err)
	}
	return bi, nil
}

func readAtMost(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBuildInfo+1))
	if err == nil && len(text) > maxBuildInfo {
		return "", fmt.Errorf("the build information is larger than %d bytes", maxBuildInfo)
	}
	return string(text), err
}

// parseBuildInfo reads the text of [debug.BuildInfo.String], and the output of
// "go version -m" for one program, which begins with the program's name and indents the text
// with a tab.
func parseBuildInfo(text string) (*debug.BuildInfo, error) {
	first, rest, _ := strings.Cut(text, "\n")
	if i := strings.LastIndex(first, ": go"); i >= 0 && strings.HasPrefix(rest, "\t") {
		var b bytes.Buffer
		fmt.Fprintf(&b, "go\t%s\n", first[i+len(": "):])
		for line := range strings.Lines(rest) {
			line, indented := strings.CutPrefix(line, "\t")
			if !indented && strings.TrimSpace(line) != "" {
				return nil, errors.New("it has more than one program")
			}
			b.WriteString(line)
		}
		text = b.String()
	}
	bi, err := debug.ParseBuildInfo(text)
	if err != nil {
		return nil, err
	}
	if bi.Path == "" && bi.Main.Path == "" {
		return nil, errors.New("it does not name a program")
	}
	// ParseBuildInfo ignores Go's version.
	if bi.GoVersion == "" {
		first, _, _ := strings.Cut(text, "\n")
		if v, ok := strings.CutPrefix(first, "go\t"); ok {
			bi.GoVersion = v
		}
	}
	return bi, nil
}
