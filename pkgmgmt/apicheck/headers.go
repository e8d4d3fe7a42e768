package apicheck

import (
	"regexp"
	"slices"
	"strings"
)

// headers are the definitions in header files, or in the comment before import "C".
type headers struct {
	text    string
	defines map[string]string // all #define lines of a name
	types   map[string]string // typedef lines, by the declared name
	bodies  map[string]bool   // structs, unions and enums with members
}

var (
	cDefine   = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*define[ \t]+(\w+)(.*)$`)
	cTypedef  = regexp.MustCompile(`(?m)^[ \t]*typedef\b[^{;]*;`)
	cBody     = regexp.MustCompile(`\b(?:struct|union|enum)\s+(\w+)\s*\{|\}\s*(\w+)\s*;`)
	cFunction = regexp.MustCompile(`\(\s*\*\s*(\w+)`)
	cWord     = regexp.MustCompile(`[A-Za-z_]\w*`)
)

func parseHeaders(text string) *headers {
	h := &headers{text: text, defines: map[string]string{}, types: map[string]string{}, bodies: map[string]bool{}}
	for _, m := range cDefine.FindAllStringSubmatch(text, -1) {
		value, _, _ := strings.Cut(m[2], "/*")
		value, _, _ = strings.Cut(value, "//")
		h.defines[m[1]] += strings.TrimSpace(value) + "\n"
	}
	for _, line := range cTypedef.FindAllString(text, -1) {
		words := cWord.FindAllString(line, -1)
		name := words[len(words)-1]
		if m := cFunction.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		h.types[name] += line + "\n"
	}
	for _, m := range cBody.FindAllStringSubmatch(text, -1) {
		h.bodies[m[1]+m[2]] = true
	}
	return h
}

// about returns the text that defines names of C, or all text if that cannot be decided.
func about(names []string, all ...*headers) string {
	var out strings.Builder
	seen := map[string]bool{}
	names = slices.Clone(names)
	slices.Sort(names)
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		for _, kind := range []string{"struct_", "union_", "enum_"} {
			name = strings.TrimPrefix(name, kind)
		}
		if seen[name] || strings.Contains(cTypes, " "+name+" ") {
			continue
		}
		seen[name] = true
		text, everything, mentioned := "", "", false
		for _, h := range all {
			text += h.defines[name] + h.types[name]
			everything += h.text
			mentioned = mentioned || h.bodies[name] || regexp.MustCompile(`\b`+name+`\b`).MatchString(h.text)
		}
		for _, h := range all {
			if h.bodies[name] || text == "" && mentioned {
				return everything
			}
		}
		out.WriteString(text)
		names = append(names, cWord.FindAllString(text, -1)...)
	}
	return out.String()
}

// cTypes are types of C that headers cannot change.
const cTypes = " char schar uchar short ushort int uint long ulong longlong ulonglong float double complexfloat complexdouble size_t ssize_t " +
	"int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t void const unsigned signed struct union enum typedef "
