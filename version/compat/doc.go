// Package compat checks by their versions whether a client and a server fit each other.
//
// [New] makes a policy from rules. [Require] checks the clients of a server, [Expect] checks
// the servers of a client, and [Skew] limits how many minor versions the two may be apart.
//
//	policy, err := compat.New(compat.Rules{Default: []compat.Rule{{
//		Minimum: "v1.4.0",
//		Block:   []string{"v1.4.3"},
//		Stage:   compat.StageWarn,
//	}}}, nil)
//	…
//	handler = compat.Require(policy)(handler)
//
// [OpenPolicy] reads the rules from a document and follows its changes, so a bad version can
// be blocked while the service runs. Clients need one line, [version.Transport]. A rule goes
// live in stages: [StageObserve] counts and logs, [StageWarn] also warns the peers,
// [StageEnforce] refuses them. So one rule can refuse versions that are too old while another
// warns the versions that will be refused next.
//
// In an editor, a YAML document is completed and checked if its first line is this one. A JSON
// document has the same address in its field $schema.
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/upkeep-go/upkeep/main/version/compat/compat.schema.json
//
// # The peer
//
// The peer's name and version are read from one header, see Rules.Header: a client's
// User-Agent (shop/v1.4.2, as [version.Transport] sends it), a server's X-Version (v1.4.2,
// as [version.Middleware] sends it if MiddlewareOptions.Header is set). If the header has
// several products, the first one that Rules.Peers names counts, or else the first one.
// Comments are skipped. If there are several header lines, the first one counts, even if a
// proxy has joined them with commas.
//
// # Rules for versions
//
// Constraints are those of [github.com/Masterminds/semver/v3], but the versions of Go
// programs need more care than Masterminds takes:
//
//   - A release is judged by its number.
//   - A prerelease or pseudo-version must satisfy a constraint twice: as it is, so
//     v1.4.0-rc.1 is lower than v1.4.0, and as the release with its numbers, so v2.0.0-rc.1
//     does not satisfy "<2.0.0". It is blocked if either of the two is blocked. A text that
//     names a prerelease of a number is literal for that number: "=1.2.3-rc.1" allows
//     v1.2.3-rc.1, and blocking 1.6.0-rc1 does not block v1.6.0.
//   - A suffix that [version.Compare] cannot order (v1.2.3-hotfix.1, a commit) may be
//     earlier or later than its number. If that decides, the result is unknown.
//   - A dirty version (v1.4.2+dirty) is refused if v1.4.2 is refused. If v1.4.2 fits, the
//     result is unknown.
//   - A pseudo-version v0.0.0-… comes from a build without tags, such as a shallow clone.
//     The result is unknown.
//   - A development build ([version.KindDevel]) and [version.KindOther] (a build number, a
//     calendar version, the output of git describe) cannot be ordered. The result is unknown.
//   - An entry of a block list that equals the peer's version, except for a leading v,
//     blocks it, whatever its kind: dev, build-4711. An entry with build metadata,
//     v1.5.0+dirty, blocks only that text. Other build metadata is ignored.
//
// Each text of a rule is checked when the rules are read. It must match the versions that it
// names, block only those, and allow at least one version. Otherwise it is a fault, with a
// proposal if possible: blocking "x" or "1.6-rc1" is a fault, and so is requiring
// ">=2.0.0 <1.0.0".
//
// A peer with an unknown result or without a version passes unless the rule is Strict.
//
// # Threat model
//
// A version header proves nothing, because an attacker can send any version. This package
// helps honest programs to find out early that they do not fit. It does not replace
// authentication.
//
// A header may contain any bytes. Only its first 512 bytes are read. Name and version are
// ignored unless they are tokens (RFC 9110 section 5.6.2) of at most 128 bytes, so they are
// safe in a log, a header and a response. They never become names of statistics. At most
// 1,024 verdicts are cached for each direction, which is a few MB with rules of usual length.
// A new verdict replaces a random one, so a client that sends many versions cannot push out
// all others. At most 256 versions are logged in an hour.
package compat
