package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// A red is the content of the file beside a bundle that says that the bundle's failure was
// reproduced.
type red struct {
	Bundle  string    `json:"bundle"`            // SHA-256 of the bundle's file, so of its redaction, too
	Hidden  []string  `json:"hidden"`            // parts of the request that were hidden after Options.Prepare
	Build   string    `json:"build,omitempty"`   // Options.Build of the code that failed
	Of      string    `json:"of,omitempty"`      // the build that the bundle is from
	Failure string    `json:"failure,omitempty"` // for people
	Time    time.Time `json:"time"`
}

const maxRed = 1 << 20 // bytes

// redSuffix is what the name of the file has after that of the bundle.
const redSuffix = ".red"

func digestOf(bundle []byte) string {
	sum := sha256.Sum256(bundle)
	return hex.EncodeToString(sum[:])
}

// parseRed reads the file.
func parseRed(data []byte) (*red, error) {
	if len(data) > maxRed {
		return nil, fmt.Errorf("%d bytes are too many", len(data))
	}
	r := &red{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	if len(r.Bundle) != 2*sha256.Size {
		return nil, errors.New("bundle: not a SHA-256 digest in hexadecimal")
	}
	return r, nil
}

// readRed returns nil without an error when there is no file.
func readRed(path string) (*red, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRed+1))
	if err != nil {
		return nil, err
	}
	r, err := parseRed(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// proves reports whether r was written for the same bundle, with the same parts of the request
// hidden, as now.
func (r *red) proves(now *red) bool {
	return r != nil && r.Bundle == now.Bundle && slices.Equal(r.Hidden, now.Hidden)
}

// write replaces the file, unless it says the same already.
func (r *red) write(path string) error {
	if old, err := readRed(path); err == nil && old.proves(r) && old.Build == r.Build {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o644)
}
