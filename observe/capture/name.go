package capture

import "strings"

// isName reports whether s looks like the name of a field, as a programmer gives it,
// and not like data: words that can be spoken and acronyms, "user_id", "lineItems2", "userIDs",
// with few digits, or with the digits of a technical term, "sha256sum". Data that looks so too,
// such as a first name, cannot be told apart.
func isName(s string) bool {
	for _, prefix := range cookiePrefixes {
		if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			s = s[len(prefix):]
		}
	}
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
			if words++; i > 0 && isAlnum(s[i-1]) {
				joined++
			}
			if n := termLen(s[i:]); n > 0 {
				letters += 3
				i += n
				continue
			}
			word := s[i : i+wordEnd(s[i:])]
			known := isAbbreviation(strings.ToLower(word))
			if !known && !spoken(word) {
				if silent++; len(word) > 5 || silent > 2 {
					return false
				}
			}
			if !known && len(word) < 3 {
				short++
			}
			if len(word) > 5 && isUpper(word[1]) && (joined > 0 || i+len(word) < len(s) && isAlnum(s[i+len(word)])) {
				return false // no acronym
			}
			if letters += len(word); known && len(word) < 3 {
				letters += 3 - len(word)
			}
			i += len(word)
			continue
		case isDigit(c):
			// A digit ends a word.
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

// cookiePrefixes are of RFC 6265bis, section 4.1.3.
var cookiePrefixes = []string{"__Host-", "__Secure-"}

// wordEnd is the length of the first word of s: "line" of lineItems, "HTTP" of HTTPServer, "IDs"
// of IDsOfUsers.
func wordEnd(s string) int {
	i := 1
	if len(s) > 1 && isUpper(s[0]) && isUpper(s[1]) {
		for i < len(s) && isUpper(s[i]) {
			i++
		}
		switch {
		case i == len(s) || !isLetter(s[i]):
			return i
		case s[i] == 's' && (i+1 == len(s) || !isLetter(s[i+1]) || isUpper(s[i+1])):
			return i + 1
		}
		return i - 1
	}
	for i < len(s) && 'a' <= s[i] && s[i] <= 'z' {
		i++
	}
	return i
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// terms are names of standards and the like that have digits in them.
var terms = set(strings.Fields(`
	sha1 sha2 sha3 sha224 sha256 sha384 sha512 md4 md5 crc32 crc64 base32 base58 base64 utf8 utf16 utf32 aes128 aes192 aes256 rsa2048 rsa4096
	ed25519 x509 x25519 x500 x86 x64 amd64 arm64 ipv4 ipv6 oauth1 oauth2 http1 http2 http3 tls12 tls13 h264 h265 mp3 mp4 s3 ec2 iso8601 iso3166 iso4217
	rfc3339 rfc822 int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 web2 web3 log4j i18n l10n k8s a11y p2p b2b b2c c2c e2e o2o
	pkcs1 pkcs8 pkcs12 p12 fido2 u2f totp6 java8 es6 html5 css3 win32 win64 posix1 latin1 cp1252 utf8mb4 v1 v2 v3 v4
	p50 p75 p90 p95 p99 p999
`))

// termLen is the length of the technical term that s begins with, or 0. What follows the term is
// the end, a mark, or the beginning of a word.
func termLen(s string) int {
	letters := 0
	for letters < len(s) && letters < 6 && isLetter(s[letters]) {
		letters++
	}
	end := letters
	for end < len(s) && end < letters+6 && isDigit(s[end]) {
		end++
	}
	if end == letters {
		return 0
	}
	// i18n and the like have letters at the end; s3cr3t is not S3.
	for tail := range 2 {
		for n := end; n <= end+1 && n <= len(s); n++ {
			if n-end != 1-tail || !terms[strings.ToLower(s[:n])] {
				continue
			}
			if rest := s[n:]; rest == "" || !isAlnum(rest[0]) || isUpper(rest[0]) && !isUpper(s[n-1]) || (letters > 2 || n-letters > 1) && spoken(rest[:wordEnd(rest)]) && wordEnd(rest) > 2 && isLetter(rest[0]) {
				return n
			}
		}
	}
	return 0
}

// abbreviations are acronyms, short words, and words without vowels that names are made of.
var abbreviations = set(strings.Fields(`
	http https html xhtml xml css csv sql jwt dns tcp udp rfc gdpr cmd ctx img btn txt str src dst msg num pdf png svg sms tls ssl
	vpn gps lng qty pct cvv ptr cfg tmp mfg std fmt ref utm csrf xsrf cnt grp prm sku php asp jsp tz os db ui vm eu us uk is in of by to on at no my
	as or if it do go up me we be an ok pk fk ts ns ms kb mb gb tb cc bcc cd ci qa qr tv pc hd aws gcp arn sso mfa otp pin bic vat gtin upc isbn ssn dob
	id ip url uri api rpc grpc cpu gpu ram dpi rgb hsl kpi crm erp cms cdn ssh ftp smtp imap ldap nfs pgp gpg hmac aes rsa tld mx ns ptz nr vs ca de en
	ch ua fr hr pr pm am ft cm mm kg lb sq hz rx tx ack syn seq idx len max min avg sum lat lon alt zip iban ean vip xid uid gid pid tid sid cid did mid rid
`))

func isAbbreviation(lower string) bool {
	return abbreviations[lower] || len(lower) > 2 && abbreviations[strings.TrimSuffix(lower, "s")]
}

// spoken reports whether a word of three letters or more has vowels where a language
// has them, also after an abbreviation, as in csrftoken.
func spoken(word string) bool {
	if len(word) < 3 || hasVowels(word) {
		return true
	}
	if len(word) > 24 {
		return false
	}
	lower := strings.ToLower(word)
	for n := 3; n <= 5 && n+3 <= len(lower); n++ {
		if abbreviations[lower[:n]] && hasVowels(lower[n:]) {
			return true
		}
	}
	return false
}

func hasVowels(word string) bool {
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
