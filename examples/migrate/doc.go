// Package migrate has the code of three guides, before and after: README.md for feature flags,
// telemetry.md for traces and logs of requests, routers.md for chi, gin, echo and connect. A test
// finds each block of the guides in these files.
package migrate
