package observe

import (
	"net/http"

	"github.com/upkeep-go/upkeep/observe/tail"
)

// tailSink keeps the log records of a request or job below the level, for the sinks after
// it if it is told.
type tailSink struct {
	handler *tail.Handler
	counts  *counts
}

func (s *tailSink) begin(st *state, _ *http.Request) {
	var outer *tail.Tail
	if st.outer != nil {
		outer = &st.outer.tail
	}
	st.tail.Begin(s.handler, outer, st.name())
}

func (s *tailSink) end(st *state, out *outcome) {
	out.records, out.dropped = st.tail.Finish(out.told)
	if !out.told {
		out.dropped = 0 // a loss only to a request that is told
	} else if out.dropped > 0 {
		s.counts.tailDropped.Add(int64(out.dropped))
	}
}
