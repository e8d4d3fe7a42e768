package capture

// IsName is isName.
func IsName(s string) bool { return isName(s) }

// Stack is stack.
func Stack(s string) string { return stack(s) }
