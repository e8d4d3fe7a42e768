package quorum

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A Tx is a transaction: a *sql.Tx, or a *sql.Conn with an open transaction.
type Tx interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const sqlFence = `SELECT pg_try_advisory_xact_lock_shared($1)`

// Fence lets a transaction write only while operators do not hold the window. Call it in the
// transaction, before the writes. It is one statement and never waits.
//
// After a nil error, operators cannot get the window's lock until the transaction ends. So nothing
// is committed after an operator got the lock, even if this replica's session, guard or clock
// has failed. The operator waits for the transaction: see [Drain].
//
// The error is a [*FencedError] if it is too late, or an error of the database. A pooler in
// transaction mode is fine here. On a *sql.Conn without a transaction, Fence would protect only its
// own statement; a *sql.DB is refused for that reason.
func Fence(ctx context.Context, tx Tx, window string) error {
	return Fleet("").Fence(ctx, tx, window)
}

// Fence is [Fence] for the fleet.
func (f Fleet) Fence(ctx context.Context, tx Tx, window string) error {
	if _, ok := tx.(*sql.DB); ok || tx == nil {
		return errors.New("quorum: a fence needs a transaction")
	}
	var open bool
	if err := tx.QueryRowContext(ctx, sqlFence, f.key(openLock, window)).Scan(&open); err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	if !open {
		return &FencedError{Window: window}
	}
	return nil
}
