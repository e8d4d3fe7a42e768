package quorum

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Postgres makes this process a replica in the quorum of a PostgreSQL database: the database
// that the service writes to. It keeps one connection of db.
//
// db must lead to the primary server of PostgreSQL 12 or later, directly or through a pooler in
// session mode, and to the same database as in all other replicas of the fleet. Privileges are not
// needed. Postgres returns an error only if db is nil; it retries an unreachable server.
func Postgres(db *sql.DB, opts *Options) (*Replica, error) {
	if db == nil {
		return nil, errNoDB
	}
	o := opts.resolve()
	known := &marks{logger: o.Logger}
	return newReplica(o, slice, func(ctx context.Context, strict bool) (member, error) {
		return joinPostgres(ctx, db, o, strict, known)
	}), nil
}

var errNoDB = errors.New("quorum: the database is nil")

// A postgresMember is a replica's session.
type postgresMember struct {
	*session
	fleet   Fleet
	defined map[string]int64 // the digest lock of each known window
	marks   *marks
	held    map[int64]bool // locks of marks
}

func joinPostgres(ctx context.Context, db *sql.DB, opts Options, strict bool, known *marks) (member, error) {
	s, err := connect(ctx, db, opts.Name, strict)
	if err != nil {
		return nil, err
	}
	if err := s.must(ctx, sqlShare, opts.Fleet.key(joinedLock, "")); err != nil {
		s.end()
		return nil, err
	}
	if s.doubt != nil {
		opts.Logger.Warn("cannot check whether a pooler shares the session of the quorum", "err", s.doubt)
	}
	return &postgresMember{session: s, fleet: opts.Fleet, defined: map[string]int64{}, marks: known, held: map[int64]bool{}}, nil
}

func (m *postgresMember) keys(kind byte, windows []string) []int64 {
	keys := make([]int64, len(windows))
	for i, w := range windows {
		keys[i] = m.fleet.key(kind, w)
	}
	return keys
}

// know takes the digest locks before the knows locks, so an operator who sees a replica that knows
// a window also sees its digest. While a definition changes the operator sees both digests, which
// never agree.
func (m *postgresMember) know(ctx context.Context, digests map[string]string) error {
	var take, let []int64
	for _, w := range slices.Sorted(maps.Keys(digests)) {
		if digest := digests[w]; digest != "" {
			take = append(take, m.fleet.digestKey(w, digest))
		}
	}
	for _, w := range slices.Sorted(maps.Keys(digests)) {
		before, known := m.defined[w]
		if !known {
			take = append(take, m.fleet.key(knowsLock, w))
		} else if before != 0 {
			let = append(let, before)
		}
		m.defined[w] = 0
		if digest := digests[w]; digest != "" {
			m.defined[w] = m.fleet.digestKey(w, digest)
		}
	}
	if len(take) > 0 {
		if err := m.must(ctx, sqlShare, take...); err != nil {
			return err
		}
	}
	if len(let) > 0 {
		return m.must(ctx, sqlLetGo, let...)
	}
	return nil
}

func (m *postgresMember) forget(ctx context.Context, windows []string) error {
	keys := m.keys(knowsLock, windows)
	for _, w := range windows {
		if key := m.defined[w]; key != 0 {
			keys = append(keys, key)
		}
		delete(m.defined, w)
	}
	return m.must(ctx, sqlLetGo, keys...)
}

func (m *postgresMember) leave(ctx context.Context, windows []string) error {
	return m.must(ctx, sqlLetGo, m.keys(openLock, windows)...)
}

func (m *postgresMember) enter(ctx context.Context, windows []string) (entered []string, err error) {
	done, err := m.do(ctx, sqlShare, m.keys(openLock, windows)...)
	for _, w := range windows {
		if done[m.fleet.key(openLock, w)] {
			entered = append(entered, w)
		}
	}
	return entered, err
}

func (m *postgresMember) outdated(ctx context.Context, known map[string]bool) (outdated bool, err error) {
	keys := make(map[int64]bool, len(known))
	for w := range known {
		keys[m.fleet.key(openLock, w)] = true
	}
	err = m.query(ctx, sqlDrained, []any{m.fleet.key(drainsLock, "")}, func(rows *sql.Rows) error {
		var key int64
		err := rows.Scan(&key)
		if !keys[key] {
			outdated = true
		}
		return err
	})
	return outdated, err
}

// Look reports the states of all peers in a window now. It does not wait or take locks. Use it in
// an operator's program or on a page to show what [Drain] waits for.
func Look(ctx context.Context, db *sql.DB, window string) (Report, error) {
	return Fleet("").Look(ctx, db, window)
}

// Look is [Look] for the fleet.
func (f Fleet) Look(ctx context.Context, db *sql.DB, window string) (Report, error) {
	if db == nil {
		return Report{Window: window}, errNoDB
	}
	rep := Report{Window: window}
	if err := query(ctx, db, sqlLook, lookArgs(f, window, 0), rep.scanPeer); err != nil {
		return rep, fmt.Errorf("quorum: %w", err)
	}
	rep.compare()
	return rep, nil
}

// lookArgs returns the arguments of sqlLook, which excludes the session of pid.
func lookArgs(fleet Fleet, window string, pid int) []any {
	return []any{fleet.key(joinedLock, ""), fleet.key(knowsLock, window), fleet.key(openLock, window), pid, fleet.digestKey(window, "") >> 32}
}

// scanPeer adds a row of sqlLook.
func (r *Report) scanPeer(rows *sql.Rows) error {
	var p Peer
	var joined, knows, shares, drains bool
	var since sql.NullInt64
	if err := rows.Scan(&p.PID, &joined, &knows, &shares, &drains, &p.Name, &p.Addr, &since, &p.Digest); err != nil {
		return err
	}
	if since.Valid {
		p.Since = time.UnixMicro(since.Int64)
	}
	switch {
	case drains:
		p.State = StateDraining
	case joined && !knows:
		p.State = StateUnaware
	case joined && shares:
		p.State = StateOpen
	case shares:
		p.State = StateWriting
	case !joined:
		return nil // about to leave
	}
	r.Peers = append(r.Peers, p)
	return nil
}

// Drain waits until all replicas refuse work in the window's scope and have none running. It
// returns the lock that keeps this state. It may be called long before the window; ctx bounds
// the wait, not the lock.
//
// It waits until every joined replica knows the window and is closed, and then for transactions
// that have passed [Fence], while Fence refuses new ones. If a different operator holds the
// window, it waits for that operator.
//
// After an error, Drain holds nothing and has not proved quiet. The error is [ErrNobody] if no
// replica has joined within a second; [ErrPooled], wrapped; or a [*WaitingError] with the cause of
// ctx's end, or with the failure of the session. A window that all replicas lack never becomes
// quiet: the error names every replica.
func Drain(ctx context.Context, db *sql.DB, window string, opts *DrainOptions) (*Lock, error) {
	return Fleet("").Drain(ctx, db, window, opts)
}

// Drain is [Drain] for the fleet.
func (f Fleet) Drain(ctx context.Context, db *sql.DB, window string, opts *DrainOptions) (*Lock, error) {
	if db == nil {
		return nil, errNoDB
	}
	return drain(ctx, window, opts, func(ctx context.Context) (operator, error) {
		s, err := connect(ctx, db, "", false)
		if err != nil {
			return nil, err
		}
		if err := s.must(ctx, sqlShare, f.key(drainsLock, "")); err != nil {
			s.end()
			return nil, err
		}
		return &postgresOperator{s, f, window}, nil
	})
}

// A postgresOperator is an operator's session.
type postgresOperator struct {
	*session
	fleet  Fleet
	window string
}

func (o *postgresOperator) look(ctx context.Context) (Report, error) {
	rep := Report{Window: o.window}
	err := o.query(ctx, sqlLook, lookArgs(o.fleet, o.window, o.pid), rep.scanPeer)
	rep.compare()
	return rep, err
}

// seize waits for the lock, at most for the second of lock_timeout. Meanwhile PostgreSQL refuses
// the shared lock to others, both writes and replicas.
func (o *postgresOperator) seize(ctx context.Context) (bool, error) {
	err := o.must(ctx, sqlSeize, o.fleet.key(openLock, o.window))
	var state interface{ SQLState() string } // errors of pgx and lib/pq have it
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrPooled):
		return false, err
	case errors.As(err, &state) && state.SQLState() != lockNotAvailable:
		return false, err
	}
	// Either the lock timed out, or the session has ended and verify reports it.
	o.broken = false
	return false, o.verify(ctx, 0)
}

const lockNotAvailable = "55P03"

func (o *postgresOperator) yield(ctx context.Context) error {
	return o.must(ctx, sqlYield, o.fleet.key(openLock, o.window))
}
