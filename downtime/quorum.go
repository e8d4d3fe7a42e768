package downtime

import "context"

// A Quorum makes the guards of many replicas one: none admits work in the scope of a
// window unless all that matters to the one who will do the maintenance knows of it.
// Package quorum has two, over PostgreSQL and over the files of one machine. It is
// for those who drain a window in one place and must know it quiet in all.
//
// A guard asks by telling what it knows, again and again, so that a quorum can be
// written without memory of what was asked before.
type Quorum interface {
	// Agree is told the closing windows that are near, by id: true where this replica
	// wants to admit work in the window's scope, or has work running there; false
	// where the window is quiet here, so that others may rely on it. It answers which
	// of them this replica may admit work for; what is missing it may not. With an
	// error it may for none.
	//
	// An error that is [ErrOutdated] says more: others rely on a window that Agree was
	// not told of, so that nobody knows what this replica must not do. It may admit
	// nothing at all, and asks again every second. It helps to tell then of all the
	// windows of the document, for one that is over here may be in use elsewhere.
	//
	// Agree is called once before the guard admits anything, even when no window is
	// near, and from then on by one goroutine at a time, whenever something changes and
	// at least every second while a window is near. It must return soon after ctx ends.
	// It must not wait for others: what cannot be had now is asked for again.
	Agree(ctx context.Context, windows map[string]bool) (open map[string]bool, err error)

	// Changed is sent to, without blocking, when Agree should be called at once, even
	// when no window is near: what was agreed on is lost, for instance with a
	// connection.
	Changed() <-chan struct{}
}
