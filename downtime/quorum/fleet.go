package quorum

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// A Fleet names the replicas that have one document of windows, where several such
// fleets share a database: all replicas of "orders" must know a window of orders, those
// of "mail" need not. The functions [Drain], [Look] and [Fence] are of the fleet "".
type Fleet string

// The kinds of advisory locks. A lock's key is all that PostgreSQL knows of it.
const (
	joinedLock = 'J' // shared by all replicas, for life
	knowsLock  = 'K' // shared by the replicas that know of a window
	openLock   = 'O' // shared by the replicas that are open, and by writes; exclusive by the operator
	drainsLock = 'D' // shared by operators, so that their other locks are known to be windows

	// Of the keys of these, only the upper half is a hash. The lower half is read back.
	digestLock = 'G' // shared by the replicas that know of a window; the lower half is a digest
	begunLock  = 'U' // shared by the replicas that have heard of unfinished work; the lower half is which
	doneLock   = 'F' // shared by the replicas that have heard that it was completed
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

// digestKey is the key of the lock that says by which definition a window is known.
func (f Fleet) digestKey(window, digest string) int64 {
	sum := sha256.Sum256([]byte(digest))
	low := binary.BigEndian.Uint32(sum[:])
	if len(digest) >= 8 {
		if n, err := strconv.ParseUint(digest[:8], 16, 32); err == nil {
			low = uint32(n) // as it is shown for files
		}
	}
	return f.halfKey(digestLock, window, low)
}

// halfKey is a key with that lower half.
func (f Fleet) halfKey(kind byte, window string, low uint32) int64 {
	return f.key(kind, window)>>32<<32 | int64(low)
}
