// Package application wraps an application of others, go-httpbin, in package observe, and
// compares what it answers with what it answers without: byte by byte. It has tests only.
package application
