// Package compat says whether two programs fit each other, by the versions
// that they tell, and holds clients and servers to it.
//
// Two names do most of the work: [New] makes a policy of rules, and [Require]
// holds a server's clients to it. [Expect] is the same for a client and its
// servers, and [Skew] says how far apart the two may be.
//
//	policy, err := compat.New(compat.Rules{Default: []compat.Rule{{
//		Minimum: "v1.4.0",
//		Block:   []string{"v1.4.3"},
//		Stage:   compat.StageWarn,
//	}}}, nil)
//	…
//	handler = compat.Require(policy)(handler)
//
// [OpenPolicy] reads the rules from a document, and follows its changes: a bad
// version is blocked while the service runs.
//
// The client's part is one line, [version.Transport]. A rule goes live in
// stages: [StageObserve] counts and logs whom it would hit, [StageWarn] tells
// them, [StageEnforce] refuses them. Several rules stand side by side, so that
// one can refuse what is too old today while another warns of what will be.
//
// # Who the peer is
//
// The peer's name and version are read from one header, see Rules.Header: a
// client's User-Agent (shop/v1.4.2, as [version.Transport] sends it), a
// server's X-Version (v1.4.2, as [version.Middleware] sends it when told to).
// Of several products the first that Rules.Peers names counts, or else the
// first; comments are skipped. Of several header lines the first counts, also
// when a proxy has joined them by commas.
//
// # How versions are judged
//
// Constraints are those of [github.com/Masterminds/semver/v3], written by
// people. What Go programs tell is never handed to them as it is, because
// Masterminds would be wrong about it, one way or the other:
//
//   - A release is judged by its number.
//   - A prerelease and a pseudo-version must satisfy a constraint twice: as it
//     is, which keeps v1.4.0-rc.1 below v1.4.0, and as the release that it
//     leads up to, which keeps v2.0.0-rc.1 out of "<2.0.0". It is blocked when
//     either is. A text that names a prerelease of a number is literal for
//     that number: "=1.2.3-rc.1" allows v1.2.3-rc.1, and to block 1.6.0-rc1
//     does not block v1.6.0. Masterminds refuses every prerelease and pseudo-version, or
//     with IncludePrerelease lets "<2.0.0" accept v2.0.0-rc.1.
//   - A suffix without an order, by [version.Compare] (v1.2.3-hotfix.1, the
//     revision of a package, a commit), may come before its number or after. When
//     that decides, it cannot be told.
//   - A dirty version (v1.4.2+dirty) was built from changed files. It is
//     refused like v1.4.2 where v1.4.2 is; where v1.4.2 fits, nothing is
//     proven, and it cannot be told. To Masterminds, +dirty and its absence
//     are the same.
//   - A pseudo-version v0.0.0-… comes from a build that saw no tag, such as a
//     shallow clone. It stands for any version, so it cannot be told.
//     Masterminds puts it below all others.
//   - A development build ([version.KindDevel]; 0.0.0-SNAPSHOT is one) and
//     "other" ([version.KindOther]: a build number, a calendar version, the
//     output of git describe) have no order, so they cannot be told. Masterminds reads some of them as versions: 2026.11.20
//     satisfies every minimum.
//   - An entry of a block list that equals the text that the peer tells, except
//     for a leading v, blocks it, whatever its kind: dev, build-4711. An entry
//     with build metadata, v1.5.0+dirty, blocks that text only. Other build
//     metadata than dirty is not compared.
//
// Each text of a rule is checked against itself when the rules are read. It must
// match what it names, block no more than that, and leave a version that
// satisfies it. Otherwise it is a fault, with a proposal where one can be made:
// to block "x" or "1.6-rc1", to require ">=2.0.0 <1.0.0".
//
// What cannot be told, and a peer that tells no version, passes, unless the
// rule is Strict.
//
// # Threat model
//
// A version header proves nothing: whoever wants in writes the version that
// is let in. This package helps honest programs to find out early that they
// do not fit; it protects from nobody, and does not replace authentication.
//
// A header may hold any bytes. More than 512 bytes are not read. Name and
// version are tokens (RFC 9110 section 5.6.2) of at most 128 bytes each, or
// not taken, so they are safe in a log, a header and an answer; they never
// become names of statistics. At most 1,024 verdicts are kept for each
// direction, a few MB with rules of usual length. Which verdict makes room for
// a new one is left to chance, so a client that sends many versions cannot keep
// the others out. At most 256 versions are logged,
// and after an hour as many again.
package compat
