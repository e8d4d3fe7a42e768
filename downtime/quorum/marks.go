package quorum

import (
	"context"
	"database/sql"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
)

// marks are what a replica in PostgreSQL has heard of unfinished work. Locks end with their
// session, so each replica that sees the mark of another takes the same lock: the mark lasts as
// long as one process that has seen it. It is taken back in the same way: a replica that sees
// that the work was completed shares that, too. marks outlast the replica's sessions. A row in a
// table outlasts all processes; it is read once, when the replica first hears of an occurrence.
type marks struct {
	of        map[occurrence]*mark
	done      []occurrence // of which only what was completed is of interest, the oldest first
	tableless bool         // the server refuses the table
	logger    *slog.Logger
}

// An occurrence of a window.
type occurrence struct{ window, planned string }

type mark struct {
	own         uint32 // this replica's latest work; 0: it has none
	begun, done map[uint32]bool
	rows        map[uint32]bool // in the table
	looked      bool            // the table was read
}

const maxDone = 32 // windows that are over, of which completed work is remembered

// name is what the keys of the occurrence's locks are made of.
func (o occurrence) name() string { return o.window + "\x00" + o.planned }

// at is the mark of an occurrence.
func (m *marks) at(o occurrence) *mark {
	if m.of == nil {
		m.of = map[occurrence]*mark{}
	}
	if m.of[o] == nil {
		m.of[o] = &mark{begun: map[uint32]bool{}, done: map[uint32]bool{}, rows: map[uint32]bool{}}
	}
	return m.of[o]
}

// say adds what the guard says.
func (m *mark) say(p downtime.Position) {
	if p.Unfinished && (m.own == 0 || m.done[m.own]) {
		m.own = max(1, rand.Uint32())
	}
	if p.Unfinished {
		m.begun[m.own] = true
	}
	if !p.Unfinished && m.own != 0 {
		m.done[m.own] = true
	}
	if p.Completed {
		for work := range m.begun {
			m.done[work] = true
		}
	}
}

func (m *mark) isUnfinished() bool {
	for work := range m.begun {
		if !m.done[work] {
			return true
		}
	}
	return false
}

// forget forgets what was begun in occurrences that are not told any more. What was completed
// is remembered for a while, for replicas that have not seen it yet.
func (m *marks) forget(told map[occurrence]bool) {
	for o, mark := range m.of {
		if told[o] || slices.Contains(m.done, o) {
			continue
		}
		maps.DeleteFunc(mark.begun, func(work uint32, _ bool) bool { return !mark.done[work] })
		mark.looked = false
		m.done = append(m.done, o)
	}
	m.done = slices.DeleteFunc(m.done, func(o occurrence) bool { return told[o] })
	for len(m.done) > maxDone {
		delete(m.of, m.done[0])
		m.done = m.done[1:]
	}
}

// tend brings the locks of marks to what the guard says and others share.
func (m *postgresMember) tend(ctx context.Context, windows map[string]downtime.Position) (unfinished map[string]bool, err error) {
	told := map[occurrence]bool{}
	for w, p := range windows {
		if p.Occurrence != "" {
			told[occurrence{w, p.Occurrence}] = true
		}
	}
	m.marks.forget(told)
	for o := range told { // before others are heard, who say it when they complete the work
		m.read(ctx, o)
	}
	if len(told) > 0 {
		if err := m.hear(ctx, told); err != nil {
			return nil, err
		}
	}
	unfinished = map[string]bool{}
	for o := range told {
		mark := m.marks.at(o)
		mark.say(windows[o.window])
		if mark.isUnfinished() {
			unfinished[o.window] = true
		}
		m.write(ctx, o)
	}
	return unfinished, m.hold(ctx)
}

// hear adds the marks that are held by anybody.
func (m *postgresMember) hear(ctx context.Context, told map[occurrence]bool) error {
	type half struct {
		of   *mark
		done bool
	}
	halves := map[int64]half{}
	var texts []string
	for o := range told {
		for kind, done := range map[byte]bool{begunLock: false, doneLock: true} {
			upper := m.fleet.key(kind, o.name()) >> 32
			halves[upper] = half{m.marks.at(o), done}
			texts = append(texts, strconv.FormatInt(upper, 10))
		}
	}
	return m.query(ctx, sqlMarks, []any{strings.Join(texts, ",")}, func(rows *sql.Rows) error {
		var key int64
		if err := rows.Scan(&key); err != nil {
			return err
		}
		h, low := halves[key>>32], uint32(key)
		if h.of != nil && low != 0 {
			h.of.begun[low] = true
			if h.done {
				h.of.done[low] = true
			}
		}
		return nil
	})
}

// hold takes the locks of all marks that are known, and lets go those that are no longer so.
func (m *postgresMember) hold(ctx context.Context) error {
	wanted := map[int64]bool{}
	for o, mark := range m.marks.of {
		for work := range mark.begun {
			kind := byte(begunLock)
			if mark.done[work] {
				kind = doneLock
			}
			wanted[m.fleet.halfKey(kind, o.name(), work)] = true
		}
	}
	var take, let []int64
	for key := range wanted {
		if !m.held[key] {
			take = append(take, key)
		}
	}
	for key := range m.held {
		if !wanted[key] {
			let = append(let, key)
		}
	}
	if len(take) > 0 {
		if err := m.must(ctx, sqlShare, take...); err != nil {
			return err
		}
	}
	if len(let) > 0 {
		if err := m.must(ctx, sqlLetGo, let...); err != nil {
			return err
		}
	}
	m.held = wanted
	return nil
}

// linger waits, before the member leaves, until others have seen what it has completed.
func (m *postgresMember) linger(ctx context.Context) {
	for !m.broken && ctx.Err() == nil && m.isAwaited(ctx) {
		timer := time.NewTimer(poll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

const lingerMax = 3 * time.Second

// isAwaited reports whether another session still holds the mark of work that is completed.
func (m *postgresMember) isAwaited(ctx context.Context) (awaited bool) {
	open := map[int64]bool{}
	var texts []string
	for o, mark := range m.marks.of {
		for work := range mark.done {
			key := m.fleet.halfKey(begunLock, o.name(), work)
			open[key] = true
			texts = append(texts, strconv.FormatInt(key>>32, 10))
		}
	}
	if len(open) == 0 {
		return false
	}
	err := m.query(ctx, sqlMarks, []any{strings.Join(texts, ",")}, func(rows *sql.Rows) error {
		var key int64
		err := rows.Scan(&key)
		awaited = awaited || open[key]
		return err
	})
	return awaited && err == nil
}
