// Package registry is a private module registry for the go command: an [http.Handler]
// that speaks the module proxy protocol and also takes new versions.
package registry
