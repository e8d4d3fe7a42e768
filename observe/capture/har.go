package capture

import (
	"encoding/json"
	"time"
)

// A Bundle is one request and all that explains it, as a file of the HTTP Archive
// format, version 1.2 (http://www.softwareishard.com/blog/har-12-spec/). Entry 0 is
// the request that the service was sent, the others are those that it made, in the
// order in which they began. What HAR has no place for stands in members "_upkeep",
// which other tools pass over.
type Bundle struct {
	Log Log `json:"log"`
}

// A Log is the one member of a HAR file.
type Log struct {
	Version string  `json:"version"` // "1.2"
	Creator Creator `json:"creator"`
	Details Details `json:"_upkeep"` // before the entries, so that a list need not read those
	Entries []Entry `json:"entries"`
}

// A Creator names the program that wrote a file.
type Creator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// An Entry is one request with its response.
type Entry struct {
	Started  time.Time `json:"startedDateTime"`
	Time     float64   `json:"time"` // milliseconds
	Request  Request   `json:"request"`
	Response Response  `json:"response"`
	Cache    struct{}  `json:"cache"`
	Timings  Timings   `json:"timings"`
	Exchange Exchange  `json:"_upkeep"`
}

// A Request is what a client sent.
type Request struct {
	Method      string      `json:"method"`
	URL         string      `json:"url"`
	HTTPVersion string      `json:"httpVersion"`
	Cookies     []Cookie    `json:"cookies"`
	Headers     []NameValue `json:"headers"`
	QueryString []NameValue `json:"queryString"`
	PostData    *PostData   `json:"postData,omitempty"`
	HeadersSize int64       `json:"headersSize"` // -1: not known
	BodySize    int64       `json:"bodySize"`    // -1: not known
}

// A Response is what a server answered. Status 0 means that it did not.
type Response struct {
	Status      int         `json:"status"`
	StatusText  string      `json:"statusText"`
	HTTPVersion string      `json:"httpVersion"`
	Cookies     []Cookie    `json:"cookies"`
	Headers     []NameValue `json:"headers"`
	Content     Content     `json:"content"`
	RedirectURL string      `json:"redirectURL"`
	HeadersSize int64       `json:"headersSize"` // -1: not known
	BodySize    int64       `json:"bodySize"`    // -1: not known
}

// A NameValue is a header, or a parameter of a query.
type NameValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Cookie is one that was sent or set. HAR wants them again beside the headers.
type Cookie struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PostData is the body of a request.
type PostData struct {
	MimeType string  `json:"mimeType"`
	Params   []Param `json:"params,omitempty"` // of a form
	Text     string  `json:"text"`
}

// A Param is a field of a form.
type Param struct {
	Name        string `json:"name"`
	Value       string `json:"value,omitempty"`
	ContentType string `json:"contentType,omitempty"`
}

// Content is the body of a response.
type Content struct {
	Size     int64  `json:"size"` // bytes
	MimeType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
	Encoding string `json:"encoding,omitempty"` // "base64", or none; files of this package have none
}

// Timings are the parts of an entry's time in milliseconds.
type Timings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// An Exchange is what HAR does not say of an entry.
type Exchange struct {
	RequestBody  *Body    `json:"requestBody,omitempty"`
	ResponseBody *Body    `json:"responseBody,omitempty"`
	Error        []string `json:"error,omitempty"`      // why there is no response: the error's text, then those it wraps
	Incomplete   bool     `json:"incomplete,omitempty"` // it went on when the bundle was written
}

// The kinds of a body.
const (
	KindJSON      = "json"
	KindForm      = "form" // application/x-www-form-urlencoded
	KindText      = "text"
	KindMultipart = "multipart" // only the names and types of its parts are kept
	KindBinary    = "binary"    // only its length and digest are kept
)

// A Body says what became of a body that the file may not hold as it was.
type Body struct {
	Kind      string `json:"kind"`
	Bytes     int64  `json:"bytes"`               // as they were seen, before redaction
	Truncated bool   `json:"truncated,omitempty"` // only the beginning was kept
	Unread    bool   `json:"unread,omitempty"`    // the handler did not read to the end
	Digest    string `json:"digest,omitempty"`    // keyed, so equal bodies are known and their content is not
}

// The reasons for a bundle.
const (
	Failed   = "failed"
	Panicked = "panicked"
	Slow     = "slow"
	Asked    = "asked" // by a debug token or a flag
)

// Details are what HAR does not say of a request.
type Details struct {
	Schema    int     `json:"schema"` // 1; 0 in files of other programs
	RequestID string  `json:"requestId,omitempty"`
	TraceID   string  `json:"traceId,omitempty"`
	Route     string  `json:"route,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	Status    int     `json:"status,omitempty"`
	Build     string  `json:"build,omitempty"` // what the application calls itself
	Go        string  `json:"go,omitempty"`
	Seal      *Seal   `json:"redaction,omitempty"`
	Error     *Error  `json:"error,omitempty"` // of observe.Fail
	Panic     *Panic  `json:"panic,omitempty"`
	Dropped   Dropped `json:"dropped,omitzero"`

	Flags  []Flag      `json:"flags,omitempty"`
	Values []Value     `json:"values,omitempty"`
	Logs   []LogRecord `json:"logs,omitempty"`
}

// An Error is an error's type and the texts of it and of those that it wraps.
type Error struct {
	Type  string   `json:"type"`
	Texts []string `json:"texts"`
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
	Error        []string        `json:"error,omitempty"`        // its text, then those it wraps
	Unrecordable string          `json:"unrecordable,omitempty"` // why there is no result
}

// A Flag is a distinct evaluation of a feature flag.
type Flag struct {
	Key       string          `json:"key"`
	Type      string          `json:"type"` // "bool", "string", "float", "int" or "object"
	Value     json.RawMessage `json:"value"`
	Variant   string          `json:"variant,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	ErrorCode string          `json:"errorCode,omitempty"`
	ErrorText string          `json:"errorText,omitempty"`
	Provider  string          `json:"provider,omitempty"`
	Targeting string          `json:"targeting,omitempty"` // the targeting key
}

// A LogRecord is one that the service logged for the request, at any level.
type LogRecord struct {
	Time    time.Time       `json:"time"`
	Level   string          `json:"level"`
	Message string          `json:"message"`
	Attrs   json.RawMessage `json:"attrs,omitempty"` // an object
	Source  string          `json:"source,omitempty"`
}
