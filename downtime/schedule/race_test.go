//go:build race

package schedule_test

// raced: the race detector slows what only computes tenfold, and finds nothing in it.
const raced = true
