package quorum

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
)

// The statements on the table of unfinished work. Locks end with their sessions, so the table
// alone knows of it when all replicas have ended.
const (
	sqlTable = `SELECT to_regclass('upkeep_quorum_unfinished') IS NOT NULL`

	sqlMakeTable = `CREATE TABLE IF NOT EXISTS upkeep_quorum_unfinished (
fleet text, window_id text, occurrence text, work bigint, PRIMARY KEY (fleet, window_id, occurrence, work))`

	// $1 to $3 are fleet, window and occurrence; $4 is which work.
	sqlReadRows = `SELECT work FROM upkeep_quorum_unfinished WHERE fleet = $1 AND window_id = $2 AND occurrence = $3`
	sqlAddRow   = `INSERT INTO upkeep_quorum_unfinished VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING work`
	sqlDropRow  = `DELETE FROM upkeep_quorum_unfinished WHERE fleet = $1 AND window_id = $2 AND occurrence = $3 AND work = $4 RETURNING work`
)

// readRows adds the marks that the table has of an occurrence.
func (m *postgresMember) readRows(ctx context.Context, o occurrence) {
	mark := m.marks.at(o)
	if mark.looked || m.marks.tableless {
		return
	}
	exists := false
	err := query(ctx, m.conn, sqlTable, nil, func(rows *sql.Rows) error { return rows.Scan(&exists) })
	if err == nil && exists {
		err = query(ctx, m.conn, sqlReadRows, []any{string(m.fleet), o.window, o.planned}, func(rows *sql.Rows) error {
			var work int64
			err := rows.Scan(&work)
			mark.begun[uint32(work)], mark.rows[uint32(work)] = true, true
			return err
		})
	}
	mark.looked = err == nil
	m.doubt(err)
}

// writeRows brings the table to what is known of an occurrence: rows of the replica's own unfinished
// work, and no rows of what is completed.
func (m *postgresMember) writeRows(ctx context.Context, o occurrence) {
	mark := m.marks.at(o)
	if m.marks.tableless {
		return
	}
	row := func(statement string, work uint32) error {
		args := []any{string(m.fleet), o.window, o.planned, int64(work)}
		return query(ctx, m.conn, statement, args, func(*sql.Rows) error { return nil })
	}
	if own := mark.own; own != 0 && !mark.done[own] && !mark.rows[own] {
		err := row(sqlAddRow, own)
		if err != nil { // probably there is no table
			err = errors.Join(query(ctx, m.conn, sqlMakeTable, nil, func(*sql.Rows) error { return nil }), row(sqlAddRow, own))
		}
		mark.rows[own] = err == nil
		m.doubt(err)
	}
	for work := range mark.rows {
		if mark.done[work] && row(sqlDropRow, work) == nil {
			delete(mark.rows, work)
		}
	}
}

// doubt logs once that the server refuses the table. Any other error is the session's, and shows
// in its next statement.
func (m *postgresMember) doubt(err error) {
	var refused interface{ SQLState() string } // as pgx and lib/pq have it
	if err == nil || !errors.As(err, &refused) {
		return
	}
	m.marks.tableless = true
	m.marks.logger.Log(context.Background(), slog.LevelWarn, "unfinished work is forgotten if all replicas end at once, because the table upkeep_quorum_unfinished cannot be used", "err", err)
}
