package capture

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// A Bundle is one request and all that explains it, as a file of the HTTP Archive
// format, see package har. Entry 0 is the request that the service received; the others
// are the requests that it made, in the order in which they began. Members named
// "_upkeep" hold what HAR has no place for; other tools ignore them.
type Bundle struct {
	Log Log `json:"log"`
}

// A Log is the one member of a bundle.
type Log struct {
	Version string      `json:"version"` // "1.2"
	Creator har.Creator `json:"creator"`
	Details Details     `json:"_upkeep"` // before the entries, so that a list need not read those
	Entries []Entry     `json:"entries"`
}

// An Entry is one request with its response.
type Entry struct {
	har.Entry
	Exchange Exchange `json:"_upkeep"`
}

// An Exchange is what HAR does not say of an entry.
type Exchange struct {
	RequestBody  *Body    `json:"requestBody,omitempty"`
	ResponseBody *Body    `json:"responseBody,omitempty"`
	Error        []string `json:"error,omitempty"`      // why there is no response: the error's text, then those it wraps
	Incomplete   bool     `json:"incomplete,omitempty"` // it went on when the bundle was written

	// Hidden lists what redaction changed or left out: "host", "path", "query limit", "header
	// Accept-Language", "body", "error". Of entry 0 it lists parts of the request, of the others
	// parts of the response. Bundles have it when Seal.Notes is set.
	Hidden []string `json:"hidden,omitempty"`
}

// A Kind is the kind of a body.
type Kind string

// The kinds of a body.
const (
	KindJSON      Kind = "json"
	KindForm      Kind = "form" // application/x-www-form-urlencoded
	KindText      Kind = "text"
	KindMultipart Kind = "multipart" // the bundle has only the names and types of its parts, unless redaction hides nothing else
	KindBinary    Kind = "binary"    // the bundle has only its length and digest
)

// A Body says what became of a body that the file may not hold as it was.
type Body struct {
	Kind      Kind   `json:"kind"`
	Bytes     int64  `json:"bytes"`               // as they were seen, before redaction
	Truncated bool   `json:"truncated,omitempty"` // only the beginning was kept
	Unread    bool   `json:"unread,omitempty"`    // the handler did not read to the end
	Inflated  bool   `json:"inflated,omitempty"`  // it was sent with gzip; the file has it without
	NoLength  bool   `json:"noLength,omitempty"`  // it was sent without a Content-Length
	Trailers  bool   `json:"trailers,omitempty"`  // trailers came after it, which the file does not have
	Digest    string `json:"digest,omitempty"`    // keyed, so equal bodies are known and their content is not

	// The white space around JSON, which the file has without.
	SpaceBefore string `json:"spaceBefore,omitempty"`
	SpaceAfter  string `json:"spaceAfter,omitempty"`
}

// A Reason says why there is a bundle. Empty means that another program wrote the file.
type Reason string

// The reasons for a bundle.
const (
	ReasonFailed   Reason = "failed"
	ReasonPanicked Reason = "panicked"
	ReasonSlow     Reason = "slow"
	ReasonAsked    Reason = "asked" // by a debug token or a flag
)

// Details are what HAR does not say of a request.
type Details struct {
	Schema    int     `json:"schema"` // 1; 0 in files of other programs
	RequestID string  `json:"requestId,omitempty"`
	TraceID   string  `json:"traceId,omitempty"`
	Route     string  `json:"route,omitempty"`
	Reason    Reason  `json:"reason,omitempty"`
	Status    int     `json:"status,omitempty"`
	Build     string  `json:"build,omitempty"` // what the application calls itself
	Go        string  `json:"go,omitempty"`
	Seal      *Seal   `json:"redaction,omitempty"`
	Error     *Error  `json:"error,omitempty"` // of observe.Fail, or shown by the response
	Panic     *Panic  `json:"panic,omitempty"`
	Dropped   Dropped `json:"dropped,omitzero"`

	Flags  []Flag      `json:"flags,omitempty"`
	Values []Value     `json:"values,omitempty"`
	Logs   []LogRecord `json:"logs,omitempty"`
}

// An Error is an error's type and the texts of it and of those that it wraps.
type Error struct {
	Type     string   `json:"type"`
	Texts    []string `json:"texts"`
	Response bool     `json:"response,omitempty"` // the response showed it, as for observe's Options.Outcome
}

// A Panic is one that the handler did not recover from.
type Panic struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Runtime bool   `json:"runtime,omitempty"` // the Go runtime's own, whose text holds types and numbers only
	Stack   string `json:"stack"`             // functions and places, without arguments
}

// Dropped counts what did not fit into the bundle.
type Dropped struct {
	Exchanges int `json:"exchanges,omitempty"`
	Values    int `json:"values,omitempty"`
	Flags     int `json:"flags,omitempty"`
	Logs      int `json:"logs,omitempty"`
}

// A Value is what a call of observe.Value gave.
type Value struct {
	Name         string          `json:"name"`
	Ordinal      int             `json:"ordinal"` // of the calls with that name, from 0
	Result       json.RawMessage `json:"result,omitempty"`
	Dynamic      string          `json:"dynamic,omitempty"`      // the result's Go type, when the caller asked for an interface
	Error        []string        `json:"error,omitempty"`        // its text, then those it wraps
	Unrecordable string          `json:"unrecordable,omitempty"` // why there is no result
	Hidden       bool            `json:"hidden,omitempty"`       // redaction changed the result or the error, see Seal.Notes

	// Type is the result's Go type, when the value was recorded in this process. A result that is
	// redacted then still decodes into it, if possible. Nil means unknown.
	Type reflect.Type `json:"-"`
}

// A FlagType is the type of a flag.
type FlagType string

// The types of flags.
const (
	FlagTypeBool   FlagType = "bool"
	FlagTypeString FlagType = "string"
	FlagTypeFloat  FlagType = "float"
	FlagTypeInt    FlagType = "int"
	FlagTypeObject FlagType = "object"
)

// A Flag is a distinct evaluation of a feature flag.
type Flag struct {
	Key       string          `json:"key"`
	Type      FlagType        `json:"type"`
	Value     json.RawMessage `json:"value"`
	Variant   string          `json:"variant,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	ErrorCode string          `json:"errorCode,omitempty"`
	ErrorText string          `json:"errorText,omitempty"`
	Provider  string          `json:"provider,omitempty"`
	Targeting string          `json:"targeting,omitempty"` // the targeting key
	Hidden    bool            `json:"hidden,omitempty"`    // redaction changed the value or the error, see Seal.Notes
}

// A LogRecord is one that the service logged for the request, at any level.
type LogRecord struct {
	Time    time.Time       `json:"time"`
	Level   string          `json:"level"`
	Message string          `json:"message"`
	Attrs   json.RawMessage `json:"attrs,omitempty"` // an object
	Source  string          `json:"source,omitempty"`
}

// A Seal says that a bundle is redacted, by which rules and with which key. It is
// keyed, so nobody who has not the key can make one.
type Seal struct {
	Key   string    `json:"key"` // identifies the key
	Rules Redaction `json:"rules"`
	Notes bool      `json:"notes,omitempty"` // the members Hidden are filled in; false in bundles of earlier versions
	MAC   string    `json:"mac"`             // of all that is in the bundle
}

const maxList = 100_000 // flags, values or log records

// Parse reads a bundle. name is for errors, which are [har.Faults]. It also reads HAR
// files of other programs; entry 0 is then the request to look at.
func Parse(name string, data []byte) (*Bundle, error) {
	b := &Bundle{}
	if err := har.Decode(name, data, b); err != nil {
		return nil, err
	}
	faults := har.Check(name, b.Log.Version, func(yield func(*har.Entry) bool) {
		for i := range b.Log.Entries {
			if !yield(&b.Log.Entries[i].Entry) {
				return
			}
		}
	})
	if d := &b.Log.Details; d.Schema < 0 || d.Schema > 1 {
		faults = append(faults, &har.Fault{File: name, Field: "log._upkeep.schema", Err: fmt.Errorf("%d is not known here", d.Schema)})
	} else if len(d.Flags) > maxList || len(d.Values) > maxList || len(d.Logs) > maxList {
		faults = append(faults, &har.Fault{File: name, Field: "log._upkeep", Err: fmt.Errorf("more than %d flags, values or log records", maxList)})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	b.complete()
	return b, nil
}

// Encode returns the file of a redacted bundle, or [ErrNotRedacted].
func (b *Bundle) Encode() ([]byte, error) {
	if b.Log.Details.Seal == nil {
		return nil, ErrNotRedacted
	}
	return b.encode()
}

func (b *Bundle) encode() ([]byte, error) {
	b.complete()
	data, err := har.Encode(b)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return data, nil
}

// complete fills in what HAR demands.
func (b *Bundle) complete() {
	if b.Log.Version == "" {
		b.Log.Version = har.Version
	}
	for i := range b.Log.Entries {
		b.Log.Entries[i].Complete()
	}
}
