// Package registry is a private module registry for the go command: an [http.Handler]
// that serves modules by the module proxy protocol
// (https://go.dev/ref/mod#goproxy-protocol), and takes new versions of them.
//
// Two names make a registry, [New] and [Dir]:
//
//	reg, err := registry.New(registry.Dir("/var/lib/modules"), &registry.Options{
//		Private:   []string{"corp.example"},
//		Authorize: registry.Basic(users...),
//	})
//	http.ListenAndServeTLS(addr, cert, key, reg)
//
// The go command needs no more than its environment:
//
//	GOPROXY=https://modules.corp.example GONOSUMDB=corp.example
//
// with Options.Public for the modules of others; GOPRIVATE alone would go around the
// registry. A [Client] publishes, from the command line curl does.
//
// # Routes
//
// The module's path and the version are escaped as in the protocol: upper-case letters
// are written as an exclamation mark and the lower-case letter.
//
//	GET    /<module>/@v/list                  the versions, without yanked, blocked and pseudo-versions
//	GET    /<module>/@v/<version>.info        the version and the time of its publishing
//	GET    /<module>/@v/<version>.mod         its go.mod
//	GET    /<module>/@v/<version>.zip         the module, with its h1: sum as the ETag
//	GET    /<module>/@latest                  the .info of the highest version, releases first
//	GET    /<module>/@v/<channel>.info        the .info of the version that a channel stands for
//	PUT    /<module>/@v/<version>.zip         publish; ?override=<reason> goes on against the gate
//	PUT    /<module>/@channel/<channel>       ?version=<version>&reason=<reason>: set a channel
//	DELETE /<module>/@channel/<channel>       ?reason=<reason>: remove it
//	GET    /<module>/@channels                all channels with their history: [Channel], by name
//	PUT    /<module>/@yank/<version>          ?reason=<reason>: yank
//	DELETE /<module>/@yank/<version>          ?reason=<reason>: take that back
//	PUT    /<module>/@block/<version>         ?reason=<reason>: block
//	DELETE /<module>/@block/<version>         ?reason=<reason>: take that back
//	GET    /<module>/@record/<version>        what was done to a version: [Record]
//
// Whatever is read has an ETag, and takes HEAD, Range and conditional requests. What
// never changes may be cached for ever, by shared caches too where Options.Authorize is
// nil. A path that is a prefix of a module's is 404, as is every module that is not
// below a private prefix.
//
// # Publishing
//
// The body is the zip that go mod download would get: every file below
// "<module>@<version>/", as golang.org/x/mod/zip makes and checks it, with a go.mod. The
// answer is [Published], with status 201 for a new version, 200 if the version has the
// same content already (the same h1: sum, whatever the compression), and 409 if it has
// another. What is refused is problem+json (RFC 9457) with the broken rule as "rule":
//
//	authorize      401, 403  credentials are missing or wrong, or do not suffice
//	private        404       the module is not below a private prefix
//	module-path    422       it is no module path, or not escaped
//	version        422       it is no version, or not canonical
//	major-version  422       the path's major version is not that of the version
//	upload         400 …     the body ended early, came too slowly, or is one too many
//	size           413, 422  the zip, its list of files, or what it unpacks to is too large
//	zip            422       it is no zip, or not one of a module: paths, letters' case, links, what it is called inside
//	go.mod         422       it is missing, cannot be read, or is of another module
//	replace        422       it has replace directives
//	gate           422       the gate has refused the version, or cannot judge it ("verdict", "details")
//	immutable      409       the version is published with another content
//	blocked        403       the version is blocked
//	channel        409, 422  no such name can be, or what it is to stand for is yanked or blocked
//	reason         422       a reason is required
//	not-found      404, 405  there is nothing here
//	store          500, 503, 507  the store has failed, is damaged, or has no room
//
// Those who read modules get the same as plain text, which the go command prints.
//
// A version is published when it is in the list; the answer comes after that. From then on
// it has this content for ever. Of several publishers at a time one wins. A version whose
// publisher died before, or got an error, is not served. The same content finishes it, and
// other content replaces it; a publisher waits two seconds before it takes another one for
// dead.
//
// # Damage
//
// What is served is compared with what was published: the size of a zip, go.mod and .info at
// each change of the files, and the sum of a zip once for each size and modification time. A
// published version that is incomplete or changed is answered with 500 and never with 404,
// at which the go command would ask others. The same holds for a module whose list is lost.
// Publishing the identical zip mends all files of a version. [Registry.Verify] reads all
// that is in the store, reports what is wrong, and mends what it can derive from the rest.
//
// # Channels, yank and block
//
// A channel is a name for a version that can be moved: go get corp.example/lib@stable.
// A yanked version leaves list and @latest, and whoever names it exactly still gets it, in
// silence. Of a blocked one .info and .zip are answered with 403. That ends the go command
// with the reason where proxies in GOPROXY are separated by commas: it asks the next one
// only at 404 and 410. After a "|" it asks the next one at every error, so with
// GOPROXY=https://modules.corp.example|https://other.example a blocked version can be had
// from the other proxy. A blocked version's go.mod is served as before: the go command needs it of each version that is named anywhere in the graph of
// modules, also to choose a later one, and without it nobody could leave the blocked
// one. To let people know, deprecate and retract: that is go.mod's, and [Client.Edit]
// publishes it.
//
// # Threat model
//
// Uploads and paths are hostile. A body goes to a temporary file and no further than
// Options.MaxZip; nothing is unpacked to disk. The zip's list of files is at most 8 MiB,
// its go.mod 256 KiB and 10,000 lines, what it unpacks to 500 MiB, and two zips at a
// time are looked at. A slow upload holds its temporary file and one of
// Options.MaxUploads, no lock. Names of files are built from valid module paths and
// versions only. No code of an upload is run here; what a gate runs is the gate's to
// contain.
//
// By default nobody may write: without Options.Authorize, and as a [User] without May.
// Names below the private prefixes are never sent
// anywhere, and Options.Public keeps the go command from doing so: without it the go
// command asks the next proxy of GOPROXY for what it does not find here, private names
// among them. Where the store fails, the answer is an error, never "not found", at which
// the go command would go on to others. Serve over TLS, for the go command sends
// credentials over nothing else. Requests are not bounded in their rate.
//
// A registry keeps what it is given: it does not sign, and who can write to the store's
// folder can change everything but what go.sum files hold.
package registry
