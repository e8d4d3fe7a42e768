// Package flagd compares the evaluator of github.com/upkeep-go/upkeep/flags with flagd's own,
// github.com/open-feature/flagd/core: random documents in random contexts must give the same value,
// variant, reason and error code in both.
//
// It has tests only. It is a module of its own because flagd's core has more than a hundred
// dependencies, which importers of upkeep must not inherit.
//
//	go test ./...
//	go test -fuzz FuzzAgreesWithFlagd
//
// If the two differ, the test looks for the smallest operation that explains the difference. If that is
// a known fault of flagd, listed in faults_test.go, the difference is flagd's. Otherwise the test fails.
package flagd
