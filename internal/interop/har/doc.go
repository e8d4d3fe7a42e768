// Package har asks others whether the bundles of observe/capture are what they say: HTTP
// Archives, by the schema of npm's har-schema; and a browser, which opens one and answers
// from it.
package har
