package ofrep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/internal/document"
)

// A refusal is the answer to a request that cannot be evaluated.
type refusal struct {
	status  int
	code    openfeature.ErrorCode
	details string
}

// A subject is the evaluation context of a request.
type subject struct {
	claims []byte           // the client's context, canonical
	attrs  flags.Attributes // what rules see
}

// read reads the evaluation context of a request and overlays the attributes that the server knows.
func (h *handler) read(w http.ResponseWriter, r *http.Request) (*subject, *refusal) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
		return nil, &refusal{http.StatusUnsupportedMediaType, openfeature.ParseErrorCode, "the body must not be encoded"}
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		w.Header().Set("Accept-Post", "application/json")
		return nil, &refusal{http.StatusUnsupportedMediaType, openfeature.ParseErrorCode, "the body must be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &refusal{http.StatusRequestEntityTooLarge, openfeature.ParseErrorCode, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, openfeature.ParseErrorCode, "the body could not be read completely"}
	}
	claims, refused := parseContext(body)
	if refused != nil {
		return nil, refused
	}
	s := &subject{attrs: claims}
	if s.claims, err = json.Marshal(claims); err != nil {
		// encoding/json fails only on infinities, which are numbers beyond a float64.
		return nil, &refusal{http.StatusBadRequest, openfeature.InvalidContextCode, "a number of the context is out of range"}
	}
	if h.opts.Context != nil {
		maps.Copy(s.attrs, h.opts.Context(r))
	}
	switch key := s.attrs[openfeature.TargetingKey].(type) {
	case string:
		return s, nil
	case nil:
		if h.opts.AllowAnonymous {
			return s, nil
		}
		return nil, &refusal{http.StatusBadRequest, openfeature.TargetingKeyMissingCode, "the context has no targetingKey"}
	default:
		return nil, &refusal{http.StatusBadRequest, openfeature.InvalidContextCode, fmt.Sprintf("the targetingKey must be a string, got %s", kind(key))}
	}
}

// parseContext reads the request of either endpoint: {"context": {…}}. Other fields are for later
// versions of the protocol.
func parseContext(body []byte) (flags.Attributes, *refusal) {
	root, err := document.Parse("body.json", body)
	if err != nil {
		details := "the body cannot be parsed"
		var syntax *document.SyntaxError
		if errors.As(err, &syntax) {
			details = document.Place("body", syntax.Line, syntax.Column) + ": " + syntax.Err.Error()
		}
		return nil, &refusal{http.StatusBadRequest, openfeature.ParseErrorCode, details}
	}
	if root.Kind != document.Map {
		return nil, &refusal{http.StatusBadRequest, openfeature.ParseErrorCode, fmt.Sprintf("the body must be an object, got %v", root.Kind)}
	}
	node := root.Get("context")
	if node == nil {
		return nil, &refusal{http.StatusBadRequest, openfeature.InvalidContextCode, "the body has no context"}
	}
	claims, ok := node.Value().(map[string]any)
	if !ok {
		return nil, &refusal{http.StatusBadRequest, openfeature.InvalidContextCode, fmt.Sprintf("the context must be an object, got %v", node.Kind)}
	}
	return claims, nil
}

func kind(v any) string {
	switch v.(type) {
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "something else"
}
