package history

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/version"
)

// Kind is the type of an [Entry].
type Kind string

const (
	// KindStarted is the first sighting of a run: the program has started.
	KindStarted Kind = "started"
	// KindSeen is a later sighting: the program still runs.
	KindSeen Kind = "seen"
	// KindStopped is the last sighting: the program has stopped normally.
	KindStopped Kind = "stopped"
	// KindNoted is an [Event].
	KindNoted Kind = "noted"
)

// An Entry is a sighting of a running program, or an event. [Record], [Keep] and [Note]
// make them. These names in JSON are stable.
type Entry struct {
	// ID identifies the entry: up to 64 ASCII letters, digits and "-._". One ID is stored
	// once. A collector puts the client's name and a slash in front.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`

	// Time is when it happened, by the reporter's clock.
	Time time.Time `json:"time"`

	// Late is how long before Append it happened, by a monotonic clock. It is negative for
	// an event in the future. A store turns it into At.
	Late time.Duration `json:"late,omitzero"` // nanoseconds

	// Received is when the store received the entry, and At when it happened, both by the
	// store's clock: see [Entry.Receive]. A history is ordered by At.
	Received time.Time `json:"received,omitzero"`
	At       time.Time `json:"at,omitzero"`

	// Seq numbers the entries in the order in which the store received them.
	Seq int64 `json:"-"`

	// Client is the client that sent the entry to a collector, as its Authorize named it.
	Client string `json:"client,omitempty"`

	// A sighting has these. Run is the same in all sightings of one process. Every is the
	// interval between them; zero means that only the start is recorded.
	Run         string        `json:"run,omitempty"`
	Every       time.Duration `json:"every,omitzero"` // nanoseconds
	Service     string        `json:"service,omitempty"`
	Environment string        `json:"environment,omitempty"`
	Region      string        `json:"region,omitempty"`
	Cluster     string        `json:"cluster,omitempty"`
	Instance    string        `json:"instance,omitempty"`
	Version     string        `json:"version,omitempty"`
	Revision    string        `json:"revision,omitempty"`
	Rollback    bool          `json:"rollback,omitempty"` // see Deployment

	// Info is the build, without name, environment, origins and conflicts, and Build is a
	// digest of Info. Append needs Info only for KindStarted. A store returns Info if it has
	// it. Entries share the Info: do not change it.
	Build string        `json:"build,omitempty"`
	Info  *version.Info `json:"info,omitempty"`

	// Event is what was noted. Its ID and Time are the entry's.
	Event *Event `json:"event,omitempty"`

	infoJSON []byte // Info encoded by tidy

	// epoch counts how often the clock of a FileStore was set back, offset is the sum of
	// these steps.
	epoch  int64
	offset time.Duration
}

// An Event is any other change: an edited flag, a window that begins, a migration.
type Event struct {
	// ID makes a repeated Note harmless, because one ID is stored once. It is up to 64
	// letters, digits and "-._". Empty means a new one.
	ID string `json:"id,omitempty"`

	Time    time.Time `json:"time,omitzero"` // Zero means now.
	Kind    string    `json:"kind,omitempty"`
	Subject string    `json:"subject,omitempty"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Actor   string    `json:"actor,omitempty"`

	// Service and Environment are what the event is about. Empty means all.
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`

	// URL is an http or https address with details, such as a pull request. It must not
	// contain a user or password. Empty means none.
	URL string `json:"url,omitempty"`

	// Share is the part of the users that the change reached, from 0 to 1: 0.05 for a flag
	// that is now on for 5 % of them. Zero means unknown; then [Suspects] uses a percentage
	// in To, as in "5 %".
	Share float64 `json:"share,omitzero"`
}

const (
	maxName  = 256
	maxValue = 1024

	maxID       = 64
	maxStoredID = 2*maxID + 1 // with the name of a client
	maxLate     = 100 * 366 * 24 * time.Hour
	maxEvery    = 24 * time.Hour
	// maxSkew is how far a reporter's clock may be from the store's clock.
	maxSkew = 5 * time.Second
)

// Receive returns the entry as a store must keep it, where now is the time of receipt by the
// store's clock. At is Time if both clocks agree to within five seconds, and otherwise now
// less Late, so a wrong clock does not change the order. Only events with a negative Late
// happen after receipt.
func (e Entry) Receive(now time.Time) Entry {
	now = now.Round(0).UTC()
	e.Received, e.Time = now, e.Time.UTC()
	e.At = now.Add(-e.Late)
	if d := e.Time.Sub(e.At); d <= maxSkew && d >= -maxSkew {
		e.At = e.Time
	}
	switch {
	case e.At.After(now) && e.Late >= 0:
		e.At = now
	case !inRange(e.At):
		e.At = e.Time
	}
	e.Late = 0
	return e
}

func (e *Entry) sighted() bool { return e.Kind != KindNoted }

func tidyAll(entries []Entry, limit int) ([]Entry, error) {
	kept := make([]Entry, len(entries))
	for n, e := range entries {
		if field, err := e.tidy(limit); err != nil {
			return nil, &EntryError{Index: n, Field: field, Err: err}
		}
		kept[n] = e
	}
	return kept, nil
}

// tidy checks and cleans an entry and sets Build. limit bounds the length of ids.
func (e *Entry) tidy(limit int) (field string, err error) {
	if field, err = e.check(limit); err != nil {
		return field, err
	}
	if e.Info != nil {
		e.Version = cmp.Or(e.Version, cleantext.Line(e.Info.Version, maxName))
		e.Revision = cmp.Or(e.Revision, cleantext.Line(e.Info.Revision, maxName))
		if e.infoJSON != nil {
			return "", nil // tidy was here before
		}
		if err := e.digest(); err != nil {
			return "info", err
		}
	}
	return "", nil
}

func (e *Entry) check(limit int) (field string, err error) {
	fault := func(field, format string, args ...any) (string, error) {
		return field, fmt.Errorf("%w: "+format, append([]any{ErrEntry}, args...)...)
	}
	if !isID(e.ID, limit) {
		return fault("id", "must be 1 to %d letters, digits and \"-._\"", maxID)
	}
	if !inRange(e.Time) {
		return fault("time", "must be between the years 1970 and 2200")
	}
	e.Time = e.Time.Round(0).UTC()
	e.Late = min(max(e.Late, -maxLate), maxLate)
	e.Client = cleantext.Line(e.Client, maxID)
	switch e.Kind {
	case KindNoted:
		if e.Event == nil {
			return fault("event", "is missing")
		}
		v := *e.Event
		v.ID, v.Time = "", time.Time{} // the entry has them
		v.Kind, v.Subject, v.Actor = cleantext.Line(v.Kind, maxName), cleantext.Line(v.Subject, maxName), cleantext.Line(v.Actor, maxName)
		v.From, v.To = cleantext.Line(v.From, maxValue), cleantext.Line(v.To, maxValue)
		v.Service, v.Environment = cleantext.Line(v.Service, maxName), cleantext.Line(v.Environment, maxName)
		v.URL = strings.TrimSpace(v.URL)
		switch {
		case v.Kind == "" && v.Subject == "":
			return fault("event", "has neither kind nor subject")
		case v.URL != "" && !isURL(v.URL):
			return fault("event", "url must be an http or https address of at most %d bytes without a user, got %q", maxValue, cleantext.Line(v.URL, maxName))
		case !(v.Share >= 0 && v.Share <= 1): // also NaN
			return fault("event", "share must be between 0 and 1, got %v", v.Share)
		}
		*e = Entry{ID: e.ID, Kind: KindNoted, Time: e.Time, Late: e.Late, Received: e.Received, At: e.At, Seq: e.Seq, Client: e.Client, Event: &v, epoch: e.epoch}
		return "", nil
	case KindStarted, KindSeen, KindStopped:
	default:
		return fault("kind", "must be started, seen, stopped or noted")
	}
	if !isID(e.Run, limit) {
		return fault("run", "must be 1 to %d letters, digits and \"-._\"", maxID)
	}
	if e.Build != "" && !isDigest(e.Build) {
		return fault("build", "must be %d digits, hexadecimal", digestLength)
	}
	e.Event = nil
	e.Late = max(e.Late, 0)
	e.Every = min(max(e.Every, 0), maxEvery)
	e.Service = orUnknown(cleantext.Line(e.Service, maxName))
	e.Region, e.Cluster = cleantext.Line(e.Region, maxName), cleantext.Line(e.Cluster, maxName)
	e.Environment, e.Instance = cleantext.Line(e.Environment, maxName), cleantext.Line(e.Instance, maxName)
	e.Version, e.Revision = cleantext.Line(e.Version, maxName), cleantext.Line(e.Revision, maxName)
	return "", nil
}

// isURL reports whether text is an address that is safe as a link in HTML and Markdown.
func isURL(text string) bool {
	if len(text) > maxValue || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"'<>\\^`{|}", c) }) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

func orUnknown(s string) string { return cmp.Or(s, "unknown") }

// isID also accepts client names if limit is that of stored ids.
func isID(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	if limit > maxID {
		return cleantext.Printable(s) || cleantext.Line(s, limit) == s
	}
	return strings.Trim(s, letters) == ""
}

// inRange limits times to those that int64 nanoseconds since 1970 can hold.
func inRange(t time.Time) bool { return t.Unix() >= 0 && t.Unix() < 7258118400 } // the year 2200

const (
	digestLength = 32
	digits       = "0123456789abcdef"
	letters      = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._"
)

func isDigest(s string) bool { return len(s) == digestLength && strings.Trim(s, digits) == "" }

func (e *Entry) digest() error {
	info := *e.Info
	info.Name, info.Environment, info.Conflicts = "", "", nil
	dirty := info.Origins["dirty"]
	info.Origins = nil
	if dirty != "" && dirty != version.OriginUnknown {
		info.Origins = map[string]version.Origin{"dirty": version.OriginSnapshot}
	}
	data, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if len(data) > version.MaxSnapshot {
		// Keep the build without its dependencies rather than not at all.
		info.Deps, info.Settings = nil, nil
		if data, err = json.Marshal(info); err != nil {
			return fmt.Errorf("%w: %w", ErrEntry, err)
		}
	}
	sum := sha256.Sum256(data)
	e.Info, e.infoJSON = &info, data
	e.Build = hex.EncodeToString(sum[:digestLength/2])
	return nil
}

func (e *Entry) build() string {
	if e.Build != "" {
		return e.Build
	}
	return e.Version + "\x00" + e.Revision
}

// An Appender stores entries. It is safe for concurrent use.
type Appender interface {
	// Append stores the entries. If it returns nil, [FileStore] and [SQLStore] have them on
	// disk, [Reporter] has them in its queue. After an error some of them may be stored. It
	// is safe to append the same entries again, because one ID is stored once.
	Append(ctx context.Context, entries ...Entry) error
}

// A Store stores entries and returns them. It is safe for concurrent use.
type Store interface {
	Appender

	// Entries returns all entries in the order of Seq, the order of receipt, each as
	// [Entry.Receive] returned it. A store may leave out the sightings of a run between the
	// first and the last one, which keeps its Seq.
	Entries(ctx context.Context) ([]Entry, error)
}
