package downtime

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A snapshot is what the guard believes from one moment to the next: which
// windows are near, their phases, and so for every class of work whether it may begin.
// A snapshot never changes, but for the classes that it makes as they are asked for.
type snapshot struct {
	schedule *Schedule                // nil while there is none
	locals   map[occurrenceKey]*local // what was said here and holds
	differs  bool                     // a window is not as the schedule says
	near     []*near                  // those in progress first, the most restrictive before the others
	scopes   []*scope                 // of near, each once
	places   map[string]int           // key of a scope: its place in scopes
	index    *index                   // of scopes; nil when they are so few that asking each is faster
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
	WindowState
	scope      int // in snapshot.scopes
	progress   *progress
	local      bool // its times are not the document's
	overrunMax time.Duration
	asks       bool          // the quorum is told of it
	waits      bool          // it is closed before its start, or after its end, for want of the quorum's word
	pages      func() *pages // what refused requests are answered
}

// isOn says whether the window is in progress, or ought to be over.
func (n *near) isOn() bool { return n.Phase == PhaseInProgress || n.Phase == PhaseOverrun }

// refuses says whether the window is on and refuses what is in its scope and of that
// effect.
func (n *near) refuses(e Effect) bool {
	return n.isOn() && n.Window.Mode.closes() && n.Window.Mode.refuses(e)
}

// isShut says whether the window refuses what its mode refuses.
func (n *near) isShut() bool { return n.Window.Mode.closes() && (n.isOn() || n.waits) }

// drains says whether the window is in progress and was not quiet yet.
func (n *near) drains() bool {
	return n.isOn() && n.Window.ID != "" && n.Window.Mode != ModeAnnounce && n.progress.quiet.Load() == 0
}

// phase is the phase by the clock and by what runs.
func (n *near) phase() Phase {
	if n.Phase == PhaseInProgress && n.drains() {
		return PhaseDraining
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
	if n.Phase == PhaseOverrun {
		return time.Time{}
	}
	return n.end()
}

// until is when those who are refused may come back; the zero time is soon.
func (n *near) until() time.Time {
	if n.Phase == PhaseOverrun {
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
	case w.Mode == ModeReadOnly:
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
func (s *Schedule) few(now time.Time) bool {
	const most = 100
	scopes, windows := make(map[*scope]bool, tableScopes), 0
	for o := range s.pending(now) {
		windows++
		scopes[o.Window.scope] = true
		if windows > most || len(scopes) > tableScopes {
			return false
		}
	}
	return true
}

// compareStates puts windows in progress first, the most restrictive before the
// others, then those that are over and not let go, then those to come.
func compareStates(a, b WindowState) int {
	rank := func(w WindowState) int {
		switch w.Phase {
		case PhaseInProgress, PhaseOverrun:
			return 0
		case PhaseCompleted:
			return 1
		}
		return 2
	}
	rankA := rank(a)
	switch {
	case rankA != rank(b):
		return cmp.Compare(rankA, rank(b))
	case rankA == 0:
		return cmp.Or(
			cmp.Compare(a.Window.Mode, b.Window.Mode),
			b.End.Compare(a.End),
			cmp.Compare(a.Window.ID, b.Window.ID))
	}
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Window.ID, b.Window.ID))
}

// due says that another snapshot is needed then; the zero time is never.
func (s *snapshot) due(t time.Time) {
	if !t.IsZero() && (s.next.IsZero() || t.Before(s.next)) {
		s.next = t
	}
}

const (
	tableScopes = 5 // up to so many scopes all classes of requests are made beforehand
	askEach     = 8 // up to so many paths and hosts asking each scope is faster than the index
)

// seal completes a snapshot of which schedule and near are set.
func (s *snapshot) seal() {
	slices.SortStableFunc(s.near, func(a, b *near) int { return compareStates(a.WindowState, b.WindowState) })
	s.places = make(map[string]int, len(s.near))
	lists := 0
	for _, n := range s.near {
		sc := n.Window.scope
		at, ok := s.places[sc.key]
		if !ok {
			at = len(s.scopes)
			s.places[sc.key] = at
			s.scopes = append(s.scopes, sc)
			lists += len(sc.paths) + len(sc.hosts)
		}
		n.scope = at
	}
	s.classes.Store(&map[string]*class{})
	if len(s.scopes) > tableScopes || lists > askEach {
		s.index = newIndex(s.scopes)
	}
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
		if n.Phase >= PhaseAnnounced && n.Window.Mode != ModeRehearse {
			c.announced = true
		}
		if !n.Window.Mode.refuses(effect) {
			continue
		}
		switch {
		case n.Phase == PhaseInProgress && n.Window.Mode == ModeRehearse:
			if !held {
				c.rehearsed = append(c.rehearsed, n)
			}
		case n.isShut():
			c.refusing = append(c.refusing, n)
		case n.Phase == PhaseCutoff && n.Window.Mode.closes():
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
func (c *class) counts(w *Window) (counts, unsure bool) {
	if w.Mode == ModeReadOnly && c.effect == Read {
		return false, false
	}
	if w.scope.all {
		return !c.wasRehearsed(w), false
	}
	at, known := c.snapshot.places[w.scope.key]
	if !known {
		return true, true
	}
	return c.in(at) && !c.wasRehearsed(w), false
}

// wasRehearsed says whether the window is a rehearsal and, were it none, would have
// refused what is in class c. A rehearsal that has become earnest counts all.
func (c *class) wasRehearsed(w *Window) bool {
	if w.Mode != ModeRehearse {
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
func (g *Guard) requestClass(s *snapshot, t *target) *class {
	if s.index == nil {
		mask := 0
		for i, sc := range s.scopes {
			if sc.has(t) {
				mask |= 1 << i
			}
		}
		return s.table[mask<<1|int(g.effect(t.r, mask != 0))]
	}
	var room [keyRoom]byte
	found := hits{bits: noScopes(room[:0], len(s.scopes))}
	s.index.find(t, &found)
	effect := g.effect(t.r, found.n > 0)
	switch {
	case s.table != nil:
		return s.table[int(found.bits[0])<<1|int(effect)]
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

// workClass finds the class of work, and of what is held.
func (s *snapshot) workClass(w Work, held bool) *class {
	var room [keyRoom]byte
	found := hits{bits: noScopes(room[:0], len(s.scopes))}
	t := target{r: w.Request}
	switch {
	case t.r == nil:
		for i, sc := range s.scopes {
			if sc.hasWork(w.Name) {
				found.add(i)
			}
		}
	case s.index != nil:
		s.index.find(&t, &found)
	default:
		for i, sc := range s.scopes {
			if sc.has(&t) {
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
