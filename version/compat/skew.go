package compat

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/Masterminds/semver/v3"
)

// A Skew limits how far apart the minor versions of a client and a server may be:
//
//	{Client: "kubelet", Server: "kube-apiserver", Minor: 3}            // up to three older, not newer
//	{Client: "kubectl", Server: "kube-apiserver", Minor: 1, Newer: true} // one older or newer
//
// The major versions must be equal. Prereleases and pseudo-versions count as the release with
// their numbers. The zero Skew allows only equal minor versions.
type Skew struct {
	Client string `json:"client,omitempty"` // name, used only in messages
	Server string `json:"server,omitempty"` // name, used only in messages
	Newer  bool   `json:"newer,omitempty"`  // allows a client that is newer than the server
	Minor  int    `json:"minor"`            // allowed distance in minor versions; not negative
}

// A SkewError says that two versions are further apart than a [Skew] allows.
type SkewError struct {
	Skew   Skew   // the rule
	Client string // version, cut to 128 bytes
	Server string // version, cut to 128 bytes
	Why    string // "is 2 minor versions newer, and may be 1"
}

// Error returns both sides and the reason: "compat: kubectl v1.37.0 against kube-apiserver
// v1.35.1: is 2 minor versions newer, and may be 1".
func (e *SkewError) Error() string {
	return "compat: " + cmp.Or(e.Skew.Client, "client") + " " + e.Client + " against " +
		cmp.Or(e.Skew.Server, "server") + " " + e.Server + ": " + e.Why
}

type side int

const (
	clients side = iota // by Require
	servers             // by Expect
)

func (s side) String() string { return [...]string{"client", "server"}[s] }

// Check returns nil if the two versions fit, a [*SkewError] if they do not, and an error that
// wraps [ErrIncomparable] if a version cannot be ordered.
func (s Skew) Check(client, server string) error {
	c, why := parseVersion(client)
	if c == nil {
		return fmt.Errorf("compat: %s %q %w: it %s", cmp.Or(s.Client, "client"), shown(client), ErrIncomparable, why)
	}
	v, why := parseVersion(server)
	if v == nil {
		return fmt.Errorf("compat: %s %q %w: it %s", cmp.Or(s.Server, "server"), shown(server), ErrIncomparable, why)
	}
	if why := s.apart(c, v); why != "" {
		return &SkewError{Skew: s, Client: shown(client), Server: shown(server), Why: why}
	}
	return nil
}

func (s Skew) apart(client, server *semver.Version) string {
	if client.Major() != server.Major() {
		return "is of another major version"
	}
	way, apart := "older", server.Minor()-client.Minor()
	if client.Minor() > server.Minor() {
		way, apart = "newer", client.Minor()-server.Minor()
	}
	switch most := uint64(max(s.Minor, 0)); {
	case way == "newer" && !s.Newer:
		return "is " + minors(apart) + " newer, and must not be newer"
	case apart > most:
		return fmt.Sprintf("is %s %s, and may be %d", minors(apart), way, most)
	}
	return ""
}

func minors(n uint64) string {
	if n == 1 {
		return "1 minor version"
	}
	return strconv.FormatUint(n, 10) + " minor versions"
}

func (s Skew) around(self *semver.Version, judged side) string {
	below, above := uint64(max(s.Minor, 0)), uint64(0)
	if s.Newer {
		above = below
	}
	if judged == servers {
		below, above = above, below
	}
	low, high := self.Minor()-min(below, self.Minor()), self.Minor()+above
	text := fmt.Sprintf("%d.%d", self.Major(), low)
	if low != high {
		text += fmt.Sprintf(" to %d.%d", self.Major(), high)
	}
	return text
}

// String returns the rule as a sentence.
func (s Skew) String() string {
	if s.Minor <= 0 {
		return "the minor version of the server"
	}
	way := " older than"
	if s.Newer {
		way = " older or newer than"
	}
	return "at most " + minors(uint64(s.Minor)) + way + " the server"
}
