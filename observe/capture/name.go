package capture

import "strings"

// isName reports whether s looks like the name of a field, as a programmer gives it,
// and not like data: words that can be spoken, "user_id", "lineItems2", with few
// digits. Data that looks so too, such as a first name, cannot be told apart.
func isName(s string) bool {
	if s == "" || len(s) > 48 || !isLetter(s[0]) && strings.IndexByte("_$@", s[0]) < 0 {
		return false
	}
	if strings.Contains(s, "-") && strings.Contains(s, "_") {
		return false
	}
	digits, words, joined, letters, silent, short := 0, 0, 0, 0, 0, 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case isLetter(c):
			word := s[i : i+wordEnd(s[i:])]
			if !spoken(word) {
				if silent++; len(word) > 5 || silent > 2 {
					return false
				}
			}
			if words++; i > 0 && isAlnum(s[i-1]) {
				joined++
			}
			if len(word) < 3 {
				short++
			}
			if len(word) > 5 && isUpper(word[1]) && (joined > 0 || i+len(word) < len(s) && isAlnum(s[i+len(word)])) {
				return false // no acronym
			}
			letters += len(word)
			i += len(word)
			continue
		case isDigit(c):
			// A digit ends a word, but for those like i18n.
			if digits++; digits > 3 || digits > 1 && !isDigit(s[i-1]) || i+1 < len(s) && s[i+1] >= 'a' && isLetter(s[i+1]) && len(s) > 6 {
				return false
			}
		case i > 0 && strings.IndexByte("_-.:[]", c) < 0:
			return false
		}
		i++
	}
	// Passwords and tokens change case and kind all the time.
	switch {
	case letters == 0, letters < 2*digits-2, words >= 3 && 2*letters < 5*words, joined >= 3 && letters < 3*words,
		joined >= 2 && (silent > 0 || 2*short > words+1), joined >= 1 && digits > 0 && silent > 0:
		return false
	}
	return true
}

// wordEnd is the length of the first word of s: "line" of lineItems, "HTTP" of HTTPServer.
func wordEnd(s string) int {
	i := 1
	if len(s) > 1 && isUpper(s[0]) && isUpper(s[1]) {
		for i < len(s) && isUpper(s[i]) {
			i++
		}
		if i < len(s) && isLetter(s[i]) {
			i--
		}
		return i
	}
	for i < len(s) && 'a' <= s[i] && s[i] <= 'z' {
		i++
	}
	return i
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// abbreviations are words without vowels that names are made of.
var abbreviations = set(strings.Fields(`
	http https html xhtml xml css csv sql jwt dns tcp udp rfc gdpr cmd ctx img btn txt str src dst msg num pdf png svg sms tls ssl
	vpn gps lng qty pct cvv ptr cfg tmp mfg std fmt ref utm csrf xsrf cnt grp prm sku
`))

// spoken reports whether a word of three letters or more has vowels where a language
// has them.
func spoken(word string) bool {
	if len(word) < 3 || abbreviations[strings.ToLower(word)] {
		return true
	}
	run, vowels := 0, 0
	for i := range len(word) {
		if strings.IndexByte("aeiouyAEIOUY", word[i]) >= 0 {
			vowels++
			run = 0
			continue
		}
		if run++; run > 4 || vowels == 0 && run > 3 {
			return false
		}
	}
	return vowels > 0 && len(word) <= 16
}
