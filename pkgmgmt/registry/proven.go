package registry

import (
	"sync"
)

// A proof says that the files of a version, as they were then, are what was acknowledged.
type proof struct {
	record, info, mod, zip stamp
	sum                    string // of the zip
	summed                 bool   // and the zip's content has it
	blocked                string // why; Empty means that it is not blocked
}

// proven remembers proofs, by the names of versions' files without their ends. So each zip
// is read once for its sum, and each file again only after it has changed.
type proven struct {
	mu     sync.RWMutex
	proofs map[string]proof
	sums   chan struct{} // few zips are read at once
}

// maxProofs bounds the proofs that are remembered: some 20 MB.
const maxProofs = 100_000

func newProven() *proven {
	return &proven{proofs: map[string]proof{}, sums: make(chan struct{}, maxChecks)}
}

func (p *proven) get(file string) (proof, bool) {
	if p == nil {
		return proof{}, false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	pr, ok := p.proofs[file]
	return pr, ok
}

func (p *proven) put(file string, pr proof) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.proofs) >= maxProofs {
		clear(p.proofs)
	}
	p.proofs[file] = pr
}
