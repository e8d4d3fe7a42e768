package schedule

import (
	"regexp"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A parser turns a document into windows and freezes.
type parser struct {
	*document.Reader
	zones  map[string]zone
	ids    map[string][]*document.Node
	frozen frozen            // of the freezes that are about all windows that repeat
	own    map[string]frozen // of the windows that a freeze names, all that holds for them
	named  []document.Value  // the ids that freezes name
}

func newParser(name string) *parser {
	return &parser{
		Reader: document.NewReader(name),
		zones:  map[string]zone{}, ids: map[string][]*document.Node{},
	}
}

const maxElements = 1000 // of any list but that of windows

// textOf reads a string. It is false for anything else, which is a fault where it is there.
func textOf(v document.Value, limit int) (string, bool) {
	text := v.Text(limit)
	return text, v.Is(document.String) && len(v.Node().Text) <= limit
}

// ValidID reports whether a window may have that id: letters, digits, '.', '_' and '-',
// beginning with a letter or digit, at most 100. So ids are fit for logs, metrics'
// values, headers and command lines.
func ValidID(id string) bool { return idPattern.MatchString(id) }

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (p *parser) id(v document.Value) string {
	text := v.Text(100)
	if v.Is(document.String) && !ValidID(v.Node().Text) {
		v.Faultf("must be letters, digits, '.', '_' and '-', beginning with a letter or digit, got %q", document.Clip(v.Node().Text))
	}
	return text
}
