package replay

// FromTest is for tests: Save writes the file.
var FromTest = fromTest

// ParseRed reads the note of a reproduced failure, and returns the digest of the bundle.
func ParseRed(data []byte) (string, error) {
	r, err := parseRed(data)
	if err != nil {
		return "", err
	}
	return r.Bundle, nil
}
