// Package interop has the tests that need more than one of the five packages, or other
// people's code. The tests of its own folder walk all handlers; each subfolder is a module of
// its own that compares upkeep with one peer.
//
// Nothing imports it.
package interop
