// Package registry is a private module registry for the go command: an [http.Handler]
// that serves modules by the module proxy protocol
// (https://go.dev/ref/mod#goproxy-protocol) and accepts new versions.
//
// [New] makes a registry over a store, and [Dir] is a store in a folder:
//
//	reg, err := registry.New(registry.Dir("/var/lib/modules"), &registry.Options{
//		Private:   []string{"corp.example"},
//		Authorize: registry.Basic(users...),
//	})
//	http.ListenAndServeTLS(addr, cert, key, reg)
//
// The go command only needs its environment:
//
//	GOPROXY=https://modules.corp.example GONOSUMDB=corp.example
//
// Set Options.Upstream as well if builds use public modules. GOPRIVATE alone would bypass
// the registry. A [Client] publishes; curl can do the same.
//
// # Routes
//
// The module path and the version are escaped as in the protocol: an upper-case letter is
// written as an exclamation mark and the lower-case letter.
//
//	GET    /<module>/@v/list                  the versions, without yanked, blocked and pseudo-versions
//	GET    /<module>/@v/<version>.info        the version and the time of its publishing
//	GET    /<module>/@v/<version>.mod         its go.mod
//	GET    /<module>/@v/<version>.zip         the module, with its h1: sum as the ETag
//	GET    /<module>/@latest                  the .info of the highest version, releases first
//	GET    /<module>/@v/<channel>.info        the .info of the channel's version
//	PUT    /<module>/@v/<version>.zip         publish; ?override=<reason> publishes against the gate
//	PUT    /<module>/@channel/<channel>       ?version=<version>&reason=<reason>: set a channel
//	DELETE /<module>/@channel/<channel>       ?reason=<reason>: remove it
//	GET    /<module>/@channels                all channels with their history: [Channel], by name
//	PUT    /<module>/@yank/<version>          ?reason=<reason>: yank
//	DELETE /<module>/@yank/<version>          ?reason=<reason>: undo the yank
//	PUT    /<module>/@block/<version>         ?reason=<reason>: block
//	DELETE /<module>/@block/<version>         ?reason=<reason>: undo the block
//	GET    /<module>/@record/<version>        the history of a version: [Record]
//	GET    /sumdb/<database>/…                a checksum database, with Options.Upstream
//	PUT    /<module>/@allow/<version>         ?reason=<reason>: allow a young or vulnerable version
//	DELETE /<module>/@allow/<version>         ?reason=<reason>: undo that
//	GET    /<module>/@allowed                 the allowances with their history: [Allowance], by version
//
// Every answer to a read has an ETag and supports HEAD, Range and conditional requests.
// Files that never change may be cached for ever, also by shared caches if
// Options.Authorize is nil. A path that is only a prefix of a module path is 404, and so is
// every module outside the private prefixes.
//
// # Publishing
//
// The body is the zip that go mod download would get: all files are below
// "<module>@<version>/" and one of them is go.mod, as golang.org/x/mod/zip makes and checks
// it. The answer is [Published]. Its status is 201 for a new version, 200 if the version is
// published with the same content (the same h1: sum, with any compression), and 409 if it
// is published with other content. A refusal is problem+json (RFC 9457) with the broken
// rule as "rule":
//
//	authorize      401, 403  credentials are missing, wrong or insufficient
//	private        404       the module is outside the private prefixes
//	module-path    422       the module path is invalid or not escaped
//	version        422       the version is invalid or not canonical
//	major-version  422       the major versions of path and version differ
//	upload         400 …     the body is incomplete or too slow, or there are too many uploads
//	size           413, 422  the zip, its list of files, or its unpacked content is too large
//	zip            422       not a zip file, or not a module: wrong paths, case collisions, links, wrong names inside
//	go.mod         422       go.mod is missing, unreadable, or of another module
//	replace        422       go.mod has replace directives
//	gate           422       the gate refuses the version or cannot judge it ("verdict", "details")
//	immutable      409       the version is published with other content
//	blocked        403       the version is blocked
//	channel        409, 422  the channel's name is invalid, or its version is yanked or blocked
//	reason         422       a reason is required
//	not-found      404, 405  the path or the method does not exist
//	store          500, 503, 507  the store failed, is damaged, or is full
//	upstream       502, 503, 504  the upstream failed, or its answer is invalid
//	checksum       502       the upstream's content differs from the recorded sum, or cannot be verified
//	vulnerable     403       the version has known vulnerabilities (Options.Vulns)
//	policy         403       Upstream.Policy refuses the version of a public module
//	cooldown       403       the version of a public module is younger than Upstream.MinAge
//
// Requests for modules get the same texts as plain text, which the go command prints.
//
// A version is published when the list has it; the answer is sent after that. From then on
// its content is fixed. If several publishers send one version at once, exactly one of them
// wins. If a publisher dies or gets an error before that, its version is not served. Another
// upload with the same content completes it, and an upload with other content replaces it. A
// publisher waits two seconds before it replaces another publisher's unfinished upload.
//
// # Damage
//
// The registry compares what it serves with what was published: the size of a zip, go.mod
// and .info after each change of the files, and the sum of a zip once for each size and
// modification time. If a published version is incomplete or changed, or if a module's list
// is lost, the answer is 500. It is never 404, because the go command would then ask the
// next proxy. Publishing the identical zip repairs all files of a version. [Registry.Verify]
// reads everything in the store, reports what is wrong, and repairs what it can derive from
// the other files.
//
// # Channels, yank and block
//
// A channel is a movable name for a version: go get corp.example/lib@stable.
//
// A yanked version is absent from list and @latest. Requests for exactly that version are
// answered as before, without a warning.
//
// A blocked version's .info and .zip are answered with 403. The go command then stops and
// prints the reason if GOPROXY separates proxies by commas, because after a comma it asks
// the next proxy at 404 and 410 only. After a "|" it asks the next proxy at every error, so
// with GOPROXY=https://modules.corp.example|https://other.example a blocked version can
// come from the other proxy. The go.mod of a blocked version is still served: the go command
// needs it for each version in the module graph, also to move to a later one.
//
// To inform users, deprecate or retract. Both are written in go.mod, and [Client.Edit]
// publishes that change.
//
// # Public modules
//
// With [Options.Upstream] the registry also serves modules outside the private prefixes. It
// fetches them from another module proxy, checks them, and keeps them in a cache on disk. So
// GOPROXY can name the registry alone.
//
// Several requests for one file share one fetch. Versions are fetched once. Lists, @latest and
// branches are fetched again after [Upstream.Fresh]; if the upstream fails, the last answer is
// used. Without the upstream the registry serves everything that is in its cache.
//
// A fetched zip and go.mod must have the sums of the checksum database [Upstream.SumDB]. The
// registry records the sums and refuses other content later. It also passes the checksum
// database on to the go command, below /sumdb/, so that clients need no other host. A module
// that the database does not know is refused; serve such modules as private ones.
//
// # Cooldown
//
// Most attacks by a new version are found within days. With [Upstream.MinAge] a version must
// have a minimum age before the registry serves it. A younger version is absent from list and
// @latest. A request for exactly that version is answered with 403 and the time from which it
// may be used; the go command prints that. Its go.mod is served, because older builds may have
// it in their module graph. The list of such a module also omits the versions that its newest
// go.mod retracts.
//
// The age counts from the later of two times: the time in the .info, which the author can
// backdate, and the time when the version first appeared in the list of a module that this
// registry already knew. A recorded time is never changed. Lists do not have pseudo-versions, so
// only their commit time counts. Call [Registry.Refresh] every hour, or a version counts as new
// when it is first requested. If an age cannot be found out, the version is refused.
//
// [Client.Allow] lets one young version through, with a reason that is recorded.
//
// # Policy
//
// With [Upstream.Policy] the registry also refuses public modules by a policy document: by its
// rules allow, deny and require. A refused version is absent from list and @latest, and a
// request for exactly that version is answered with 403 and the reason. Its go.mod is served,
// because the module graph of a build may have it. A policy that follows a document takes
// effect at once.
//
// # Vulnerabilities
//
// With [Options.Vulns] the registry refuses versions with known vulnerabilities, of public and
// private modules. The database is a folder or zip of OSV records, for example that of the Go
// project:
//
//	vulns, err := pkgmgmt.ReadVulns(os.DirFS("/var/lib/vulndb/osv"))
//	…
//	opts.Vulns = vulns.Find
//
// An affected version is absent from list and @latest. A request for exactly that version is
// answered with 403 and the ids, which the go command prints; its go.mod is served. [Client.Allow]
// lets one version through, for example until a fix exists. [Options.FlagVulns] only logs.
//
// # The cache
//
// The cache is a folder with the layout of a module proxy. It can be deleted at any time, with
// two losses: the recorded sums (files that end in sum), which matter without a checksum
// database, and the times when versions appeared (files named ages). Both are never evicted.
//
// # Threat model
//
// Uploads and paths are hostile. A body is written to a temporary file up to
// Options.MaxZip; nothing is unpacked to disk. The zip's list of files is at most 8 MiB, its
// go.mod 256 KiB and 10,000 lines, its unpacked content 500 MiB, and at most two zips are
// checked at once. A slow upload uses a temporary file and one of Options.MaxUploads, but no
// lock. File names are built from valid module paths and versions only. The registry never
// runs code of an upload; a gate that does must contain it.
//
// By default every write is forbidden: if Options.Authorize is nil, and for a [User] whose
// May is nil. If the store fails, the answer is an error and never "not found", because "not
// found" makes the go command ask the next proxy. Serve over TLS, because the go command sends
// credentials only over TLS. The rate of requests is not limited.
//
// Names below the private prefixes are never sent anywhere, in any case of letters. With
// Options.Upstream one proxy is enough, so the go command does not send them to others either.
// Without it, the go command asks the next proxy of GOPROXY for every module that is missing
// here, private ones too.
//
// The upstream's answers are hostile as well. They are bounded in size and time, at most 64 are
// fetched at once, and an invalid answer is never cached. Requests to the upstream have nothing
// from a client's request except the module and version. If the upstream does not serve the
// checksum database and Upstream.SumDB is empty, its content is trusted at the first fetch; set
// SumDB to refuse it.
//
// A registry does not sign modules. Write access to the store's folder allows any change
// except to versions whose sums are in go.sum files.
package registry
