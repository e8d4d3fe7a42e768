package document

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Reader reads typed values from a document and collects the faults. Reading continues after a fault,
// so that all faults of a document are found together.
//
//	r := document.NewReader("windows.yaml")
//	m := r.Parse(data).Map()
//	w.Title = m.Field("title").Text(200)
//	w.Duration = m.Need("duration").Duration(maxDuration)
//	m.Done() // other fields are faults
//	if faults := r.Faults(); len(faults) > 0 { … }
//
// Only one goroutine may use a Reader.
type Reader struct {
	name   string
	faults []Fault
	flaws  flaws // of ParseParts; nil: it was not called
}

// A Fault is one thing wrong at one place of a document. Packages convert it to their own Fault.
type Fault struct {
	Line, Column int    // from 1; 0 means not known
	Subject      string // as given to [Value.About]; Empty means the document
	Field        string // "scope.paths[0]"; Empty means the whole subject
	Warning      bool   // the document can still be used
	Err          error
}

// NewReader returns a reader for a document with that name.
func NewReader(name string) *Reader { return &Reader{name: name} }

// Parse parses a document and returns its root. If the text is not a document, that is a fault, and the
// root is missing.
func (r *Reader) Parse(data []byte) Value { return r.parse(data) }

// ParseParts is [Reader.Parse] for a document whose parts can be used without the others. It
// reads on after what can be said of one part: a key that is there twice, or is no text, a merge
// of what is no map, and a scalar that no type can hold, such as an unknown tag. [Value.Flaws]
// collects them.
func (r *Reader) ParseParts(data []byte) Value {
	r.flaws = flaws{}
	return r.parse(data)
}

func (r *Reader) parse(data []byte) Value {
	root, err := parseWhole(r.name, data, r.flaws)
	if err != nil {
		fault := Fault{Err: err}
		var syntax *SyntaxError
		if errors.As(err, &syntax) {
			fault = Fault{Line: syntax.Line, Column: syntax.Column, Err: syntax.Err}
		}
		r.faults = append(r.faults, fault)
		return Value{r: r}
	}
	return r.Value(root)
}

// Value returns a node of the document as a value to read.
func (r *Reader) Value(n *Node) Value { return Value{r: r, node: n} }

// Faults returns the faults so far, in the order of the document.
func (r *Reader) Faults() []Fault {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.faults
}

// Flaws collects what [Reader.ParseParts] has read past in the value, and in all below it unless
// alone is true. It returns the keys that the value itself has twice, of which the tree has the first.
func (v Value) Flaws(alone bool) (twice []*DuplicateError) {
	if v.node == nil || len(v.r.flaws) == 0 {
		return nil
	}
	for _, flaw := range v.r.flaws[v.node] {
		v.r.faults = append(v.r.faults, Fault{Line: flaw.Line, Column: flaw.Column, Subject: v.subject, Field: v.field, Err: flaw.Err})
		var duplicate *DuplicateError
		if errors.As(flaw.Err, &duplicate) {
			twice = append(twice, duplicate)
		}
	}
	for i, item := range v.node.Items {
		field := v.field + "[" + strconv.Itoa(i) + "]"
		if v.node.Kind == Map {
			field = join(v.field, Clip(v.node.Keys[i].Text))
		}
		if !alone {
			v.at(item, field).Flaws(false)
		}
	}
	return twice
}

// Count returns the number of faults so far, without warnings. A part of a document is without faults if
// the count is the same before and after it.
func (r *Reader) Count() int {
	n := 0
	for _, f := range r.faults {
		if !f.Warning {
			n++
		}
	}
	return n
}

// A Value is a value of a document, and its path. A missing value reads as the zero value of its type
// and is not a fault by itself.
type Value struct {
	r       *Reader
	node    *Node
	subject string
	field   string
}

// Present reports whether the value exists. A null exists.
func (v Value) Present() bool { return v.node != nil }

// Null reports whether the value exists and is null.
func (v Value) Null() bool { return v.node != nil && v.node.Kind == Null }

// Is reports whether the value exists and is of that kind.
func (v Value) Is(kind Kind) bool { return v.node != nil && v.node.Kind == kind }

// Node returns the node; nil means that the value is missing.
func (v Value) Node() *Node { return v.node }

// Path returns the path of the value, as in faults.
func (v Value) Path() string { return v.field }

// About returns the value as a new subject, such as a window: faults name the subject, and paths start
// below it.
func (v Value) About(subject string) Value {
	v.subject, v.field = subject, ""
	return v
}

// At returns a node below the value, as a value of the same field.
func (v Value) At(n *Node) Value { return v.at(n, v.field) }

// Fault adds an error at the value's place.
func (v Value) Fault(err error) { v.add(Fault{Err: err}) }

// Faultf is Fault with an error made by [fmt.Errorf].
func (v Value) Faultf(format string, args ...any) { v.Fault(fmt.Errorf(format, args...)) }

// Warnf adds a warning, which means that the document can still be used.
func (v Value) Warnf(format string, args ...any) {
	v.add(Fault{Err: fmt.Errorf(format, args...), Warning: true})
}

func (v Value) add(f Fault) {
	f.Subject, f.Field = v.subject, v.field
	if v.node != nil {
		f.Line, f.Column = v.node.Line, v.node.Column
	}
	v.r.faults = append(v.r.faults, f)
}

// expect reports whether the value is of a kind. A value of another kind is a fault.
func (v Value) expect(kind Kind) bool {
	if v.node == nil || v.node.Kind == kind {
		return v.node != nil
	}
	want := kind.String()
	if kind == Bool {
		want = "true or false"
	}
	if kind == String && (v.node.Kind == Number || v.node.Kind == Bool) {
		v.Faultf("must be a string, got %v: write it in quotes, %q", v.node.Kind, Clip(v.node.Text))
		return false
	}
	v.Faultf("must be %s, got %v", want, v.node.Kind)
	return false
}

// Text reads a string of at most limit bytes.
func (v Value) Text(limit int) string {
	if !v.expect(String) {
		return ""
	}
	if len(v.node.Text) > limit {
		v.Faultf("must be at most %d bytes, got %d", limit, len(v.node.Text))
		return ""
	}
	return v.node.Text
}

// Bool reads true or false.
func (v Value) Bool() bool { return v.expect(Bool) && v.node.Text == "true" }

// Int reads a whole number from low to high.
func (v Value) Int(low, high int) int {
	if !v.expect(Number) {
		return 0
	}
	n, err := strconv.Atoi(v.node.Text)
	if err != nil || n < low || n > high {
		v.Faultf("must be a whole number from %d to %d, got %s", low, high, Clip(v.node.Text))
		return 0
	}
	return n
}

// Enum reads one of the allowed strings.
func Enum[T ~string](v Value, allowed ...T) T {
	if !v.expect(String) {
		return ""
	}
	for _, a := range allowed {
		if v.node.Text == string(a) {
			return a
		}
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	v.Faultf("must be %s, got %q%s", oneOf(names), Clip(v.node.Text), didYouMean(Suggest(v.node.Text, names)))
	return ""
}

// Duration reads a duration such as "90m", "72h", "3d" or "1d12h": an optional whole number of days of
// 24 hours, and then the syntax of [time.ParseDuration]. It must be positive and at most limit.
func (v Value) Duration(limit time.Duration) time.Duration {
	if v.node == nil {
		return 0
	}
	if v.node.Kind != String {
		v.Faultf(`must be a duration such as "90m", "2h" or "3d", got %v`, v.node.Kind)
		return 0
	}
	d, err := ParseDuration(v.node.Text, limit)
	if err != nil {
		v.Fault(err)
	}
	return d
}

// ParseDuration parses the text of [Value.Duration].
func ParseDuration(text string, limit time.Duration) (time.Duration, error) {
	const day = 24 * time.Hour
	malformed := func() error {
		return fmt.Errorf(`must be a duration such as "90m", "2h" or "3d", got %q`, Clip(text))
	}
	rest, negative := strings.CutPrefix(text, "-")
	var days time.Duration
	if count, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseUint(count, 10, 32)
		if err != nil {
			return 0, malformed()
		}
		days, rest = time.Duration(min(n, uint64(limit/day)+1))*day, after
		if rest == "" {
			rest = "0s"
		}
	}
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, malformed()
	}
	clock, err := time.ParseDuration(rest)
	if err != nil {
		return 0, malformed()
	}
	clock = min(clock, limit+1) // so that the sum cannot overflow
	switch total := days + clock; {
	case negative || total == 0:
		return 0, fmt.Errorf("must be positive, got %q", Clip(text))
	case total > limit:
		return 0, fmt.Errorf("must be at most %s, got %q", inDays(limit), Clip(text))
	default:
		return total, nil
	}
}

func inDays(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return d.String()
}

// Instant reads a time of RFC 3339, with Z or an offset.
func (v Value) Instant() time.Time {
	if !v.expect(String) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.node.Text)
	if err != nil {
		v.Faultf(`must be an instant with Z or an offset, such as "2026-12-06T01:02:00Z", got %q`, Clip(v.node.Text))
		return time.Time{}
	}
	return t
}

// Date reads a day, which starts at midnight in UTC, or a time of RFC 3339.
func (v Value) Date() time.Time {
	if !v.expect(String) {
		return time.Time{}
	}
	layout := time.RFC3339
	if !strings.Contains(v.node.Text, ":") {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, v.node.Text)
	if err != nil {
		v.Faultf(`must be a date such as "2027-03-31", or a time such as "2027-03-31T00:00:00Z", got %q`, Clip(v.node.Text))
		return time.Time{}
	}
	return t
}

// List reads a list of at most limit elements, in order.
func (v Value) List(limit int) iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if !v.expect(List) {
			return
		}
		if len(v.node.Items) > limit {
			v.Faultf("must have at most %d elements, got %d", limit, len(v.node.Items))
			return
		}
		for i, item := range v.node.Items {
			if !yield(i, v.at(item, v.field+"["+strconv.Itoa(i)+"]")) {
				return
			}
		}
	}
}

// Texts reads a list of at most limit strings of at most bytes each. Any other element is a fault and is
// left out.
func (v Value) Texts(limit, bytes int) []string {
	if !v.Present() {
		return nil
	}
	list := make([]string, 0, min(limit, len(v.node.Items)))
	for _, item := range v.List(limit) {
		if item.expect(String) && len(item.node.Text) <= bytes {
			list = append(list, item.node.Text)
		} else if item.Is(String) {
			item.Text(bytes) // adds the fault
		}
	}
	return list
}

// Entries reads a map with arbitrary keys, in the order of the document. It yields each key as a value,
// for faults about the name, and the key's value.
func (v Value) Entries() iter.Seq2[Value, Value] {
	return func(yield func(key, value Value) bool) {
		if !v.expect(Map) {
			return
		}
		for i, key := range v.node.Keys {
			path := join(v.field, Clip(key.Text))
			if !yield(v.at(key, path), v.at(v.node.Items[i], path)) {
				return
			}
		}
	}
}

func (v Value) at(n *Node, field string) Value {
	return Value{r: v.r, node: n, subject: v.subject, field: field}
}

// Map starts to read a map with fixed fields. A missing value reads as an empty map. So does a value of
// another kind, which is also a fault.
func (v Value) Map() *Fields {
	if !v.expect(Map) {
		v.node = nil
		return &Fields{v: v}
	}
	return &Fields{v: v, asked: make([]bool, len(v.node.Keys))}
}

// Fields are the fields of one map.
type Fields struct {
	v     Value
	asked []bool   // by key: Field was called for it
	known []string // names that Field was called for
}

// Present reports whether there is a map.
func (f *Fields) Present() bool { return f.v.node != nil }

// Field returns the value of a field, which may be missing.
func (f *Fields) Field(name string) Value {
	f.known = append(f.known, name)
	if f.v.node != nil {
		for i, key := range f.v.node.Keys {
			if key.Text == name {
				f.asked[i] = true
				return f.v.at(f.v.node.Items[i], join(f.v.field, name))
			}
		}
	}
	return f.v.at(nil, join(f.v.field, name))
}

// Need is Field for a required field: a missing one is a fault of the map.
func (f *Fields) Need(name string) Value {
	v := f.Field(name)
	if !v.Present() && f.v.node != nil {
		at := f.v
		at.field = v.field
		at.Faultf("is required")
	}
	return v
}

// Ignore accepts all fields whose names match, without reading them.
func (f *Fields) Ignore(match func(name string) bool) {
	if f.v.node == nil {
		return
	}
	for i, key := range f.v.node.Keys {
		if match(key.Text) {
			f.asked[i] = true
		}
	}
}

// Done adds a fault for each field for which Field was not called.
func (f *Fields) Done() { f.done(nil) }

// DoneWarn adds a warning for each field for which Field was not called. It adds a fault instead if the
// field is probably a misspelling of a known field that the map lacks, and if meant accepts its value.
func (f *Fields) DoneWarn(meant func(known string, value *Node) bool) { f.done(meant) }

func (f *Fields) done(meant func(known string, value *Node) bool) {
	for i, asked := range f.asked {
		if key := f.v.node.Keys[i]; !asked {
			err := Unknown("field", key.Text, f.known)
			misspelt := err.Suggestion != "" && f.v.node.Get(err.Suggestion) == nil
			warning := meant != nil && !(misspelt && meant(err.Suggestion, f.v.node.Items[i]))
			f.v.at(key, join(f.v.field, Clip(key.Text))).add(Fault{Err: err, Warning: warning})
		}
	}
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// An UnknownError is an unknown name. The field of its fault ends in the name itself.
type UnknownError struct {
	Kind       string // "field"
	Name       string
	Suggestion string // a similar known name; Empty means none
}

// Unknown returns the error for a name that is not known.
func Unknown(kind, name string, known []string) *UnknownError {
	return &UnknownError{Kind: kind, Name: name, Suggestion: Suggest(name, known)}
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("unknown %s %q%s", e.Kind, Clip(e.Name), didYouMean(e.Suggestion))
}

// maxClip bounds the quotes from a document in error texts, in bytes.
const maxClip = 80

// Clip shortens a text from a document for an error text.
func Clip(text string) string { return cleantext.Clip(text, maxClip) }

// oneOf joins names: "a", "a or b", "a, b or c".
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// FaultText formats a fault as every package does:
//
//	windows.yaml:14:15: window "db-upgrade": duration: must be positive, got "-2h"
//
// kind is the kind of the subject, such as "window". Empty parts are left out.
func FaultText(name string, line, column int, kind, subject, field string, err error) string {
	var b strings.Builder
	part := func(text string) {
		if text != "" {
			b.WriteString(text)
			b.WriteString(": ")
		}
	}
	part(Place(name, line, column))
	if subject != "" {
		part(kind + " " + strconv.Quote(Clip(subject)))
	}
	var unknown *UnknownError
	if errors.As(err, &unknown) { // its text contains the last part of the field
		field = strings.TrimSuffix(strings.TrimSuffix(field, Clip(unknown.Name)), ".")
	}
	part(field)
	b.WriteString(err.Error())
	return b.String()
}

// maxFaults bounds the number of faults in an error text.
const maxFaults = 50

// FaultsText formats faults, one on each line, and at most fifty.
func FaultsText[F error](faults []F) string {
	var b strings.Builder
	for i, f := range faults {
		if i == maxFaults {
			fmt.Fprintf(&b, "\nand %d more", len(faults)-maxFaults)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.Error())
	}
	return b.String()
}

// Suggest returns the known name that name probably means. It may differ in case, or by one edit: a
// character too many, missing or wrong, or two characters swapped. Names of eight or more characters
// may differ by two edits. Suggest returns "" if no known name is similar, or if name is too long.
func Suggest(name string, known []string) string {
	if len(name) > maxClip || !utf8.ValidString(name) {
		return ""
	}
	best, fewest := "", 3
	for _, k := range known {
		n := edits([]rune(strings.ToLower(name)), []rune(strings.ToLower(k)))
		// Between very short names, one edit is not a similarity.
		if k != name && n < fewest && (n == 0 || n == 1 && min(len(k), len(name)) > 1 || min(len(k), len(name)) >= 8) {
			best, fewest = k, n
		}
	}
	return best
}

func didYouMean(suggestion string) string {
	if suggestion == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", suggestion)
}

// edits counts the edits between two texts: insertions, deletions, substitutions and swaps of adjacent
// characters.
func edits(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			substitution := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				substitution++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, substitution)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
