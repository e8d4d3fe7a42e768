package token

// Remembered is how many tokens are remembered as good.
func (v *Verifier) Remembered() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.good)
}
