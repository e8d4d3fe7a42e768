// Package pgtest runs PostgreSQL servers for tests and examples: the programs that are
// installed, in a folder of the caller, on a Unix socket and no port. It needs no database
// driver, so modules with different drivers can use it.
package pgtest
