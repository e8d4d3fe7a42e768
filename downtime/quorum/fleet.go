package quorum

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// A Fleet names the replicas with the same document of windows, if several fleets share a
// database: a window of the fleet "orders" does not affect the fleet "mail". The functions
// [Drain], [Look] and [Fence] are for the fleet "".
type Fleet string

// The kinds of advisory locks. PostgreSQL stores only a lock's key.
const (
	joinedLock = 'J' // shared by all replicas while they are joined
	knowsLock  = 'K' // shared by the replicas that know a window
	openLock   = 'O' // shared by open replicas and by writes; exclusive by the operator
	drainsLock = 'D' // shared by operators; it marks their exclusive locks as windows

	// Only the upper half of these keys is a hash. The lower half carries a value.
	digestLock = 'G' // shared by the replicas that know a window; the lower half is a digest
	begunLock  = 'U' // shared by the replicas that have seen unfinished work; the lower half is its number
	doneLock   = 'F' // shared by the replicas that have seen that it was completed
)

// key returns the key of an advisory lock. With 64 bits, two of a thousand windows collide in one
// of 4·10¹³ fleets, and collisions with other users of the database are as unlikely.
func (f Fleet) key(kind byte, window string) int64 {
	h := sha256.New()
	h.Write([]byte("upkeep downtime/quorum 1\x00"))
	h.Write([]byte{kind})
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
	h.Write([]byte(f))
	h.Write([]byte(window))
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}

// digestKey returns the key of the lock that publishes a window's digest.
func (f Fleet) digestKey(window, digest string) int64 {
	sum := sha256.Sum256([]byte(digest))
	low := binary.BigEndian.Uint32(sum[:])
	if len(digest) >= 8 {
		if n, err := strconv.ParseUint(digest[:8], 16, 32); err == nil {
			low = uint32(n) // the same digits as with files
		}
	}
	return f.halfKey(digestLock, window, low)
}

// halfKey returns a key with the given lower half.
func (f Fleet) halfKey(kind byte, window string, low uint32) int64 {
	return f.key(kind, window)>>32<<32 | int64(low)
}
