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

// marks has the unfinished work that a replica in PostgreSQL has seen. Locks end with their
// session, so each replica that sees a mark takes the same lock: the mark lasts until the last
// process ends that has seen it. Completion spreads in the same way: a replica that sees that work
// was completed takes that lock too. marks outlast the replica's sessions.
// A row in a table outlasts all processes; it is read once for each occurrence.
type marks struct {
	of        map[occurrence]*mark
	done      []occurrence // past occurrences, kept for their completed work, the oldest first
	tableless bool         // the server refuses the table
	logger    *slog.Logger
}

// An occurrence of a window.
type occurrence struct{ window, planned string }

type mark struct {
	own         uint32 // the number of this replica's latest work. Zero means none.
	begun, done map[uint32]bool
	rows        map[uint32]bool // in the table
	looked      bool            // the table was read
}

const maxDone = 32 // past occurrences that are kept

// name returns the text that the keys of the occurrence's locks are computed from.
func (o occurrence) name() string { return o.window + "\x00" + o.planned }

// at returns the mark of an occurrence.
func (m *marks) at(o occurrence) *mark {
	if m.of == nil {
		m.of = map[occurrence]*mark{}
	}
	if m.of[o] == nil {
		m.of[o] = &mark{begun: map[uint32]bool{}, done: map[uint32]bool{}, rows: map[uint32]bool{}}
	}
	return m.of[o]
}

// record records the guard's position.
func (m *mark) record(p downtime.Position) {
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

// forget drops the begun work of occurrences that the guard no longer reports. Completed work is
// kept for a while, for replicas that have not seen it yet.
func (m *marks) forget(reported map[occurrence]bool) {
	for o, mark := range m.of {
		if reported[o] || slices.Contains(m.done, o) {
			continue
		}
		maps.DeleteFunc(mark.begun, func(work uint32, _ bool) bool { return !mark.done[work] })
		mark.looked = false
		m.done = append(m.done, o)
	}
	m.done = slices.DeleteFunc(m.done, func(o occurrence) bool { return reported[o] })
	for len(m.done) > maxDone {
		delete(m.of, m.done[0])
		m.done = m.done[1:]
	}
}

// tend brings the locks of marks to the state of the guard and of the other replicas.
func (m *postgresMember) tend(ctx context.Context, windows map[string]downtime.Position) (unfinished map[string]bool, err error) {
	reported := map[occurrence]bool{}
	for w, p := range windows {
		if p.Occurrence != "" {
			reported[occurrence{w, p.Occurrence}] = true
		}
	}
	m.marks.forget(reported)
	for o := range reported { // before the locks, which show what was completed since
		m.readRows(ctx, o)
	}
	if len(reported) > 0 {
		if err := m.readAll(ctx, reported); err != nil {
			return nil, err
		}
	}
	unfinished = map[string]bool{}
	for o := range reported {
		mark := m.marks.at(o)
		mark.record(windows[o.window])
		if mark.isUnfinished() {
			unfinished[o.window] = true
		}
		m.writeRows(ctx, o)
	}
	return unfinished, m.hold(ctx)
}

// readAll adds the marks of all sessions.
func (m *postgresMember) readAll(ctx context.Context, reported map[occurrence]bool) error {
	type half struct {
		of   *mark
		done bool
	}
	halves := map[int64]half{}
	var texts []string
	for o := range reported {
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

// hold takes the locks of all current marks and releases the others.
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

// linger waits, before the member leaves, until others have seen its completed work.
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

// isAwaited reports whether a different session still holds the mark of completed work.
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
