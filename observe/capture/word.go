package capture

// A wordCache keeps pseudonyms of the words that were last seen. It has a fixed size because a
// body may have any number of words. A word has two slots.
type wordCache struct {
	slots [4096]cachedWord
	none  cachedWord
}

type cachedWord struct {
	word, pseudonym [maxCachedWord]byte
	bytes, length   uint8 // of the word and the pseudonym
	own             bool
}

const maxCachedWord = 15

// find returns the place for a word with this hash, and whether its pseudonym is there. own is as in mask.
func (c *wordCache) find(word string, hash uint64, own bool) (*cachedWord, bool) {
	if len(word) > maxCachedWord {
		return &c.none, false
	}
	first, second := &c.slots[hash%uint64(len(c.slots))], &c.slots[hash>>32%uint64(len(c.slots))]
	switch {
	case first.has(word, own):
		return first, true
	case second.has(word, own):
		return second, true
	case first.bytes > 0 && second.bytes == 0:
		return second, false
	}
	return first, false
}

func (w *cachedWord) has(word string, own bool) bool {
	return int(w.bytes) == len(word) && string(w.word[:w.bytes]) == word && (own || !w.own)
}

func (w *cachedWord) keep(word string, pseudonym []byte, own bool) {
	if len(word) > maxCachedWord || len(pseudonym) > maxCachedWord {
		return
	}
	w.bytes, w.length, w.own = uint8(copy(w.word[:], word)), uint8(copy(w.pseudonym[:], pseudonym)), own
}

// A wordSet holds words in a fixed room (a Bloom filter): it may report a word that was not
// added. It is used where that only hides more. Words are given by their hashes.
type wordSet struct {
	bits [1 << 11]uint64
}

func (s *wordSet) add(h uint64) {
	for range 2 {
		s.bits[h>>6%uint64(len(s.bits))] |= 1 << (h & 63)
		h = h>>32 | h<<32
	}
}

func (s *wordSet) has(h uint64) bool {
	for range 2 {
		if s.bits[h>>6%uint64(len(s.bits))]&(1<<(h&63)) == 0 {
			return false
		}
		h = h>>32 | h<<32
	}
	return true
}

// hashOf is FNV-1a with the bits of its end mixed.
func hashOf[S string | []byte](s S) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>29
}
