package downtime

import (
	"strings"
)

// An index finds the scopes that a request is in without asking each of them. It gives
// the same answer as asking each would: what it finds is asked, and what it does
// not find cannot have the request. A scope is found by the fixed beginnings of its
// paths, or by its hosts, whichever fewer scopes have in common.
type index struct {
	scopes []*scope
	paths  node             // of those found by path
	hosts  map[string][]int // of those found by host: by name
	below  map[string][]int // the same: ".shop.example" for all names below
	byPath []int            // all that are found by path, for paths in doubt
	byHost []int            // all that are found by host, for hosts in doubt
	rest   []int            // those that are asked each time
}

// A node stands for the beginning of a path.
type node struct {
	next map[string]*node // by the segment that follows
	here []indexed        // patterns of which that is the whole fixed beginning
}

type indexed struct {
	scope   int
	pattern *pattern
}

// hits are the scopes that were found.
type hits struct {
	bits []byte // a bit for each scope
	n    int
	last int // one of them
}

func (h *hits) has(scope int) bool { return h.bits[scope>>3]&(1<<(scope&7)) != 0 }

func (h *hits) add(scope int) {
	h.bits[scope>>3] |= 1 << (scope & 7)
	h.n++
	h.last = scope
}

func newIndex(scopes []*scope) *index {
	x := &index{scopes: scopes, hosts: map[string][]int{}, below: map[string][]int{}}
	crowd := map[string]int{} // how many scopes have the beginning, or the host
	for _, sc := range scopes {
		seen := map[string]bool{}
		for i := range sc.paths {
			seen["/"+strings.Join(sc.paths[i].beginning(), "/")] = true
		}
		for _, h := range sc.hosts {
			seen[h] = true
		}
		for key := range seen {
			crowd[key]++
		}
	}
	for i, sc := range scopes {
		pathCrowd, hostCrowd := 0, 0
		for j := range sc.paths {
			pathCrowd = max(pathCrowd, crowd["/"+strings.Join(sc.paths[j].beginning(), "/")])
		}
		for _, h := range sc.hosts {
			hostCrowd = max(hostCrowd, crowd[h])
		}
		switch {
		case sc.all:
			x.rest = append(x.rest, i)
		case !sc.requests:
		case pathCrowd == 0 && hostCrowd == 0:
			x.rest = append(x.rest, i)
		case pathCrowd == 0 || hostCrowd > 0 && hostCrowd < pathCrowd:
			x.byHost = append(x.byHost, i)
			for _, h := range sc.hosts {
				if h[0] == '.' {
					x.below[h] = append(x.below[h], i)
				} else {
					x.hosts[h] = append(x.hosts[h], i)
				}
			}
		default:
			x.byPath = append(x.byPath, i)
			for j := range sc.paths {
				x.paths.add(indexed{i, &sc.paths[j]})
			}
		}
	}
	return x
}

// beginning is the segments before a pattern's first wildcard.
func (p *pattern) beginning() []string {
	var literals []string
	for _, s := range p.segments {
		if s.kind != segmentLiteral {
			break
		}
		literals = append(literals, s.literal)
	}
	return literals
}

func (n *node) add(p indexed) {
	for _, segment := range p.pattern.beginning() {
		next := n.next[segment]
		if next == nil {
			next = &node{}
			if n.next == nil {
				n.next = map[string]*node{}
			}
			n.next[segment] = next
		}
		n = next
	}
	n.here = append(n.here, p)
}

// find adds the scopes that the request is in.
func (x *index) find(t *target, found *hits) {
	for _, i := range x.rest {
		if x.scopes[i].has(t) {
			found.add(i)
		}
	}
	if len(x.byHost) > 0 {
		x.findByHost(t, found)
	}
	if len(x.byPath) > 0 {
		x.findByPath(t, found)
	}
}

func (x *index) findByHost(t *target, found *hits) {
	t.readHosts()
	if t.hostDoubt {
		x.ask(x.byHost, t, found)
		return
	}
	for _, name := range t.hosts[:t.hostCount] {
		x.ask(x.hosts[name], t, found)
		if len(x.below) == 0 {
			continue
		}
		for i := 1; i < len(name); i++ {
			if name[i] == '.' {
				x.ask(x.below[name[i:]], t, found)
			}
		}
	}
}

// ask asks those scopes that are not yet found.
func (x *index) ask(scopes []int, t *target, found *hits) {
	for _, i := range scopes {
		if !found.has(i) && x.scopes[i].has(t) {
			found.add(i)
		}
	}
}

func (x *index) findByPath(t *target, found *hits) {
	if !t.isPlain() {
		x.findByReadings(t, found)
		return
	}
	path := t.r.URL.Path
	rest := path[1:]
	for n := &x.paths; ; {
		for i := range n.here {
			if p := &n.here[i]; !found.has(p.scope) && p.pattern.matchPlain(path) {
				x.addWithPath(p.scope, t, found)
			}
		}
		if rest == "" || n.next == nil {
			return
		}
		var segment string
		if slash := strings.IndexByte(rest, '/'); slash >= 0 {
			segment, rest = rest[:slash], rest[slash+1:]
		} else {
			segment, rest = rest, ""
		}
		if n = n.next[segment]; n == nil {
			return
		}
	}
}

// findByReadings does it for a path that is not plain: its plain reading is among
// its readings.
func (x *index) findByReadings(t *target, found *hits) {
	readings, doubt := t.otherReadings()
	if doubt {
		for _, i := range x.byPath {
			if !found.has(i) {
				x.addWithPath(i, t, found)
			}
		}
		return
	}
	for _, segments := range readings {
		n := &x.paths
		for depth := 0; ; depth++ {
			for i := range n.here {
				if p := &n.here[i]; !found.has(p.scope) && matchSegments(p.pattern.segments, segments) {
					x.addWithPath(p.scope, t, found)
				}
			}
			if depth == len(segments) {
				break
			}
			if n = n.next[segments[depth]]; n == nil {
				break
			}
		}
	}
}

// addWithPath adds a scope of which the path is known to match.
func (x *index) addWithPath(i int, t *target, found *hits) {
	if sc := x.scopes[i]; sc.hasMethod(t.r.Method) && sc.hasHost(t) {
		found.add(i)
	}
}
