package capture

import "strings"

// appendGraphQL appends a GraphQL document with its strings, numbers and comments replaced, or
// reports that s is something else. Keywords and names stay when they look like names, because a
// server does not know others.
func (m *mask) appendGraphQL(dst []byte, s string) ([]byte, bool) {
	if !isGraphQL(s) {
		return dst, false
	}
	for s != "" {
		kind, n := graphQLToken(s)
		switch token := s[:n]; {
		case kind == tokenName && isName(token), kind == tokenMark:
			dst = append(dst, token...)
		case kind == tokenNumber:
			dst = m.appendNumber(dst, token)
		case kind == tokenString:
			quotes := (len(token) - len(strings.Trim(token, `"`))) / 2
			quotes = min(quotes, len(token)/2)
			dst = append(dst, token[:quotes]...)
			dst = m.appendText(dst, token[quotes:len(token)-quotes])
			dst = append(dst, token[:quotes]...)
		default:
			dst = m.appendText(dst, token)
		}
		s = s[n:]
	}
	return dst, true
}

// isGraphQL accepts documents of operations and fragments by their words and brackets.
func isGraphQL(s string) bool {
	var open []byte
	begins := true // a definition begins or there was one
	found := false
	for s != "" {
		kind, n := graphQLToken(s)
		if n == 0 {
			return false
		}
		token := s[:n]
		s = s[n:]
		if kind == tokenComment || kind == tokenMark && strings.Trim(token, " \t\r\n,\ufeff") == "" {
			continue
		}
		if len(open) == 0 && begins {
			switch token {
			case "{", "query", "mutation", "subscription", "fragment":
			default:
				return false
			}
			begins = false
		}
		if kind != tokenMark {
			continue
		}
		switch token {
		case "{", "(", "[":
			if open = append(open, token[0]); len(open) > maxDepth {
				return false
			}
		case "}", ")", "]":
			last := len(open) - 1
			if last < 0 || token[0]-open[last] > 2 {
				return false
			}
			if open = open[:last]; last == 0 && token == "}" {
				begins, found = true, true
			}
		}
	}
	return found && begins && len(open) == 0
}

type graphQLKind uint8

const (
	tokenMark graphQLKind = iota // a mark or space
	tokenName
	tokenNumber
	tokenString
	tokenComment
)

// graphQLToken returns the kind and the length of the first token of s. Length 0 means that it
// does not belong to GraphQL.
func graphQLToken(s string) (graphQLKind, int) {
	n := 1
	switch c := s[0]; {
	case strings.HasPrefix(s, "..."):
		return tokenMark, 3
	case strings.HasPrefix(s, "\ufeff"):
		return tokenMark, 3
	case strings.IndexByte(" \t\r\n,!$&():=@[]{|}", c) >= 0:
		return tokenMark, 1
	case c == '#':
		if n = strings.IndexAny(s, "\r\n"); n < 0 {
			n = len(s)
		}
		return tokenComment, n
	case isLetter(c) || c == '_':
		for n < len(s) && (isAlnum(s[n]) || s[n] == '_') {
			n++
		}
		return tokenName, n
	case isDigit(c) || c == '-':
		return tokenNumber, scalarLen(s)
	case strings.HasPrefix(s, `"""`):
		for i := 3; i < len(s); i++ {
			switch {
			case strings.HasPrefix(s[i:], `\"""`):
				i += 3
			case strings.HasPrefix(s[i:], `"""`):
				return tokenString, i + 3
			}
		}
	case c == '"':
		for ; n < len(s) && s[n] >= ' '; n++ {
			if s[n] == '"' {
				return tokenString, n + 1
			}
			if s[n] == '\\' {
				n++
			}
		}
	}
	return tokenMark, 0
}
