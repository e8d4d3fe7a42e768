// Package pgtest runs PostgreSQL servers for tests and examples: the programs that are
// installed, in a folder of the caller, on a Unix socket only. It imports no database driver,
// so modules with different drivers can use it.
package pgtest
