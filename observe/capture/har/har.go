// Package har reads and writes HTTP Archive files, version 1.2
// (http://www.softwareishard.com/blog/har-12-spec/).
//
// [Parse] reads a file of any program and [Encode] writes one. Programs whose files
// have members of their own, such as package observe/capture, embed the types of this
// package in theirs and use [Decode] and [Check].
//
// A file is hostile input: it has at most 64 MiB, 1,000 entries, and 100,000 headers,
// cookies and parameters for each entry.
package har

import "time"

// A File is what a HAR file holds.
type File struct {
	Log Log `json:"log"`
}

// A Log is the one member of a file.
type Log struct {
	Version string  `json:"version"` // "1.2"
	Creator Creator `json:"creator"`
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
	HeadersSize int64       `json:"headersSize"` // -1 means unknown
	BodySize    int64       `json:"bodySize"`    // -1 means unknown
}

// A Response is what a server answered. Status 0 means that there was no answer.
type Response struct {
	Status      int         `json:"status"`
	StatusText  string      `json:"statusText"`
	HTTPVersion string      `json:"httpVersion"`
	Cookies     []Cookie    `json:"cookies"`
	Headers     []NameValue `json:"headers"`
	Content     Content     `json:"content"`
	RedirectURL string      `json:"redirectURL"`
	HeadersSize int64       `json:"headersSize"` // -1 means unknown
	BodySize    int64       `json:"bodySize"`    // -1 means unknown
}

// A NameValue is a header, or a parameter of a query.
type NameValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Cookie is one that was sent or set. HAR lists cookies beside the headers.
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
	Encoding string `json:"encoding,omitempty"` // "base64" or empty
}

// Timings are the parts of an entry's time in milliseconds.
type Timings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// Complete replaces the lists that are nil by empty ones, because HAR demands them.
func (e *Entry) Complete() {
	e.Request.Cookies = filled(e.Request.Cookies)
	e.Request.Headers = filled(e.Request.Headers)
	e.Request.QueryString = filled(e.Request.QueryString)
	e.Response.Cookies = filled(e.Response.Cookies)
	e.Response.Headers = filled(e.Response.Headers)
}

func filled[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
