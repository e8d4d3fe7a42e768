package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Bounds of an .info, and of a list or go.mod, in bytes. At most maxFetches of them are in
// memory at once. A list of 10,000 versions has 100 KB.
const (
	maxInfo   = 64 << 10
	maxPublic = 4 << 20
)

// invalid is the answer to content of the upstream that breaks the protocol.
func invalid(format string, args ...any) *Refusal {
	return refuse(http.StatusBadGateway, ruleUpstream, "the upstream proxy's answer is invalid: "+fmt.Sprintf(format, args...))
}

// checkList returns a list in ascending order. Each line must begin with a version. Versions
// that the go command cannot use are left out.
func checkList(path string, data []byte) ([]byte, error) {
	var versions []string
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		version := string(fields[0])
		if !semver.IsValid(version) {
			return nil, invalid("the list has the line %q, which is not a version", shown(string(line)))
		}
		if module.CanonicalVersion(version) == version && module.Check(path, version) == nil && !module.IsPseudoVersion(version) {
			versions = append(versions, version)
		}
	}
	slices.SortFunc(versions, semver.Compare)
	return encodeList(slices.Compact(versions)), nil
}

// checkInfo checks an .info. It must have the version, or without one any version of the
// module.
func checkInfo(path, version string, data []byte) error {
	info, err := decodeInfo(data)
	switch {
	case err != nil:
		return err
	case version != "" && info.Version != version:
		return invalid("the .info has the version %q, want %q", shown(info.Version), version)
	case module.CanonicalVersion(info.Version) != info.Version || module.Check(path, info.Version) != nil:
		return invalid("the .info has the invalid version %q", shown(info.Version))
	case info.Time.IsZero():
		return invalid("the .info has no time")
	}
	return nil
}

func decodeInfo(data []byte) (info versionInfo, err error) {
	if err := json.Unmarshal(data, &info); err != nil {
		return info, invalid("the .info is not JSON: %s", shown(err.Error()))
	}
	return info, nil
}

// checkMod checks a go.mod. Its module path may differ from the requested one, because the
// module may be a fork that is only used by replace directives.
func checkMod(data []byte) error {
	if modfile.ModulePath(data) == "" {
		return invalid("the .mod has no module line")
	}
	return nil
}

// checkZip checks a fetched zip and returns its h1: sum.
func (u *upstream) checkZip(ctx context.Context, m module.Version, f *os.File) (string, error) {
	select {
	case u.checks <- struct{}{}:
		defer func() { <-u.checks }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	z, err := openZip(m, f)
	if err == nil {
		var sum string
		if sum, err = sumOfFiles(z); err == nil {
			return sum, nil
		}
		err = unsoundOrBroken(err)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		p := invalid("the zip: %s", refusal.Detail)
		p.Details = refusal.Details
		return "", p
	}
	return "", err
}
