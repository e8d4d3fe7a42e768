package flags

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
)

// Major types of CBOR (RFC 8949 §3.1), shifted to their bits.
const (
	cborUint  = 0 << 5
	cborNint  = 1 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5

	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborNull    = 0xf6
	cborFloat16 = 0xf9
	cborFloat32 = 0xfa
	cborFloat64 = 0xfb
)

const cborDepth = 100

// appendCBOR appends a JSON value in the deterministic encoding of RFC 8949 §4.2.1: shortest
// heads, sorted keys, shortest floats. A whole number is encoded as an integer, and −0 as 0. ok
// is false for a value that JSON cannot express.
func appendCBOR(b []byte, v any) (_ []byte, ok bool) { return cborValue(b, v, cborDepth) }

func cborValue(b []byte, v any, depth int) ([]byte, bool) {
	if depth == 0 {
		return b, false
	}
	switch v := v.(type) {
	case nil:
		return append(b, cborNull), true
	case bool:
		if v {
			return append(b, cborTrue), true
		}
		return append(b, cborFalse), true
	case string:
		return appendCBORText(b, v), true
	case float64:
		return appendCBORNumber(b, v)
	case int:
		return appendCBORNumber(b, float64(v))
	case int64:
		return appendCBORNumber(b, float64(v))
	case []any:
		b = appendCBORHead(b, cborArray, uint64(len(v)))
		for _, item := range v {
			var ok bool
			if b, ok = cborValue(b, item, depth-1); !ok {
				return b, false
			}
		}
		return b, true
	case map[string]any:
		b = appendCBORHead(b, cborMap, uint64(len(v)))
		// Keys are sorted by their encoded bytes. The head holds the length, so shorter keys
		// come first.
		keys := slices.SortedFunc(maps.Keys(v), func(a, b string) int {
			if len(a) != len(b) {
				return len(a) - len(b)
			}
			return strings.Compare(a, b)
		})
		for _, key := range keys {
			var ok bool
			if b, ok = cborValue(appendCBORText(b, key), v[key], depth-1); !ok {
				return b, false
			}
		}
		return b, true
	}
	return b, false
}

func appendCBORText(b []byte, s string) []byte {
	return append(appendCBORHead(b, cborText, uint64(len(s))), s...)
}

func appendCBORHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendCBORNumber(b []byte, f float64) ([]byte, bool) {
	const beyond = 1 << 64
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return b, false
	case f == math.Trunc(f) && f >= 0 && f < beyond:
		return appendCBORHead(b, cborUint, uint64(f)), true
	case f == math.Trunc(f) && f < 0 && f > -beyond:
		return appendCBORHead(b, cborNint, uint64(-f)-1), true
	}
	if short := float32(f); float64(short) == f {
		if half, ok := float16(short); ok {
			return binary.BigEndian.AppendUint16(append(b, cborFloat16), half), true
		}
		return binary.BigEndian.AppendUint32(append(b, cborFloat32), math.Float32bits(short)), true
	}
	return binary.BigEndian.AppendUint64(append(b, cborFloat64), math.Float64bits(f)), true
}

// float16 returns the bits of a number in half precision. ok is false if that loses digits.
func float16(f float32) (bits uint16, ok bool) {
	const bias, most, digits = 15, 16, 11
	_, exponent := math.Frexp(float64(f))
	exponent = max(exponent, 2-bias) // subnormal numbers have the lowest exponent
	fraction := math.Ldexp(math.Abs(float64(f)), digits-exponent)
	if exponent > most || fraction != math.Trunc(fraction) {
		return 0, false
	}
	bits = uint16(fraction) + uint16(exponent+bias-2)<<(digits-1)
	if f < 0 {
		bits |= 1 << 15
	}
	return bits, true
}
