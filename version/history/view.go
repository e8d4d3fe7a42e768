package history

import (
	"bytes"
	"strconv"
	"time"
)

// A view reads a line in the form that appendLine writes, without copying. It takes a tenth of
// the time of parseLine, which reads all other lines. FuzzView compares the two.
type view struct {
	id, kind, client, run                           []byte
	service, environment, region, cluster, instance []byte
	version, revision, build                        []byte
	event                                           [5][]byte // kind, subject, from, to, actor
	eventService, eventEnvironment, eventURL        []byte
	eventShare                                      float64
	time, received, at                              time.Time
	late, every                                     int64
	epoch                                           int64
	rollback, hasEvent                              bool

	info []byte // JSON, or nil
	rest []byte // the unread part of the line
}

// read reports whether it can read the line.
func (v *view) read(line []byte) bool {
	*v = view{rest: line}
	var seen uint32
	if !v.skip('{') {
		return false
	}
	for {
		key, ok := v.text()
		if !ok || !v.skip(':') {
			return false
		}
		var field uint32
		switch string(key) {
		case "id":
			v.id, ok, field = v.value(1 << 0)
		case "kind":
			v.kind, ok, field = v.value(1 << 1)
		case "time":
			v.time, ok, field = v.clock(1 << 2)
		case "late":
			v.late, ok, field = v.number(1 << 3)
		case "received":
			v.received, ok, field = v.clock(1 << 4)
		case "client":
			v.client, ok, field = v.value(1 << 5)
		case "run":
			v.run, ok, field = v.value(1 << 6)
		case "every":
			v.every, ok, field = v.number(1 << 7)
		case "service":
			v.service, ok, field = v.value(1 << 8)
		case "environment":
			v.environment, ok, field = v.value(1 << 9)
		case "region":
			v.region, ok, field = v.value(1 << 10)
		case "cluster":
			v.cluster, ok, field = v.value(1 << 11)
		case "instance":
			v.instance, ok, field = v.value(1 << 12)
		case "version":
			v.version, ok, field = v.value(1 << 13)
		case "revision":
			v.revision, ok, field = v.value(1 << 14)
		case "rollback":
			v.rollback, field = true, 1<<15
			v.rest, ok = bytes.CutPrefix(v.rest, []byte("true"))
		case "event":
			ok, field = v.readEvent(), 1<<16
		case "at":
			v.at, ok, field = v.clock(1 << 17)
		case "epoch":
			v.epoch, ok, field = v.number(1 << 18)
		case "build":
			v.build, ok, field = v.value(1 << 19)
		case "info":
			// appendLine writes it last.
			v.info = bytes.TrimSuffix(v.rest, []byte("}"))
			return len(v.build) > 0 && seen&(1<<2) != 0 && bytes.HasPrefix(v.info, []byte("{")) && bytes.HasSuffix(v.rest, []byte("}}"))
		default:
			return false
		}
		if !ok || seen&field != 0 {
			return false
		}
		seen |= field
		if v.skip('}') {
			return len(v.rest) == 0 && seen&(1<<2) != 0
		}
		if !v.skip(',') {
			return false
		}
	}
}

func (v *view) readEvent() bool {
	v.hasEvent = true
	if !v.skip('{') {
		return false
	}
	for {
		key, ok := v.text()
		if !ok || !v.skip(':') {
			return false
		}
		if string(key) == "share" {
			if v.eventShare != 0 || !v.share() {
				return false
			}
			if v.skip('}') {
				return true
			}
			if !v.skip(',') {
				return false
			}
			continue
		}
		text, ok, _ := v.value(0)
		if !ok {
			return false
		}
		var to *[]byte
		switch string(key) {
		case "kind":
			to = &v.event[0]
		case "subject":
			to = &v.event[1]
		case "from":
			to = &v.event[2]
		case "to":
			to = &v.event[3]
		case "actor":
			to = &v.event[4]
		case "service":
			to = &v.eventService
		case "environment":
			to = &v.eventEnvironment
		case "url":
			if !isURL(string(text)) {
				return false
			}
			to = &v.eventURL
		default:
			return false
		}
		if *to != nil {
			return false
		}
		*to = text
		if v.skip('}') {
			return true
		}
		if !v.skip(',') {
			return false
		}
	}
}

// share reads a number from 0 to 1 without an exponent.
func (v *view) share() bool {
	n := 0
	for n < len(v.rest) && (v.rest[n] >= '0' && v.rest[n] <= '9' || v.rest[n] == '.') {
		n++
	}
	text := string(v.rest[:n])
	v.rest = v.rest[n:]
	if text != "1" && (len(text) < len("0.1") || text[:2] != "0.") {
		return false
	}
	var err error
	v.eventShare, err = strconv.ParseFloat(text, 64)
	return err == nil && v.eventShare > 0
}

func (v *view) skip(c byte) bool {
	if len(v.rest) == 0 || v.rest[0] != c {
		return false
	}
	v.rest = v.rest[1:]
	return true
}

// text reads a string of printable ASCII without escapes.
func (v *view) text() ([]byte, bool) {
	if !v.skip('"') {
		return nil, false
	}
	for n, c := range v.rest {
		if c == '"' {
			text := v.rest[:n:n]
			v.rest = v.rest[n+1:]
			return text, true
		}
		if c < ' ' || c >= 0x7f || c == '\\' {
			return nil, false
		}
	}
	return nil, false
}

// value reads a text that cleantext would not change. Empty texts are left to parseLine.
func (v *view) value(field uint32) ([]byte, bool, uint32) {
	text, ok := v.text()
	return text, ok && len(text) > 0 && len(text) <= maxName && text[0] != ' ' && text[len(text)-1] != ' ', field
}

func (v *view) number(field uint32) (int64, bool, uint32) {
	n := 0
	for n < len(v.rest) && (v.rest[n] >= '0' && v.rest[n] <= '9' || n == 0 && v.rest[n] == '-') {
		n++
	}
	if n == 0 || n > 18 || v.rest[0] == '0' || v.rest[0] == '-' && (n == 1 || v.rest[1] == '0') {
		return 0, false, field // also if it does not fit in an int64
	}
	i, err := strconv.ParseInt(string(v.rest[:n]), 10, 64)
	v.rest = v.rest[n:]
	return i, err == nil, field
}

// clock reads a time of RFC 3339 in UTC.
func (v *view) clock(field uint32) (time.Time, bool, uint32) {
	s, ok := v.text()
	if !ok || len(s) < len("2006-01-02T15:04:05Z") || len(s) > len("2006-01-02T15:04:05.123456789Z") || s[len(s)-1] != 'Z' ||
		s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false, field
	}
	digits := func(s []byte) int {
		n := 0
		for _, c := range s {
			if c < '0' || c > '9' {
				ok = false
			}
			n = 10*n + int(c) - '0'
		}
		return n
	}
	year, month, day := digits(s[:4]), digits(s[5:7]), digits(s[8:10])
	hour, minute, second := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	nanos := 0
	if fraction := s[19 : len(s)-1]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) == 1 {
			return time.Time{}, false, field
		}
		nanos = digits(fraction[1:])
		for range 10 - len(fraction) {
			nanos *= 10
		}
	}
	if !ok || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false, field
	}
	return time.Unix(unixDay(year, month, day)*86400+int64(hour*3600+minute*60+second), int64(nanos)).UTC(), true, field
}

func daysIn(year, month int) int {
	return int(unixDay(year+month/12, month%12+1, 1) - unixDay(year, month, 1))
}

// unixDay counts days since 1970. It lets years begin in March, so that a leap day is the last
// day of its year.
func unixDay(year, month, day int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1
	return int64(days - 719468)
}

// entry returns the same entry as parseLine, without Info.
func (v *view) entry(texts map[string]string) (Entry, error) {
	text := func(b []byte) string {
		if len(b) == 0 {
			return ""
		}
		s, ok := texts[string(b)]
		if !ok {
			s = string(b)
			if len(texts) < 4096 {
				texts[s] = s
			}
		}
		return s
	}
	e := Entry{
		ID: string(v.id), Kind: Kind(text(v.kind)), Time: v.time, Late: time.Duration(v.late), Received: v.received, At: v.at,
		Client: text(v.client), Run: string(v.run), Every: time.Duration(v.every),
		Service: text(v.service), Environment: text(v.environment), Region: text(v.region), Cluster: text(v.cluster), Instance: text(v.instance),
		Version: text(v.version), Revision: text(v.revision), Rollback: v.rollback, Build: text(v.build), epoch: v.epoch,
	}
	if v.hasEvent {
		e.Event = &Event{
			Kind: string(v.event[0]), Subject: string(v.event[1]), From: string(v.event[2]), To: string(v.event[3]), Actor: string(v.event[4]),
			Service: text(v.eventService), Environment: text(v.eventEnvironment), URL: string(v.eventURL), Share: v.eventShare,
		}
	}
	_, err := e.check(maxStoredID)
	return e, err
}

// valid reports whether entry succeeds.
func (v *view) valid() bool {
	if len(v.id) == 0 || len(v.id) > maxStoredID || !inRange(v.time) {
		return false
	}
	switch Kind(v.kind) {
	case KindNoted:
		return v.hasEvent && (v.event[0] != nil || v.event[1] != nil)
	case KindStarted, KindSeen, KindStopped:
		return len(v.run) > 0 && len(v.run) <= maxStoredID && (len(v.build) == 0 || isDigest(string(v.build)))
	}
	return false
}
