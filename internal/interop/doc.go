// Package interop has the tests that need several of the five packages, or code of others. The tests in
// its own folder walk all handlers. Each subfolder is a module that compares upkeep with one peer.
//
// Nothing imports it.
package interop
