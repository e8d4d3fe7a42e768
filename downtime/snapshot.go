package downtime

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A snapshot is what the guard believes from one moment to the next: which
// windows are near, their phases, and so for every class of work whether it may begin.
// A snapshot never changes, but for the classes that it makes as they are asked for.
type snapshot struct {
	schedule *schedule.Schedule       // nil while there is none
	locals   map[occurrenceKey]*local // what was said here and holds
	differs  bool                     // a window is not as the schedule says
	near     []*near                  // those in progress first, the most restrictive before the others
	scopes   []*schedule.Scope        // of near, each once
	places   map[string]int           // key of a scope: its place in scopes
	next     time.Time                // when another snapshot is due; zero: never

	table   []*class                          // classes of requests, when scopes are few: see requestClass
	outside [2]*class                         // else: of requests in no scope, by effect
	single  []atomic.Pointer[class]           // of requests in one scope, at twice its place and their effect
	mu      sync.Mutex                        // held to add a class
	classes atomic.Pointer[map[string]*class] // all others
}

// near is a window in a snapshot: one to come, from lead before it is announced at the
// latest, in progress, or over and not let go.
type near struct {
	schedule.WindowState
	scope      int // in snapshot.scopes
	progress   *progress
	local      bool // its times are not the document's
	overrunMax time.Duration
	asks       bool          // the quorum is told of it
	waits      bool          // it is closed before its start, or after its end, for want of the quorum's word
	pages      func() *pages // what refused requests are answered
}

// isOn says whether the window is in progress, or ought to be over.
func (n *near) isOn() bool {
	return n.Phase == schedule.PhaseInProgress || n.Phase == schedule.PhaseOverrun
}

// refuses says whether the window is on and refuses what is in its scope and of that
// effect.
func (n *near) refuses(e Effect) bool {
	return n.isOn() && n.Window.Mode.Closes() && modeRefuses(n.Window.Mode, e)
}

// modeRefuses says whether the mode, in progress, is against work of that effect. For
// ModeRehearse that is what it would have refused.
func modeRefuses(m schedule.Mode, e Effect) bool {
	switch m {
	case schedule.ModeClosed, schedule.ModeRehearse, "":
		return true
	case schedule.ModeReadOnly:
		return e != Read
	}
	return false
}

// isShut says whether the window refuses what its mode refuses.
func (n *near) isShut() bool { return n.Window.Mode.Closes() && (n.isOn() || n.waits) }

// drains says whether the window is in progress and was not quiet yet.
func (n *near) drains() bool {
	return n.isOn() && n.Window.ID != "" && n.Window.Mode != schedule.ModeAnnounce && n.progress.quiet.Load() == 0
}

// phase is the phase by the clock and by what runs.
func (n *near) phase() schedule.Phase {
	if n.Phase == schedule.PhaseInProgress && n.drains() {
		return schedule.PhaseDraining
	}
	return n.Phase
}

func (p *progress) quietAfter() (time.Duration, bool) {
	q := p.quiet.Load()
	return time.Duration(max(0, q-1)), q > 0
}

// end is when the window was to end, which may be past; the zero time for what ends
// when something is known.
func (n *near) end() time.Time {
	if n.waits && !n.isOn() {
		return time.Time{}
	}
	return n.End
}

// knownEnd is the same, but zero too for a window that ought to be over.
func (n *near) knownEnd() time.Time {
	if n.Phase == schedule.PhaseOverrun {
		return time.Time{}
	}
	return n.end()
}

// until is when those who are refused may come back; the zero time is soon.
func (n *near) until() time.Time {
	if n.Phase == schedule.PhaseOverrun {
		return n.End.Add(n.overrunMax)
	}
	return n.end()
}

// reason is what users are told.
func (n *near) reason() string {
	switch w := n.Window; {
	case n.waits && !n.isOn():
		return "This part of the service is closed for a moment, until all of its replicas agree."
	case w.Message != "":
		return w.Message
	case w.Mode == schedule.ModeReadOnly:
		return "Changes are not possible during maintenance."
	}
	return "This part of the service is down for maintenance."
}

// lead is how long before its first phase a window's scope is told apart, so that what
// still runs when the window begins is known by its scope. What has run for longer
// counts against every window. Where the windows to come are few, their scopes are
// told apart always.
const lead = time.Hour

// few says whether the windows that are not over are so few, and so alike in scope,
// that all of them may always be near.
func few(s *schedule.Schedule, now time.Time) bool {
	const most = 100
	scopes, windows := make(map[string]bool, tableScopes), 0
	for o := range s.Pending(now) {
		windows++
		scopes[o.Window.Scope.Key()] = true
		if windows > most || len(scopes) > tableScopes {
			return false
		}
	}
	return true
}

// due says that another snapshot is needed then; the zero time is never.
func (s *snapshot) due(t time.Time) {
	if !t.IsZero() && (s.next.IsZero() || t.Before(s.next)) {
		s.next = t
	}
}

const tableScopes = 5 // up to so many scopes all classes of requests are made beforehand

// seal completes a snapshot of which schedule and near are set.
func (s *snapshot) seal() {
	slices.SortStableFunc(s.near, func(a, b *near) int { return a.WindowState.Compare(b.WindowState) })
	s.places = make(map[string]int, len(s.near))
	for _, n := range s.near {
		sc := &n.Window.Scope
		at, ok := s.places[sc.Key()]
		if !ok {
			at = len(s.scopes)
			s.places[sc.Key()] = at
			s.scopes = append(s.scopes, sc)
		}
		n.scope = at
	}
	s.classes.Store(&map[string]*class{})
	if len(s.scopes) > tableScopes {
		none := noScopes(nil, len(s.scopes))
		for effect := range s.outside {
			s.outside[effect] = s.newClass(kindHTTP, Effect(effect), false, none)
		}
		s.single = make([]atomic.Pointer[class], 2*len(s.scopes))
	} else {
		s.table = make([]*class, 2<<len(s.scopes))
		for i := range s.table {
			s.table[i] = s.newClass(kindHTTP, Effect(i&1), false, []byte{byte(i >> 1)})
		}
	}
}

// A class is all that a decision depends on: requests and work of one class are
// admitted or refused alike, and count alike.
type class struct {
	snapshot *snapshot
	kind     string // kindHTTP, or the name of work
	effect   Effect
	scopes   []byte // a bit for each of snapshot.scopes

	refusedBy *near   // the most restrictive window that refuses; nil: none
	refusing  []*near // all that refuse, refusedBy first
	cutoffBy  *near   // the window that refuses it when it is long; nil: none
	cutting   []*near // all that do, cutoffBy first
	rehearsed []*near // those that would have refused, but only rehearse
	announced bool    // users are told of one of the windows

	bypassed bool                  // it is let in though refused: an operator's
	bypass   atomic.Pointer[class] // the class of the same that is; nil: not made yet
}

// kindHTTP is what reports call requests.
const kindHTTP = "http"

// newClass makes a class. What is held was handed on by what was admitted, and so no
// rehearsal would have refused it.
func (s *snapshot) newClass(kind string, effect Effect, held bool, scopes []byte) *class {
	c := &class{snapshot: s, kind: kind, effect: effect, scopes: scopes}
	for _, n := range s.near {
		if !c.in(n.scope) {
			continue
		}
		if !n.Phase.Before(schedule.PhaseAnnounced) && n.Window.Mode != schedule.ModeRehearse {
			c.announced = true
		}
		if !modeRefuses(n.Window.Mode, effect) {
			continue
		}
		switch {
		case n.Phase == schedule.PhaseInProgress && n.Window.Mode == schedule.ModeRehearse:
			if !held {
				c.rehearsed = append(c.rehearsed, n)
			}
		case n.isShut():
			c.refusing = append(c.refusing, n)
		case n.Phase == schedule.PhaseCutoff && n.Window.Mode.Closes():
			c.cutting = append(c.cutting, n)
		}
	}
	if len(c.refusing) > 0 {
		c.refusedBy = c.refusing[0]
	}
	if len(c.cutting) > 0 {
		c.cutoffBy = c.cutting[0]
	}
	return c
}

// bypassing is the class of what is let in by a bypass though class c is refused. It
// counts as busy in the windows that it bypasses, and keeps their work unfinished.
func (c *class) bypassing() *class {
	if b := c.bypass.Load(); b != nil {
		return b
	}
	b := c.snapshot.newClass(c.kind, c.effect, false, c.scopes)
	b.bypassed = true
	c.bypass.Store(b) // of two that make it at once either is right
	return b
}

func (c *class) in(scope int) bool { return c.scopes[scope>>3]&(1<<(scope&7)) != 0 }

// counts says whether what runs in class c is in the way of the window, and whether
// that is only for want of knowledge: c was admitted before the window's scope was
// told apart.
func (c *class) counts(w *schedule.Window) (counts, unsure bool) {
	if w.Mode == schedule.ModeReadOnly && c.effect == Read {
		return false, false
	}
	if w.Scope.IsEmpty() {
		return !c.wasRehearsed(w), false
	}
	at, known := c.snapshot.places[w.Scope.Key()]
	if !known {
		return true, true
	}
	return c.in(at) && !c.wasRehearsed(w), false
}

// wasRehearsed says whether the window is a rehearsal and, were it none, would have
// refused what is in class c. A rehearsal that has become earnest counts all.
func (c *class) wasRehearsed(w *schedule.Window) bool {
	if w.Mode != schedule.ModeRehearse {
		return false
	}
	for _, n := range c.rehearsed {
		if n.Window.ID == w.ID {
			return true
		}
	}
	return false
}

// requestClass finds the class of a request.
func (g *Guard) requestClass(s *snapshot, t *schedule.Request) *class {
	if s.table != nil {
		mask := 0
		for i, sc := range s.scopes {
			if sc.Covers(t) {
				mask |= 1 << i
			}
		}
		return s.table[mask<<1|int(g.effect(t.HTTP, mask != 0))]
	}
	var room [keyRoom]byte
	found := s.find(room[:0], t)
	effect := g.effect(t.HTTP, found.n > 0)
	switch {
	case found.n == 0:
		return s.outside[effect]
	case found.n > 1:
		return s.class(found.bits, kindHTTP, effect, false)
	}
	at := &s.single[2*found.last+int(effect)]
	c := at.Load()
	if c == nil {
		// Of two that make it at once either is right.
		c = s.newClass(kindHTTP, effect, false, slices.Clone(found.bits))
		at.Store(c)
	}
	return c
}

// hits are the scopes that were found.
type hits struct {
	bits []byte // a bit for each scope
	n    int
	last int // one of them
}

func (h *hits) add(scope int) {
	h.bits[scope>>3] |= 1 << (scope & 7)
	h.n++
	h.last = scope
}

// find finds the scopes that the request is in, and appends their bits to room.
func (s *snapshot) find(room []byte, t *schedule.Request) hits {
	found := hits{bits: noScopes(room, len(s.scopes))}
	for i, sc := range s.scopes {
		if sc.Covers(t) {
			found.add(i)
		}
	}
	return found
}

// workClass finds the class of work, and of what is held.
func (s *snapshot) workClass(w Work, held bool) *class {
	var room [keyRoom]byte
	var found hits
	if w.Request != nil {
		found = s.find(room[:0], &schedule.Request{HTTP: w.Request})
	} else {
		found.bits = noScopes(room[:0], len(s.scopes))
		for i, sc := range s.scopes {
			if sc.CoversWork(w.Name) {
				found.add(i)
			}
		}
	}
	effect := Write
	if w.Effect == Read {
		effect = Read
	}
	return s.class(found.bits, w.Name, effect, held)
}

// effect is what the request does. A function of the application is asked only where
// it matters.
func (g *Guard) effect(r *http.Request, matters bool) Effect {
	switch {
	case g.opts.Classify == nil:
		return methodEffect(r.Method)
	case matters && g.opts.Classify(r) == Read:
		return Read
	}
	return Write
}

// keyRoom holds the key of a class on the stack, for up to 500 scopes.
const keyRoom = 128

// noScopes appends bits for so many scopes, none set.
func noScopes(b []byte, scopes int) []byte {
	for range scopes/8 + 1 {
		b = append(b, 0)
	}
	return b
}

const (
	maxClasses = 1000 // are kept in a snapshot
	kindOther  = "other"
)

// class returns the class of what is in the scopes of bits, of which the array may
// be written to beyond its length.
//
// Clients can make as many classes as there are combinations of scopes. Those that
// there is no room for are made each time anew, which is only slower.
func (s *snapshot) class(bits []byte, kind string, effect Effect, held bool) *class {
	how := byte(effect)
	if held {
		how |= 1 << 7
	}
	key := append(append(bits, how), kind...)
	classes := *s.classes.Load()
	if c := classes[string(key)]; c != nil {
		return c
	}
	if len(classes) >= maxClasses && kind != kindHTTP && kind != kindOther {
		return s.class(bits, kindOther, effect, held)
	}
	c := s.newClass(kind, effect, held, slices.Clone(bits))
	s.mu.Lock()
	defer s.mu.Unlock()
	classes = *s.classes.Load()
	if known := classes[string(key)]; known != nil {
		return known
	}
	if len(classes) >= maxClasses && kind != kindOther || len(classes) >= 2*maxClasses {
		return c
	}
	classes = maps.Clone(classes)
	classes[string(key)] = c
	s.classes.Store(&classes)
	return c
}
