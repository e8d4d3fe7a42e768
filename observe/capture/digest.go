package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// A keyedHash is HMAC-SHA256. It is made for many short messages, because redaction computes one
// for each word. For these it keeps the two states of SHA-256 that the key leads to, so
// that a message takes two blocks and no copies of a hash.
type keyedHash struct {
	mac          hash.Hash // for long messages, and where a state is not as expected
	sha          resumable // nil means that mac computes all
	inner, outer [stateLen]byte
	block        [sha256.BlockSize]byte
	state        [stateLen]byte
}

type resumable interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// A state of SHA-256 as package sha256 encodes it: a word that names the format, the hash of the
// blocks so far, the block that is not full, the length.
const (
	stateLen  = 4 + sha256.Size + sha256.BlockSize + 8
	stateHash = 4
)

func newKeyedHash(key []byte) *keyedHash {
	k := &keyedHash{mac: hmac.New(sha256.New, key)}
	sha, ok := sha256.New().(resumable)
	if !ok || len(key) > sha256.BlockSize {
		return k
	}
	for pad, state := range map[byte]*[stateLen]byte{0x36: &k.inner, 0x5c: &k.outer} {
		for i := range k.block {
			k.block[i] = pad
			if i < len(key) {
				k.block[i] ^= key[i]
			}
		}
		sha.Reset()
		sha.Write(k.block[:])
		text, err := sha.AppendBinary(nil)
		if err != nil || len(text) != stateLen {
			return k
		}
		*state = [stateLen]byte(text)
	}
	var plain, fast [sha256.Size]byte
	k.sum(&plain, []byte("check"))
	k.sha = sha
	if k.sum(&fast, []byte("check")); plain != fast {
		k.sha = nil
	}
	return k
}

// sum sets out to the hash of a message.
func (k *keyedHash) sum(out *[sha256.Size]byte, message []byte) {
	if k.sha == nil || len(message) > sha256.BlockSize-9 { // no room for the padding
		k.mac.Reset()
		k.mac.Write(message)
		k.mac.Sum(out[:0])
		return
	}
	k.compress(out, &k.inner, message)
	k.compress(out, &k.outer, out[:])
}

// compress sets out to the hash of a block of the key, which led to the state, and a message.
func (k *keyedHash) compress(out *[sha256.Size]byte, state *[stateLen]byte, message []byte) {
	n := copy(k.block[:], message)
	k.block[n] = 0x80
	clear(k.block[n+1:])
	binary.BigEndian.PutUint64(k.block[len(k.block)-8:], uint64(len(k.block)+n)*8)
	_ = k.sha.UnmarshalBinary(state[:]) // newKeyedHash has checked it
	k.sha.Write(k.block[:])
	text, _ := k.sha.AppendBinary(k.state[:0])
	copy(out[:], text[stateHash:])
}
