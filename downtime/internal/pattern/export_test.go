package pattern

// PlainBytes is Plain, byte by byte.
func PlainBytes(path string) bool { return path != "" && path[0] == '/' && plainBytes(path) }
