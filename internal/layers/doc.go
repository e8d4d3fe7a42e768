// Package layers has only tests of the repository's structure: who may import whom, which
// modules may be required, what each package exports and how "go doc" lists it, the shapes that
// are the same in all packages, and which files of a package use which others.
//
// A change that the tests refuse is a mistake or a decision. For a decision, change the table
// or update the lists of exported names with
//
//	go test ./internal/layers -update
//
// so that reviewers see it.
package layers
