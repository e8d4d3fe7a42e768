package flags

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// An operatorRule is what Lint checks about the uses of an operator.
type operatorRule struct {
	least, most int   // number of arguments
	gives       kinds // possible types of the result; zero means any
}

const many = math.MaxInt

var operators = map[string]operatorRule{
	"var": {1, 2, 0}, "missing": {0, many, listKind}, "missing_some": {2, 2, listKind},
	"if": {1, many, 0}, "?:": {1, many, 0}, "and": {1, many, 0}, "or": {1, many, 0}, "!": {1, 1, boolKind}, "!!": {1, 1, boolKind},
	"==": {2, 2, boolKind}, "!=": {2, 2, boolKind}, "===": {2, 2, boolKind}, "!==": {2, 2, boolKind},
	"<": {2, 3, boolKind}, "<=": {2, 3, boolKind}, ">": {2, 3, boolKind}, ">=": {2, 3, boolKind},
	"+": {1, many, numberKind}, "-": {1, many, numberKind}, "*": {1, many, numberKind}, "/": {2, 2, numberKind}, "%": {2, 2, numberKind},
	"min": {1, many, numberKind}, "max": {1, many, numberKind},
	"map": {2, 2, listKind}, "filter": {2, 2, listKind}, "reduce": {3, 3, 0}, "merge": {1, many, listKind},
	"all": {2, 2, boolKind}, "some": {2, 2, boolKind}, "none": {2, 2, boolKind}, "in": {2, 2, boolKind},
	"cat": {1, many, textKind}, "substr": {2, 3, textKind}, "log": {1, 1, 0},
	"starts_with": {2, 2, boolKind | nullKind}, "ends_with": {2, 2, boolKind | nullKind}, "sem_ver": {3, 3, boolKind | nullKind},
	"fractional": {1, many, 0},
}

// operation returns the operator of an operation and its arguments.
func operation(n *document.Node) (operator string, args []*document.Node) {
	if arg := n.Items[0]; arg.Kind != document.List {
		return n.Keys[0].Text, n.Items[:1]
	}
	return n.Keys[0].Text, n.Items[0].Items
}

func isOperation(n *document.Node) bool { return n.Kind == document.Map && len(n.Keys) == 1 }

func (l *linter) targeting(n *document.Node) {
	if n.Kind != document.Map && n.Kind != document.Null && l.field == "targeting" {
		l.warnf(n, "must be a rule, got %v: other engines refuse it", n.Kind)
	}
	l.numbers(n, l.field)
	l.loops = 0
	if n.Kind != document.Map || len(n.Keys) > 0 {
		l.rule(n)
	}
}

// rule checks a rule and all rules in it. Evaluators are checked on their own.
func (l *linter) rule(n *document.Node) {
	if n.Kind != document.Map && n.Kind != document.List {
		return
	}
	if n.Kind == document.Map && len(n.Keys) > 1 {
		l.warnf(n, "a map with several keys is data and not an operation: other engines refuse it")
		return
	}
	if n.Kind == document.Map && len(n.Keys) == 0 {
		l.warnf(n, "an empty map is data and not an operation: engines differ in whether it is true")
		return
	}
	if !isOperation(n) {
		for _, item := range n.Items {
			l.rule(item)
		}
		return
	}
	if _, ok := reference(n); ok {
		if l.field != "targeting" {
			l.warnf(n, "a reference inside of an evaluator: flagd's engines resolve it differently from run to run")
		}
		return
	}
	operator, args := operation(n)
	use, known := operators[operator]
	if !known {
		if l.field != "targeting" { // in a flag it is a fault
			l.errorf(n.Keys[0], "unknown operator %q", document.Clip(operator))
		}
		return
	}
	if l.arguments(n, operator, use, args) {
		l.operation(n, operator, args)
	}
	for i, arg := range args {
		body := i == 1 && loopOperators[operator]
		if body {
			l.loops++
		}
		l.rule(arg)
		if body {
			l.loops--
		}
	}
}

var loopOperators = map[string]bool{"map": true, "filter": true, "reduce": true, "all": true, "some": true, "none": true}

// arguments checks the number of arguments. It returns false if they cannot be checked further.
func (l *linter) arguments(n *document.Node, operator string, use operatorRule, args []*document.Node) bool {
	bare := n.Items[0].Kind != document.List
	if bare && use.most > 1 && operator != "var" {
		if l.kindsOf(args[0], 0)&listKind != 0 && use.most == many {
			return false // it may be the list of arguments
		}
		if use.most == many && use.least <= 1 && operator != "fractional" {
			if operator == "if" || operator == "?:" || operator == "*" {
				l.warnf(n, "the arguments of %s are a list: other engines refuse anything else", operator)
			}
			return true
		}
	}
	switch got := len(args); {
	case got < use.least:
		l.errorf(n, "%s needs %s, got %d", operator, argumentCount(use), got)
	case got > use.most && slices.Contains([]string{"starts_with", "ends_with", "sem_ver"}, operator):
		l.errorf(n, "%s needs %s, got %d: it gives null", operator, argumentCount(use), got)
	case got > use.most:
		l.warnf(n, "%s needs %s, got %d: engines differ in what they do with the others", operator, argumentCount(use), got)
	case got == 3 && (operator == ">" || operator == ">="):
		l.warnf(n, "%s with three arguments: engines have differed in whether the third counts, so write two comparisons", operator)
		return true
	default:
		return true
	}
	return false
}

func argumentCount(use operatorRule) string {
	switch {
	case use.least == use.most && use.least == 1:
		return "1 argument"
	case use.least == use.most:
		return strconv.Itoa(use.least) + " arguments"
	case use.most == many:
		return "at least " + strconv.Itoa(use.least)
	}
	return strconv.Itoa(use.least) + " or " + strconv.Itoa(use.most) + " arguments"
}

// operation checks the arguments of an operation.
func (l *linter) operation(n *document.Node, operator string, args []*document.Node) {
	switch operator {
	case "var":
		l.variable(args[0])
	case "if", "?:":
		l.conditions(args)
	case "and", "or":
		l.decided(operator, args)
	case "==", "!=", "===", "!==":
		if !l.timestamps(args) {
			l.equality(n, operator, args[0], args[1])
		}
	case "<", "<=", ">", ">=":
		if l.timestamps(args) {
			return
		}
		for i := range args[1:] {
			l.order(n, args[i], args[i+1])
		}
	case "in":
		l.contained(n, args[0], args[1])
	case "+", "-", "*", "/", "%", "min", "max":
		if !l.timestamps(args) {
			l.arithmetic(operator, args)
		}
	case "all", "some", "none", "map", "filter", "reduce":
		if l.kindsOf(args[0], 0)&listKind == 0 {
			l.errorf(args[0], "%s loops over a list, got %v", operator, l.kindsOf(args[0], 0))
		}
	case "missing_some":
		if l.kindsOf(args[0], 0)&numberKind == 0 || l.kindsOf(args[1], 0)&listKind == 0 {
			l.errorf(n, "missing_some needs a number and a list of names")
		}
		if args[1].Kind == document.List {
			l.names(operator, args[1].Items)
		}
	case "missing":
		if len(args) == 1 && args[0].Kind == document.List {
			l.warnf(args[0], "write the names without a list around them: other engines refuse it")
			args = args[0].Items
		}
		l.names(operator, args)
	case "starts_with", "ends_with":
		for _, arg := range args {
			if has := l.kindsOf(arg, 0); has&textKind == 0 {
				l.errorf(arg, "%s needs two strings: with %s it gives null", operator, l.show(arg))
			}
		}
	case "sem_ver":
		l.version(args)
	case "fractional":
		l.shares(n, args)
	}
	if operator == "log" || operator == "?:" {
		l.warnf(n, "flagd's schema does not have the operator %s", operator)
	}
}

func (l *linter) names(operator string, names []*document.Node) {
	for _, name := range names {
		if name.Kind != document.String && !isOperation(name) {
			l.warnf(name, "%s looks for names, got %v", operator, name.Kind)
		}
	}
}

// show formats a constant as in the document, and describes anything else.
func (l *linter) show(n *document.Node) string {
	if n.Kind == document.List || n.Kind == document.Map {
		return l.kindsOf(n, 0).String()
	}
	return document.Clip(string(n.AppendJSON(nil)))
}

func (l *linter) variable(path *document.Node) {
	if has := l.kindsOf(path, 0); has&(textKind|numberKind|nullKind) == 0 {
		l.errorf(path, "var needs the name of an attribute, got %v", has)
		return
	}
	name, of := strings.CutPrefix(path.Text, "$flagd.")
	if path.Kind != document.String || !of {
		return
	}
	if l.loops > 0 {
		l.errorf(path, "inside a loop var sees only the element, so it gives null")
		return
	}
	known := []string{"flagKey", "timestamp"}
	if !slices.Contains(known, name) {
		text := document.Unknown("field", path.Text, []string{"$flagd.flagKey", "$flagd.timestamp"})
		l.errorf(path, "%v: $flagd has flagKey and timestamp", text)
	}
}

func (l *linter) conditions(args []*document.Node) {
	for i := 0; i+1 < len(args); i += 2 {
		switch truth, constant := constantTruth(args[i]); {
		case constant && truth:
			if i+2 < len(args) {
				l.warnf(args[i+2], "is never reached: the condition before is always true")
			}
			return
		case constant:
			l.warnf(args[i+1], "is never reached: its condition is always false")
		}
	}
}

// decided finds arguments of and and or after one that always decides.
func (l *linter) decided(operator string, args []*document.Node) {
	for i := 0; i+1 < len(args); i++ {
		if truth, constant := constantTruth(args[i]); constant && truth == (operator == "or") {
			l.warnf(args[i+1], "is never reached: the argument before is always %v", truth)
			return
		}
	}
}

// timestamps finds times that cannot be right in a comparison with $flagd.timestamp, which is in
// seconds. It reports whether it found any.
func (l *linter) timestamps(args []*document.Node) (found bool) {
	if l.loops > 0 || !slices.ContainsFunc(args, l.isTimestamp) {
		return false
	}
	before := len(l.faults)
	const seconds, late, early = "$flagd.timestamp is in seconds since 1970-01-01T00:00:00Z", 1e11, 1e9
	for _, arg := range args {
		var number float64
		switch arg.Kind {
		case document.String:
			if at, ok := parseInstant(arg.Text); ok {
				l.errorf(arg, "%s, got a string: write %d", seconds, at.Unix())
				continue
			}
			var err error
			if number, err = strconv.ParseFloat(strings.TrimSpace(arg.Text), 64); err != nil {
				l.errorf(arg, "%s, got %s", seconds, l.show(arg))
				continue
			}
		case document.Number:
			number = numberOf(arg)
		default:
			continue
		}
		switch {
		case number >= late:
			l.errorf(arg, "%s, and %s is beyond the year 5000: is it in milliseconds?", seconds, document.Clip(arg.Text))
		case number >= 1e6 && number < early:
			l.warnf(arg, "%s, and %s is before 2002", seconds, document.Clip(arg.Text))
		}
	}
	return len(l.faults) > before
}

func (l *linter) isTimestamp(n *document.Node) bool { return l.isVariable(n, "$flagd.timestamp") }

func (l *linter) isVariable(n *document.Node, name string) bool {
	n = l.resolve(n)
	if !isOperation(n) || n.Keys[0].Text != "var" {
		return false
	}
	_, args := operation(n)
	return len(args) > 0 && args[0].Kind == document.String && args[0].Text == name
}

// resolve follows references to a rule.
func (l *linter) resolve(n *document.Node) *document.Node {
	for range maxReferences {
		name, ok := reference(n)
		if !ok {
			break
		}
		m := l.evaluators[name]
		if m == nil {
			break
		}
		n = m.rule
	}
	return n
}

// parseInstant reads common time formats.
func parseInstant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006/01/02", "02.01.2006", time.RFC1123, time.RFC1123Z, time.RFC822, time.RFC850, time.ANSIC, "Jan 2, 2006", "2 January 2006"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// equality finds comparisons whose result is constant.
func (l *linter) equality(n *document.Node, operator string, a, b *document.Node) {
	if l.isFixed(a, 0) && l.isFixed(b, 0) {
		l.warnf(n, "compares constants, so it is the same for everybody")
		return
	}
	x, y := l.kindsOf(a, 0), l.kindsOf(b, 0)
	never := false
	if len(operator) == 3 {
		const plain = nullKind | boolKind | numberKind | textKind
		never = x&y&plain == 0 && (x&plain == x || y&plain == y || isLiteral(a) || isLiteral(b))
	} else {
		never = l.neverEqual(a, x, b, y) || l.neverEqual(b, y, a, x)
	}
	switch {
	case !never:
	case operator[0] == '!':
		l.errorf(n, "is always true: %s and %s are never equal", l.show(a), l.show(b))
	default:
		l.errorf(n, "can never be true: %s and %s are never equal", l.show(a), l.show(b))
	}
}

func isLiteral(n *document.Node) bool { return !isOperation(n) }

// neverEqual reports whether a value of kinds x never equals b, after JavaScript's conversions.
func (l *linter) neverEqual(a *document.Node, x kinds, b *document.Node, y kinds) bool {
	const numeric = boolKind | numberKind
	switch {
	case x == nullKind:
		return y&nullKind == 0
	case x == objectKind && isLiteral(a):
		return true
	case x&^numeric == 0 && b.Kind == document.String:
		return !isNumeric(b.Text) || x == boolKind && !isBit(b.Text)
	case x == boolKind && b.Kind == document.Number:
		return !isBit(b.Text)
	}
	return false
}

// isNumeric reports whether JavaScript reads a text as a number.
func isNumeric(text string) bool {
	text = strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(text, 64); err == nil || text == "" {
		return true
	}
	_, err := strconv.ParseUint(text, 0, 64) // 0x10
	return err == nil
}

func isBit(text string) bool {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return err != nil && isNumeric(text) || f == 0 || f == 1
}

// order finds comparisons with something that is not a number.
func (l *linter) order(n, a, b *document.Node) {
	if l.isFixed(a, 0) && l.isFixed(b, 0) {
		l.warnf(n, "compares constants, so it is the same for everybody")
		return
	}
	for _, pair := range [][2]*document.Node{{a, b}, {b, a}} {
		this, other := pair[0], pair[1]
		has := l.kindsOf(other, 0)
		switch {
		case this.Kind == document.Map && !isOperation(this):
			l.errorf(n, "can never be true: an object has no order")
			return
		case this.Kind == document.String && has&^(numberKind|boolKind|nullKind) == 0 && !isNumeric(this.Text):
			l.errorf(n, "can never be true: %s is not a number", l.show(this))
			return
		}
	}
}

// contained checks the arguments of in.
func (l *linter) contained(n, needle, haystack *document.Node) {
	list := l.resolve(haystack)
	has := l.kindsOf(haystack, 0)
	switch {
	case has&(listKind|textKind) == 0:
		l.errorf(haystack, "in searches a list or a string, got %s: it can never be true", l.show(haystack))
	case needle.Kind == document.List || needle.Kind == document.Map && !isOperation(needle):
		l.errorf(needle, "in never finds %s: are the arguments swapped?", l.show(needle))
	case list.Kind == document.String && list.Text == "" || list.Kind == document.List && len(list.Items) == 0:
		l.errorf(haystack, "in searches an empty list or string: it can never be true")
	case l.isFixed(needle, 0) && l.isFixed(haystack, 0):
		l.warnf(n, "looks for a constant in a constant, so it is the same for everybody")
	case list.Kind == document.List:
		var elements kinds
		for _, item := range list.Items {
			elements |= l.kindsOf(item, 0)
		}
		if wanted := l.kindsOf(needle, 0); wanted&elements&^(listKind|objectKind) == 0 {
			l.errorf(haystack, "in never finds %v in a list of %v", wanted, elements)
		}
	}
}

func (l *linter) arithmetic(operator string, args []*document.Node) {
	for i, arg := range args {
		has := l.kindsOf(arg, 0)
		switch {
		case arg.Kind == document.String && !isNumeric(arg.Text):
			l.errorf(arg, "%s needs numbers, got %s", operator, l.show(arg))
		case has&^(listKind|objectKind) == 0 && !(len(args) == 1 && has == listKind):
			l.warnf(arg, "%s needs numbers, got %v", operator, has)
		case has == nullKind:
			l.errorf(arg, "%s needs numbers, got null", operator)
		case i == 1 && (operator == "/" || operator == "%") && arg.Kind == document.Number && numberOf(arg) == 0:
			l.errorf(arg, "%s by 0", operator)
		}
	}
}

func (l *linter) version(args []*document.Node) {
	operator := args[1]
	switch has := l.kindsOf(operator, 0); {
	case has&textKind == 0, operator.Kind == document.String && versionOperators[operator.Text] == nil:
		l.errorf(operator, "sem_ver has the operators %s, got %s: it gives null", strings.Join(slices.Sorted(maps.Keys(versionOperators)), " "), l.show(operator))
	}
	for _, version := range []*document.Node{args[0], args[2]} {
		has := l.kindsOf(version, 0)
		switch {
		case has&(textKind|numberKind) == 0, isLiteral(version) && parseVersion(version.Value()) == nil:
			l.errorf(version, "sem_ver compares versions such as 1.4.0, got %s: it gives null", l.show(version))
		case version.Kind == document.Number:
			l.warnf(version, "a version is a string: write it in quotes, because the number %s is read as %s", version.Text, numberText(numberOf(version)))
		}
	}
	if l.isFixed(args[0], 0) && l.isFixed(args[2], 0) {
		l.warnf(args[0], "compares constants, so it is the same for everybody")
	}
}

// shares checks the arguments of fractional.
func (l *linter) shares(n *document.Node, args []*document.Node) {
	subject := l.loops == 0
	if len(args) > 0 && args[0].Kind != document.List {
		value := args[0]
		has := l.kindsOf(value, 0)
		switch {
		case value.Kind == document.Null:
		case has&listKind != 0 && has != anyKind: // a computed or shared entry
		case l.isFixed(value, 0):
			l.errorf(value, "the bucketing value is the same for everybody, so all get the same variant")
			subject = true
		case l.isTimestamp(value):
			l.warnf(value, "the bucketing value changes every second, so users do not keep their variant")
			subject = true
		default:
			subject = true
		}
		args = args[1:]
	}
	if !subject {
		l.errorf(n, "inside a loop fractional needs a bucketing value, because there is no targetingKey: it gives null")
	}
	switch len(args) {
	case 0:
		l.errorf(n, "fractional needs at least two entries, got 0: it gives null")
		return
	case 1:
		l.warnf(n, "fractional needs at least two entries, got 1")
	}
	sum, known := 0.0, true
	for _, entry := range args {
		if entry.Kind != document.List || len(entry.Items) == 0 {
			known = false
			if !isOperation(entry) {
				l.errorf(entry, "an entry of fractional is [variant] or [variant, weight]; anything else gives null")
			}
			continue
		}
		if len(entry.Items) > 2 {
			l.warnf(entry.Items[2], "an entry of fractional is [variant] or [variant, weight]: it is not read")
		}
		if len(entry.Items) == 1 || entry.Items[1].Kind == document.Null {
			sum++
			continue
		}
		weight := entry.Items[1]
		f := numberOf(weight)
		switch {
		case isOperation(weight):
			known = false
		case weight.Kind != document.Number || f != math.Trunc(f) || math.IsInf(f, 0):
			known = false
			l.errorf(weight, "a weight of fractional is a whole number; with %s it gives null", weight.AppendJSON(nil))
		case f <= 0:
			l.warnf(weight, "no user gets an entry with weight %s", weight.Text)
		default:
			sum += f
		}
	}
	switch {
	case known && sum == 0:
		l.warnf(n, "fractional without any weight gives null")
	case known && sum > math.MaxInt32:
		l.errorf(n, "the weights of fractional sum to %s, more than 2^31−1: it gives null", strconv.FormatFloat(sum, 'f', -1, 64))
	}
}
