package capture

// A wordCache keeps pseudonyms of the words that were last seen, at most one for each slot. It
// has a fixed size because a body may have any number of words.
type wordCache struct {
	slots [512]cachedWord
	none  cachedWord
}

type cachedWord struct {
	word, pseudonym [maxCachedWord]byte
	bytes, length   uint8 // of the word and the pseudonym
	own             bool
}

const maxCachedWord = 22

// find returns the place for a word, and whether its pseudonym is there. own is as in mask.
func (c *wordCache) find(word string, own bool) (*cachedWord, bool) {
	if len(word) > maxCachedWord {
		return &c.none, false
	}
	slot := &c.slots[hashOf(word)%uint64(len(c.slots))]
	return slot, int(slot.bytes) == len(word) && string(slot.word[:slot.bytes]) == word && (own || !slot.own)
}

func (w *cachedWord) keep(word string, pseudonym []byte, own bool) {
	if len(word) > maxCachedWord || len(pseudonym) > maxCachedWord {
		return
	}
	w.bytes, w.length, w.own = uint8(copy(w.word[:], word)), uint8(copy(w.pseudonym[:], pseudonym)), own
}

// A wordSet holds words in a fixed room (a Bloom filter): it may report a word that was not
// added. It is used where that only hides more.
type wordSet struct {
	bits [1 << 11]uint64
}

func (s *wordSet) add(word string) {
	h := hashOf(word)
	for range 2 {
		s.bits[h>>6%uint64(len(s.bits))] |= 1 << (h & 63)
		h = h>>32 | h<<32
	}
}

func (s *wordSet) has(word string) bool {
	h := hashOf(word)
	for range 2 {
		if s.bits[h>>6%uint64(len(s.bits))]&(1<<(h&63)) == 0 {
			return false
		}
		h = h>>32 | h<<32
	}
	return true
}

// hashOf is FNV-1a with the bits of its end mixed.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>29
}
