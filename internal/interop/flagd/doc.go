// Package flagd holds the evaluator of github.com/upkeep-go/upkeep/flags against
// flagd's own, github.com/open-feature/flagd/core: random documents in random contexts
// must give the same value, variant, reason and error code in both.
//
// It has tests only. It is a module of its own because flagd's core has more than a
// hundred dependencies, which importers of upkeep must not inherit.
//
//	go test ./...
//	go test -fuzz FuzzAgreesWithFlagd
//
// Where the two differ, the test looks for the smallest operation that explains it. If
// that is one of the known faults of flagd, listed with their reasons in
// faults_test.go, the difference is flagd's; otherwise it is a failure.
package flagd
