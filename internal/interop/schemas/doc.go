// Package schemas holds the JSON Schemas of the documents against the parsers that read them.
//
// Editors use the schemas to complete and check documents. A schema sees the shape of a
// document: fields, types, patterns, and which fields go together. It cannot see what depends
// on several values, such as an id that is used twice. So a schema may accept a document that
// its parser refuses, but only for a reason that [kind] lists. It never refuses a document
// that its parser accepts, except a document of flags with an unknown field or a map of
// several operators: the parser of flags passes over those, and Lint reports them.
package schemas
