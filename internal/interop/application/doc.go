// Package application wraps another project's application, go-httpbin, in package observe, and
// compares its responses with those of the bare application byte by byte. It has only tests.
package application
