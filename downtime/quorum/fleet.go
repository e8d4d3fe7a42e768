package quorum

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
)

// A Fleet names the replicas that have one document of windows, where several such
// fleets share a database: all replicas of "orders" must know a window of orders, those
// of "mail" need not. The functions [Drain], [Look] and [Fence] are of the fleet "".
type Fleet string

// Drain is [Drain] for the fleet.
func (f Fleet) Drain(ctx context.Context, db *sql.DB, window string) (*Lock, error) {
	return drainPostgres(ctx, db, f, window)
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
	return rep, nil
}

// Fence is [Fence] for the fleet.
func (f Fleet) Fence(ctx context.Context, tx Tx, window string) error {
	return fence(ctx, tx, f, window)
}

// The kinds of advisory locks. A lock's key is all that PostgreSQL knows of it.
const (
	joinedLock = 'J' // shared by all replicas, for life
	knowsLock  = 'K' // shared by the replicas that know of a window
	openLock   = 'O' // shared by the replicas that are open, and by writes; exclusive by the operator
	drainsLock = 'D' // shared by operators, so that their other locks are known to be windows
)

// key is the key of an advisory lock: 64 bits, so that two windows of a thousand
// have the same once in 4·10¹³ fleets, and neither with what else the database is
// used for.
func (f Fleet) key(kind byte, window string) int64 {
	h := sha256.New()
	h.Write([]byte("upkeep downtime/quorum 1\x00"))
	h.Write([]byte{kind})
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
	h.Write([]byte(f))
	h.Write([]byte(window))
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}
