//go:build race

package schedule_test

// raced says that the race detector is on. It makes pure computation ten times slower.
const raced = true
