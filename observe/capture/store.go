package capture

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Store keeps bundles. [Dir] is one; another may be a bucket.
//
// Names are those that [NewName] makes, so that they sort by time; a Store refuses
// others with [ErrName]. What is not there is fs.ErrNotExist. A Store may be used by
// several goroutines at once, and others may add and remove bundles meanwhile. Put
// and Remove should return when ctx is done.
//
// Reading is that of an fs.FS whose one directory is ".": [Handler] lists it by
// fs.ReadDir.
type Store interface {
	fs.FS

	// Put keeps a file under its name, whole or not at all.
	Put(ctx context.Context, name string, data []byte) error

	// Remove deletes a file.
	Remove(ctx context.Context, name string) error
}

// A Sweeper is a [Store] that deletes what has grown too old. An Observer asks it
// once an hour, so that bundles go also when no new ones come.
type Sweeper interface {
	Sweep(ctx context.Context) error
}

const nameLayout = "20060102T150405.000Z"

var (
	nameForm     = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[a-z2-7]{16}\.har$`)
	nameEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")
)

// NewName makes the name of a bundle: the time, in UTC, and 80 random bits. Nothing
// of a request is in it.
func NewName(t time.Time) string {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	return t.UTC().Format(nameLayout) + "-" + nameEncoding.EncodeToString(random[:]) + ".har"
}

// NameTime gives the time in a name, or [ErrName] for what [NewName] cannot have
// made. Stores tell by it which bundles are old.
func NameTime(name string) (time.Time, error) {
	if nameForm.MatchString(name) {
		if t, err := time.Parse(nameLayout, name[:len(nameLayout)]); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %q", ErrName, cleantext.Clip(name, 64))
}

// Erase removes all bundles that hold a pseudonym, as [Redactor.Pseudonym] gives it for
// what a person asks to be forgotten, and tells how many they were. It reads every
// bundle. Bundles with other pseudonyms of the same person, such as of another key,
// it does not find. A short pseudonym is in many bundles by chance; they all go.
func Erase(ctx context.Context, store Store, pseudonym string) (int, error) {
	if strings.TrimSpace(pseudonym) == "" {
		return 0, errors.New("capture: Erase: no pseudonym")
	}
	entries, err := fs.ReadDir(store, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	forms := escapes(pseudonym)
	erased := 0
	var faults []error
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return erased, errors.Join(append(faults, err)...)
		}
		data, err := fs.ReadFile(store, entry.Name())
		if err == nil && containsWhole(string(data), forms) {
			if err = store.Remove(ctx, entry.Name()); err == nil {
				erased++
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return erased, errors.Join(faults...)
}

// escapes are the forms that a text has in a bundle: in JSON, in JSON within JSON,
// and in URLs.
func escapes(s string) []string {
	inside := func(s string) string {
		q := quoted(s)
		return q[1 : len(q)-1]
	}
	once := inside(s)
	return []string{s, once, inside(once), inside(url.QueryEscape(s)), inside(url.PathEscape(s))}
}

// containsWhole reports whether one of the forms is in s and not a part of something longer.
func containsWhole(s string, forms []string) bool {
	for _, form := range forms {
		for from := 0; ; {
			i := strings.Index(s[from:], form)
			if i < 0 {
				break
			}
			start := from + i
			end := start + len(form)
			if (start == 0 || !isAlnum(s[start-1]) || !isAlnum(form[0])) && (end == len(s) || !isAlnum(s[end]) || !isAlnum(form[len(form)-1])) {
				return true
			}
			from = start + 1
		}
	}
	return false
}

// A Summary is what a list tells of a bundle.
type Summary struct {
	Name      string    `json:"name"`
	Time      time.Time `json:"time"`
	Bytes     int64     `json:"bytes"`
	RequestID string    `json:"requestId,omitempty"`
	TraceID   string    `json:"traceId,omitempty"`
	Route     string    `json:"route,omitempty"`
	Reason    Reason    `json:"reason,omitempty"`
	Status    int       `json:"status,omitempty"`
	Build     string    `json:"build,omitempty"`
}

// List tells of the bundles in a store, the newest first. It reads only the
// beginning of each.
func List(store Store) ([]Summary, error) {
	entries, err := fs.ReadDir(store, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a directory that nothing was written to yet
	}
	if err != nil {
		return nil, err
	}
	var list []Summary
	for i := len(entries) - 1; i >= 0; i-- {
		name := entries[i].Name()
		t, err := NameTime(name)
		if err != nil {
			continue
		}
		s := Summary{Name: name, Time: t}
		f, err := store.Open(name)
		if err != nil {
			continue // it has gone meanwhile
		}
		if info, err := f.Stat(); err == nil {
			s.Bytes = info.Size()
		}
		s.read(io.LimitReader(f, 16<<10))
		_ = f.Close()
		list = append(list, s)
	}
	return list, nil
}

// read takes the members of log._upkeep as far as the beginning of the file has them.
func (s *Summary) read(r io.Reader) {
	dec := json.NewDecoder(r)
	fields := map[json.Token]any{
		"requestId": &s.RequestID, "traceId": &s.TraceID, "route": &s.Route, "reason": &s.Reason, "status": &s.Status, "build": &s.Build,
	}
	for _, enter := range []string{"log", "_upkeep", ""} {
		if t, err := dec.Token(); err != nil || t != json.Delim('{') {
			return
		}
		for {
			name, err := dec.Token()
			if err != nil || name == json.Delim('}') {
				return
			}
			if name == enter {
				break
			}
			field, ok := fields[name]
			if !ok || enter != "" {
				field = new(json.RawMessage)
			}
			var wrongType *json.UnmarshalTypeError
			if err := dec.Decode(field); err != nil && !errors.As(err, &wrongType) {
				return
			}
		}
	}
}
