package observe

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// OutcomeGRPC is for Options.Outcome: a gRPC or gRPC-Web response is a failure if its
// grpc-status is one that OpenTelemetry's semantic conventions count as an error of the
// server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or DATA_LOSS. The
// status is in the trailer, in the header, or, with gRPC-Web, at the end of the body, where
// Options.OutcomeBody must reach.
func OutcomeGRPC(_ *http.Request, resp *http.Response) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !strings.HasPrefix(media, "application/grpc") {
		return nil
	}
	status := resp.Trailer.Get("Grpc-Status")
	if status == "" {
		status = resp.Header.Get("Grpc-Status")
	}
	if status == "" && strings.HasPrefix(media, "application/grpc-web") {
		status = webStatus(visible(resp), strings.HasPrefix(media, "application/grpc-web-text"))
	}
	code, err := strconv.ParseUint(status, 10, 8)
	if err != nil {
		return nil // missing, or not seen
	}
	if name := grpcFailures[code]; name != "" {
		return &outcomeError{name, fmt.Sprintf("grpc-status %d (%s)", code, name)}
	}
	return nil
}

var grpcFailures = map[uint64]string{
	2: "UNKNOWN", 4: "DEADLINE_EXCEEDED", 12: "UNIMPLEMENTED", 13: "INTERNAL", 14: "UNAVAILABLE", 15: "DATA_LOSS",
}

// webStatus returns the status in the last frame of a gRPC-Web body, or "".
func webStatus(body []byte, encoded bool) string {
	if encoded {
		body = fromBase64(body)
	}
	trailer := frame(body, 0x80)
	for line := range strings.Lines(string(trailer)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "Grpc-Status") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// OutcomeConnect is for Options.Outcome: a stream of the Connect protocol is a failure if it
// ends with an error whose code is one that would be a 5xx outside of a stream: unknown,
// deadline_exceeded, unimplemented, internal, unavailable or data_loss. The error is at the end
// of the body, where Options.OutcomeBody must reach.
func OutcomeConnect(_ *http.Request, resp *http.Response) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !strings.HasPrefix(media, "application/connect+") {
		return nil
	}
	var end struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(frame(visible(resp), 0x02), &end); err != nil {
		return nil
	}
	for _, name := range grpcFailures {
		if strings.EqualFold(name, end.Error.Code) {
			code := strings.ToLower(name)
			return &outcomeError{code, "Connect error " + code}
		}
	}
	return nil
}

// OutcomeGraphQL is for Options.Outcome: a JSON response with a status below 300 is a failure if
// the object, or one object of a list, has a member "errors" that is a list with elements.
// Options.OutcomeBody must reach to that member: by GraphQL's specification it comes first.
// Wrap it if other responses have such a member:
//
//	Outcome: func(r *http.Request, resp *http.Response) error {
//		if r.URL.Path != "/graphql" {
//			return nil
//		}
//		return observe.OutcomeGraphQL(r, resp)
//	},
func OutcomeGraphQL(_ *http.Request, resp *http.Response) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode >= 300 || media != "application/json" && media != "application/graphql-response+json" {
		return nil
	}
	body := visible(resp)
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		body = gunzip(body)
	}
	if hasErrors(json.NewDecoder(bytes.NewReader(body))) {
		return &outcomeError{"graphql_errors", `the GraphQL response has "errors"`}
	}
	return nil
}

// hasErrors accepts a text that is cut.
func hasErrors(d *json.Decoder) bool {
	depth := 0 // of lists around the object
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('['):
			if depth++; depth > 1 {
				return false
			}
		case json.Delim('{'):
			found, whole := errorsIn(d)
			if found || !whole || depth == 0 {
				return found
			}
		default:
			return false
		}
	}
}

// errorsIn looks for a list "errors" with elements in an object whose brace was read. whole is
// false when the text ended before the object.
func errorsIn(d *json.Decoder) (found, whole bool) {
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false, false
		}
		if name == "errors" {
			if list, err := d.Token(); err != nil {
				return false, false
			} else if list == json.Delim('[') {
				if d.More() {
					_, err := d.Token()
					return err == nil, false
				}
				if _, err := d.Token(); err != nil {
					return false, false
				}
				continue
			} else if list != json.Delim('{') {
				continue
			}
			if !skip(d, 1) {
				return false, false
			}
			continue
		}
		if !skip(d, 0) {
			return false, false
		}
	}
	_, err := d.Token()
	return false, err == nil
}

// skip reads a value, or what is left of so many values that were opened.
func skip(d *json.Decoder, depth int) bool {
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return true
		}
	}
}

// An outcomeError says why a response was a failure, without words from its body.
type outcomeError struct{ kind, text string }

func (e *outcomeError) Error() string     { return e.text }
func (e *outcomeError) ErrorType() string { return e.kind }

// frame returns the content of the first frame that has the flag, of a body made of frames: a
// byte of flags, four bytes of length, content. It is decompressed if the lowest flag is set.
func frame(body []byte, flag byte) []byte {
	for len(body) >= 5 {
		flags, size := body[0], uint64(binary.BigEndian.Uint32(body[1:]))
		if size > uint64(len(body)-5) {
			return nil
		}
		content := body[5 : 5+size]
		if flags&flag != 0 {
			if flags&1 != 0 {
				return gunzip(content)
			}
			return content
		}
		body = body[5+size:]
	}
	return nil
}

// gunzip decompresses what is there, at most maxOutcomeBody bytes.
func gunzip(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(io.LimitReader(r, maxOutcomeBody)) // a text that is cut ends with an error
	return plain
}

// fromBase64 decodes pieces of base64 that may each have padding.
func fromBase64(text []byte) []byte {
	plain := make([]byte, 0, len(text)*3/4)
	for len(text) >= 4 {
		var group [3]byte
		n, err := base64.StdEncoding.Decode(group[:], text[:4])
		if err != nil {
			break
		}
		plain = append(plain, group[:n]...)
		text = text[4:]
	}
	return plain
}
