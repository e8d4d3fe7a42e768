package schedule

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"time"
)

// A Freeze is a time in which no window that repeats takes place: no occurrence of one
// whose planned start lies in [From, To). Windows that do not repeat are not concerned,
// because each of them was planned for its date.
type Freeze struct {
	From, To time.Time // in the zone that the document names
	Reason   string
	Windows  []string // ids of the windows that it is about. Empty means all that repeat.
}

// Freezes are the document's freezes, in its order.
func (s *Schedule) Freezes() iter.Seq[Freeze] { return slices.Values(s.freezes) }

// frozen are freezes as seconds since 1970: in order, and joined where they touch.
type frozen []struct{ from, to int64 }

func newFrozen(freezes []Freeze) frozen {
	all := make(frozen, 0, len(freezes))
	for _, f := range freezes {
		all = append(all, struct{ from, to int64 }{f.From.Unix(), ceil(f.To)})
	}
	slices.SortFunc(all, func(a, b struct{ from, to int64 }) int { return cmp.Compare(a.from, b.from) })
	joined := all[:0]
	for _, f := range all {
		if n := len(joined); n > 0 && f.from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, f.to)
			continue
		}
		joined = append(joined, f)
	}
	return joined
}

// ceil is the first whole second that is not before t.
func ceil(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// at is the freeze in which the instant lies.
func (f frozen) at(t int64) (from, to int64, ok bool) {
	if len(f) == 0 {
		return 0, 0, false
	}
	i := sort.Search(len(f), func(i int) bool { return f[i].to > t })
	if i == len(f) || t < f[i].from {
		return 0, 0, false
	}
	return f[i].from, f[i].to, true
}
