// Package har checks with independent programs that the bundles of observe/capture are HTTP
// Archives: with the schema of npm's har-schema, and with a browser that answers from a bundle.
package har
