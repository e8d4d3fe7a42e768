package compat

// Bounds and internals that the tests look at.
const (
	MaxToken  = maxToken
	MaxHeader = maxHeader
	MaxTold   = maxTold
	Places    = sets * ways
)

var ParseProduct = parseProduct

// Kept counts the verdicts that are kept of clients.
func (p *Policy) Kept() (n int) {
	t := &p.current.Load().sides[clients]
	for s := range t.places {
		for w := range t.places[s] {
			if t.places[s][w].Load() != nil {
				n++
			}
		}
	}
	return n
}
