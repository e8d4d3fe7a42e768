package quorum

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A Tx is a transaction: a *sql.Tx, or a *sql.Conn on which one has begun.
type Tx interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const sqlFence = `SELECT pg_try_advisory_xact_lock_shared($1)`

// Fence lets a transaction write only while no operator has the window: call it before the
// writes, in their transaction. It is one statement, and never waits.
//
// From a nil error to the transaction's end no operator gets the window's lock, so that
// nothing is committed after it was had: whatever became of this replica's session, its
// guard, and its clock. The operator waits for the transaction, as [Drain] says.
//
// The error is a [*FencedError] when it is too late, or what the database says. A pooler in
// transaction mode does not matter here. On a *sql.Conn without a transaction
// Fence would protect its own statement and nothing else; a *sql.DB is refused for that.
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
