package har

import (
	"bufio"
	"bytes"
	"io"
)

// An indenter writes compact JSON as json.Indent does, with one space for each level. It copies
// strings whole, because most of a file are bodies.
type indenter struct{ w io.Writer }

// Write takes a whole value.
func (x indenter) Write(data []byte) (int, error) {
	w := bufio.NewWriterSize(x.w, 1024)
	depth := 0
	line := func() {
		_ = w.WriteByte('\n')
		for range depth {
			_ = w.WriteByte(' ')
		}
	}
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"':
			end := i + stringLen(data[i:])
			_, _ = w.Write(data[i:end])
			i = end - 1
		case '{', '[':
			_ = w.WriteByte(c)
			if i+1 < len(data) && data[i+1] == c+2 { // in ASCII
				i++
				_ = w.WriteByte(c + 2)
				break
			}
			depth++
			line()
		case '}', ']':
			depth--
			line()
			_ = w.WriteByte(c)
		case ',':
			_ = w.WriteByte(c)
			line()
		case ':':
			_, _ = w.WriteString(": ")
		default:
			_ = w.WriteByte(c)
		}
	}
	return len(data), w.Flush() // which has the first error
}

// stringLen is the length of the string that data begins with.
func stringLen(data []byte) int {
	for i := 1; ; {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return len(data)
		}
		i += n + 1
		slashes := 0
		for data[i-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}
