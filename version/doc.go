// Package version identifies the running program and compares two programs.
//
// Most programs need two functions: [Current] returns the identity of this program, and
// [Diff] returns the differences between two programs.
//
//	info := version.Current()
//	slog.Info("starting", "build", info)
//	admin.Handle("GET /version", version.Handler(info, nil))
//	fmt.Println(version.Diff(old, info))
//
// # Sources
//
// Each field of [Info] is taken from the first source that has it:
//
//  1. [Options], set by the program;
//  2. the linker variables version, revision and time of this package;
//  3. the build info that the Go toolchain puts into every binary;
//  4. the environment: SERVICE_VERSION, then the attributes service.version
//     and vcs.ref.head.revision of OTEL_RESOURCE_ATTRIBUTES;
//  5. nothing: the field is unknown.
//
// For Name and Environment the environment (OTEL_SERVICE_NAME, then service.name
// and deployment.environment.name of OTEL_RESOURCE_ATTRIBUTES) comes right after
// the options, because importing a package must not rename a service on its
// dashboards. The toolchain records the version "(devel)" if it found no version, so a
// version from the environment replaces it. [Info.Origins] records which source was used,
// [Info.Conflicts] records sources that disagree with it.
//
// The linker variables are set while building:
//
//	go build -ldflags "\
//	  -X github.com/upkeep-go/upkeep/version.version=v1.4.2 \
//	  -X github.com/upkeep-go/upkeep/version.revision=$(git rev-parse HEAD) \
//	  -X github.com/upkeep-go/upkeep/version.time=$(git show -s --format=%cI HEAD)"
//
// A program that plain "go build" or "go install" built in a checkout does not need them,
// because the toolchain stamps version, revision and commit time.
//
// # What the toolchain stamps
//
// With Go 1.26:
//
//   - A package built in a checkout has a version: the tag, a pseudo-version after
//     it, and "+dirty" when any file is changed or untracked.
//   - "go run" and "go test" stamp "(devel)" unless given -buildvcs=true. A build
//     from a list of files gets an empty version.
//   - Without .git (as in a container build that does not copy it) and in a git
//     worktree the version is "(devel)", without a revision.
//   - A shallow clone has no tags, so its version is v0.0.0 and the commit.
//   - A module inside another repository has the revision of the outer one, and
//     "(devel)". That is a conflict here. A repository without go.mod at its root
//     looks the same to the toolchain.
//   - A git worktree nested in its own repository has the tag and the revision of
//     the outer checkout, which may be on a different branch. The binary does not
//     show this, so it is not reported as a conflict. Build such a worktree outside of
//     its repository, or set the linker variables.
//   - A build with vendored modules records no checksums.
//   - The binary contains everything that was given to -ldflags, secrets included,
//     unless it was built with -trimpath.
//
// # Threat model
//
// Binaries, snapshots, headers and the environment are hostile input. Text is cut to a
// stated length, and characters that cannot be printed are replaced, before it reaches a
// log, a header or a response. Build settings come from an allow-list, so linker and
// compiler flags are never shown. Snapshots are bounded by [MaxSnapshot]. [Handler] shows
// only name, version, revision and commit time unless HandlerOptions.Detail allows more,
// because a list of dependencies is a list of known weaknesses. A build without a version
// is not an error, so this package cannot stop a service from starting.
package version
