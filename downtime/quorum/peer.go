package quorum

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Peer is a session that takes part in a window; with files, a process.
type Peer struct {
	// PID is the process id of the session's backend, as in pg_stat_activity; with files, of the
	// process.
	PID int

	// Name is the session's application_name; for a replica, [Options].Name.
	Name string

	// Addr is the address of the session's client. It is empty for a local socket, with files,
	// and if PostgreSQL does not show it: that needs the session's role or pg_read_all_stats.
	Addr string

	// Since is when a replica's session began; with files, when it joined; for a writer, when its
	// transaction began. Zero means that PostgreSQL does not show it.
	Since time.Time

	// Digest identifies the replica's definition of the window: eight hexadecimal digits, the
	// same for the same id, scope and mode. Empty means that it has not published one, as in
	// earlier versions of this package.
	Digest string

	State State
}

// String describes the peer for operators:
//
//	pid 4711 "orders-api@node-1 17" 10.0.0.7 is open, since 2026-12-06T01:02:03Z
func (p Peer) String() string {
	b := fmt.Appendf(nil, "pid %d", p.PID)
	if p.Name != "" {
		b = fmt.Appendf(b, " %s", quote(p.Name))
	}
	if p.Addr != "" {
		b = fmt.Appendf(b, " %s", p.Addr)
	}
	b = fmt.Appendf(b, " %v", p.State)
	if p.State == StateDiffers {
		b = fmt.Appendf(b, " (digest %s)", cmp.Or(p.Digest, "none"))
	}
	if !p.Since.IsZero() {
		b = fmt.Appendf(b, ", since %s", p.Since.UTC().Format(time.RFC3339))
	}
	return string(b)
}

// quote quotes and shortens foreign text for one line.
func quote(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToGraphic(text)
}

// A State is a peer's state in a window. Drain waits for peers in every state except
// [StateQuiet].
type State uint8

const (
	StateQuiet    State = iota // a replica that knows the window and admits nothing
	StateOpen                  // a replica that admits work in the window's scope, or has work running
	StateUnaware               // a replica that does not know the window: its document is old, its clock is wrong, or it has just started
	StateWriting               // a transaction that has passed [Fence], or a different holder of the same lock
	StateDraining              // a different operator with the window's lock
	StateDiffers               // a replica whose window has a different scope or mode than in other replicas
)

var stateTexts = [...]string{
	StateQuiet:    "is quiet",
	StateOpen:     "is open",
	StateUnaware:  "does not know of the window",
	StateWriting:  "is writing",
	StateDraining: "is draining the window",
	StateDiffers:  "knows the window with another scope or mode than others",
}

// String returns the state as the end of a sentence: "is open".
func (s State) String() string {
	if int(s) < len(stateTexts) {
		return stateTexts[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// A Report has the states of all peers in a window at one moment.
type Report struct {
	Window string
	Peers  []Peer // by PID
}

// Waiting returns the peers that Drain waits for.
func (r Report) Waiting() []Peer {
	var waiting []Peer
	for _, p := range r.Peers {
		if p.State != StateQuiet {
			waiting = append(waiting, p)
		}
	}
	return waiting
}

// knows reports whether a peer is a replica that knows the window.
func (p Peer) knows() bool { return p.State == StateQuiet || p.State == StateOpen }

// compare marks the replicas whose definition of the window is not the most frequent one. If two
// definitions are equally frequent, it marks all replicas.
func (r Report) compare() {
	count := map[string]int{}
	for _, p := range r.Peers {
		if p.knows() {
			count[p.Digest]++
		}
	}
	if len(count) < 2 {
		return
	}
	most, alone := 0, false
	for _, n := range count {
		if n >= most {
			most, alone = n, n > most
		}
	}
	for i, p := range r.Peers {
		if p.knows() && !(alone && count[p.Digest] == most) {
			r.Peers[i].State = StateDiffers
		}
	}
}

// definition returns the digest of the replicas that know the window, or false.
func (r Report) definition() (digest string, ok bool) {
	for _, p := range r.Peers {
		if p.knows() {
			return p.Digest, true
		}
	}
	return "", false
}

// differing marks the replicas with a different digest.
func (r Report) differing(digest string) {
	for i, p := range r.Peers {
		if p.knows() && p.Digest != digest {
			r.Peers[i].State = StateDiffers
		}
	}
}

// replicas returns the number of peers that are replicas.
func (r Report) replicas() (n int) {
	for _, p := range r.Peers {
		if p.State != StateWriting && p.State != StateDraining {
			n++
		}
	}
	return n
}

// String describes the report for operators: `orders-db: waiting for 1 of 3: pid 4711 is open`.
func (r Report) String() string {
	waiting := r.Waiting()
	if len(waiting) == 0 {
		return fmt.Sprintf("%s: nobody of %d in the way", r.Window, len(r.Peers))
	}
	return fmt.Sprintf("%s: waiting for %d of %d: %s", r.Window, len(waiting), len(r.Peers), list(waiting, len(waiting)))
}

// list names at most most peers.
func list(peers []Peer, most int) string {
	texts := make([]string, 0, len(peers))
	for i, p := range peers {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(peers)-most))
			break
		}
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}
