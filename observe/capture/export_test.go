package capture

import (
	"math/rand/v2"
	"net/url"
)

// IsName is isName.
func IsName(s string) bool { return isName(s) }

// Stack is stack.
func Stack(s string) string { return stack(s) }

// KeyedHash returns what keyedHash computes for a message, after another one.
func KeyedHash(key []byte, before, message string) (sum [32]byte) {
	k := newKeyedHash(key)
	k.sum(&sum, []byte(before))
	k.sum(&sum, []byte(message))
	return sum
}

// Draw returns numbers of draw.IntN.
func Draw(seed [32]byte, n, count int) (numbers []int) {
	r := draw{rand.NewChaCha8(seed)}
	for range count {
		numbers = append(numbers, r.IntN(n))
	}
	return numbers
}

// Link redacts a link, if it is one for appendLink, and does it again by mask.url.
func Link(key []byte, s string) (short, long string, ok bool) {
	link, ok := newMask(key).appendLink(nil, s)
	if !ok {
		return "", "", false
	}
	u, err := url.Parse(s)
	if err != nil {
		return string(link), err.Error(), true
	}
	return string(link), newMask(key).url(u, "", "", nil), true
}
