// Package version says what exactly is running, and what changed since.
//
// Two names do most of the work: [Current] tells what this program is, and
// [Diff] tells what is different between two programs.
//
//	info := version.Current()
//	slog.Info("starting", "build", info)
//	admin.Handle("GET /version", version.Handler(info, nil))
//	fmt.Println(version.Diff(old, info))
//
// # Where the answers come from
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
// dashboards. The version "(devel)" means that the toolchain knows none: it gives
// way to the environment. [Info.Origins] records the choice, [Info.Conflicts] what
// contradicts it.
//
// The linker variables are set while building:
//
//	go build -ldflags "\
//	  -X github.com/upkeep-go/upkeep/version.version=v1.4.2 \
//	  -X github.com/upkeep-go/upkeep/version.revision=$(git rev-parse HEAD) \
//	  -X github.com/upkeep-go/upkeep/version.time=$(git show -s --format=%cI HEAD)"
//
// A program built by plain "go build" or "go install" in a checkout needs none of
// them: the toolchain stamps version, revision and commit time.
//
// # What the toolchain stamps
//
// With Go 1.26:
//
//   - A package built in a checkout has a version: the tag, a pseudo-version after
//     it, and "+dirty" when any file is changed or untracked.
//   - "go run" and "go test" stamp "(devel)" unless given -buildvcs=true; a build
//     from a list of files has no version at all.
//   - Without .git (a container build that leaves it out) and in a git worktree
//     standing alone it is "(devel)", without a revision.
//   - A shallow clone sees no tags: v0.0.0 and the commit.
//   - A module inside another repository has the revision of the outer one, and
//     "(devel)". That is a conflict here. A repository without go.mod at its root
//     looks the same to the toolchain.
//   - A git worktree nested in its own repository has the tag and the revision of
//     the outer checkout, which may be another branch. Nothing in the binary shows
//     it, so there is no conflict. Build such a worktree outside of its repository,
//     or set the linker variables.
//   - A build with vendored modules has no checksums.
//   - Everything given to -ldflags can be read in the binary (not with -trimpath),
//     secrets too.
//
// # Threat model
//
// Binaries, snapshots, headers and the environment are hostile input: text is cut to
// a stated length, and what is not printable is replaced before it reaches a log, a
// header or an answer. Build settings are an allow-list, so that neither -ldflags nor
// compiler flags leave the program at any level. Snapshots are bounded by
// [MaxSnapshot]. [Handler] shows name, version, revision and commit time, until
// HandlerOptions.Detail opens more: a list of dependencies is a list of known
// weaknesses. A build without any version is unknown, not an error, so nothing here
// can stop a service from starting.
package version
