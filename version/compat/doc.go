// Package compat checks that two programs fit each other, by their versions, and holds
// clients and servers to it.
//
// [New] makes a policy of rules, [Require] holds a server's clients to it, [Expect] a
// client's servers, and [Skew] limits how far apart the two may be.
//
//	policy, err := compat.New(compat.Rules{Default: []compat.Rule{{
//		Minimum: "v1.4.0",
//		Block:   []string{"v1.4.3"},
//		Stage:   compat.StageWarn,
//	}}}, nil)
//	…
//	handler = compat.Require(policy)(handler)
//
// [OpenPolicy] reads the rules from a document and follows its changes, so that a bad
// version can be blocked while the service runs. Clients need one line,
// [version.Transport]. A rule goes live in stages: [StageObserve] counts and logs,
// [StageWarn] also warns the peers, [StageEnforce] refuses them. One rule can refuse what
// is too old today while another warns of what will be.
//
// # Who the peer is
//
// The peer's name and version are read from one header, see Rules.Header: a client's
// User-Agent (shop/v1.4.2, as [version.Transport] sends it), a server's X-Version (v1.4.2,
// as [version.Middleware] sends it when asked to). Of several products the first that
// Rules.Peers names counts, or else the first; comments are skipped. Of several header
// lines the first counts, also when a proxy has joined them by commas.
//
// # How versions are judged
//
// Constraints are those of [github.com/Masterminds/semver/v3], but the versions of Go
// programs need more care than Masterminds takes:
//
//   - A release is judged by its number.
//   - A prerelease or pseudo-version must satisfy a constraint twice: as it is, which keeps
//     v1.4.0-rc.1 below v1.4.0, and as the release that it leads up to, which keeps
//     v2.0.0-rc.1 out of "<2.0.0". It is blocked when either is. A text that names a
//     prerelease of a number is literal for that number: "=1.2.3-rc.1" allows v1.2.3-rc.1,
//     and to block 1.6.0-rc1 does not block v1.6.0.
//   - A suffix without an order, by [version.Compare] (v1.2.3-hotfix.1, a commit), may come
//     before its number or after. When that decides, the result is unknown.
//   - A dirty version (v1.4.2+dirty) is refused where v1.4.2 is. Where v1.4.2 fits, the
//     result is unknown.
//   - A pseudo-version v0.0.0-… comes from a build that saw no tag, such as a shallow
//     clone. The result is unknown.
//   - A development build ([version.KindDevel]) and [version.KindOther] (a build number, a
//     calendar version, the output of git describe) have no order. The result is unknown.
//   - An entry of a block list that equals the peer's version, except for a leading v,
//     blocks it, whatever its kind: dev, build-4711. An entry with build metadata,
//     v1.5.0+dirty, blocks that text only. Other build metadata is not compared.
//
// Each text of a rule is checked when the rules are read: it must match what it names,
// block no more than that, and leave a version that satisfies it. Otherwise it is a fault,
// with a proposal where possible: to block "x" or "1.6-rc1", to require ">=2.0.0 <1.0.0".
//
// An unknown result, and a peer without a version, passes unless the rule is Strict.
//
// # Threat model
//
// A version header proves nothing: an attacker writes the version that is let in. This
// package helps honest programs to find out early that they do not fit; it does not
// replace authentication.
//
// A header may hold any bytes. More than 512 bytes are not read. Name and version are
// tokens (RFC 9110 section 5.6.2) of at most 128 bytes each, or ignored, so they are safe
// in a log, a header and an answer; they never become names of statistics. At most 1,024
// verdicts are kept for each direction, a few MB with rules of usual length. A random one
// makes room for a new one, so a client that sends many versions cannot keep the others
// out. At most 256 versions are logged in an hour.
package compat
