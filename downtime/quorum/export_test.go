package quorum

import "time"

// The statements, for the tests' server.
const (
	SQLNonce    = sqlNonce
	SQLSettings = sqlSettings
	SQLWho      = sqlWho
	SQLBeat     = sqlBeat
	SQLShare    = sqlShare
	SQLLetGo    = sqlLetGo
	SQLSeize    = sqlSeize
	SQLYield    = sqlYield
	SQLLetAll   = sqlLetAll
	SQLDrained  = sqlDrained
	SQLLook     = sqlLook
	SQLMarks    = sqlMarks
	SQLFence    = sqlFence

	SQLTable     = sqlTable
	SQLMakeTable = sqlMakeTable
	SQLReadRows  = sqlReadRows
	SQLAddRow    = sqlAddRow
	SQLDropRow   = sqlDropRow
)

// Key returns the key of a window's open lock.
func Key(f Fleet, window string) int64 { return f.key(openLock, window) }

// LockKey returns the key of any of the package's locks.
func LockKey(f Fleet, kind byte, window string) int64 { return f.key(kind, window) }

// WindowFile returns the name of a window's file.
func WindowFile(window string) string { return windowFile(window) + extLock }

// ParseAbout reads the file of a replica.
func ParseAbout(data []byte) (pid int, name string, since time.Time, err error) {
	a, err := parseAbout(data)
	return a.PID, a.Name, a.Since, err
}

// ParseDigest reads the digest in a replica's file.
func ParseDigest(data []byte) string { return parseDigest(data) }
