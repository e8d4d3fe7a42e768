package compat

// Bounds and internals that the tests look at.
const (
	MaxToken  = maxToken
	MaxHeader = maxHeader
	MaxTold   = maxLogged
	Places    = maxKept
)

var ParseProduct = parseProduct

// Kept counts the verdicts that are kept of clients.
func (p *Policy) Kept() int {
	t := p.current.Load().sides[clients]
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.kept)
}
