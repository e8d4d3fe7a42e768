// Package layers draws the house and keeps it so. It has tests only: who may import whom, which
// modules may be required, what each package exports and how "go doc" lists it, the shapes that
// are the same in all packages, and which files of a package use which others.
//
// A change that the tests refuse is either a mistake or a decision. A decision is
// made by changing the table, or by writing the lists of exported names anew with
//
//	go test ./internal/layers -update
//
// so that it is seen in review.
package layers
