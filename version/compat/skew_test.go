package compat_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version/compat"
)

// kubernetes are the rules of https://kubernetes.io/releases/version-skew-policy/.
var kubernetes = map[string]compat.Skew{
	"ha":         {Client: "kube-apiserver", Server: "kube-apiserver", Minor: 1, Newer: true},
	"kubelet":    {Client: "kubelet", Server: "kube-apiserver", Minor: 3},
	"proxy":      {Client: "kube-proxy", Server: "kube-apiserver", Minor: 3},
	"proxy-node": {Client: "kube-proxy", Server: "kubelet", Minor: 3, Newer: true},
	"manager":    {Client: "kube-controller-manager", Server: "kube-apiserver", Minor: 1},
	"scheduler":  {Client: "kube-scheduler", Server: "kube-apiserver", Minor: 1},
	"cloud":      {Client: "cloud-controller-manager", Server: "kube-apiserver", Minor: 1},
	"kubectl":    {Client: "kubectl", Server: "kube-apiserver", Minor: 1, Newer: true},
}

// TestSkewOfKubernetes is its table, with the examples that its page gives.
func TestSkewOfKubernetes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server string
		fit    []string
		unfit  []string
	}{
		"ha":         {"v1.35.0", []string{"v1.34.0", "v1.35.3", "v1.36.0"}, []string{"v1.33.9", "v1.37.0"}},
		"kubelet":    {"v1.35.0", []string{"v1.35.0", "v1.34.1", "v1.33.0", "v1.32.7"}, []string{"v1.31.0", "v1.36.0"}},
		"proxy":      {"v1.35.0", []string{"v1.35.0", "v1.34.0", "v1.33.0", "v1.32.0"}, []string{"v1.31.0", "v1.36.0"}},
		"proxy-node": {"v1.35.0", []string{"v1.38.0", "v1.36.0", "v1.35.0", "v1.32.0"}, []string{"v1.31.0", "v1.39.0"}},
		"manager":    {"v1.35.0", []string{"v1.35.0", "v1.34.0"}, []string{"v1.33.0", "v1.36.0"}},
		"scheduler":  {"v1.35.0", []string{"v1.35.0", "v1.34.0"}, []string{"v1.33.0", "v1.36.0"}},
		"cloud":      {"v1.35.0", []string{"v1.35.0", "v1.34.0"}, []string{"v1.33.0", "v1.36.0"}},
		"kubectl":    {"v1.35.0", []string{"v1.36.0", "v1.35.0", "v1.34.0"}, []string{"v1.33.0", "v1.37.0", "v2.35.0", "v0.35.0"}},
	} {
		skew := kubernetes[name]
		for _, client := range c.fit {
			require.NoError(t, skew.Check(client, c.server), "%s %s", name, client)
		}
		for _, client := range c.unfit {
			var e *compat.SkewError
			require.ErrorAs(t, skew.Check(client, c.server), &e, "%s %s", name, client)
			require.Equal(t, skew, e.Skew)
			require.Equal(t, client, e.Client)
		}
	}

	// "The kube-apiserver instances are at 1.35 and 1.34: kubelet is supported
	// at 1.34, 1.33 and 1.32, and not at 1.35": all pairs must fit.
	for kubelet, fits := range map[string]bool{"v1.35.0": false, "v1.34.0": true, "v1.33.0": true, "v1.32.0": true, "v1.31.0": false} {
		both := kubernetes["kubelet"].Check(kubelet, "v1.35.0") == nil && kubernetes["kubelet"].Check(kubelet, "v1.34.0") == nil
		require.Equal(t, fits, both, kubelet)
	}
}

func TestSkewOfOddVersions(t *testing.T) {
	t.Parallel()
	kubelet := kubernetes["kubelet"]
	for _, fits := range []string{
		"v1.35.9",                               // the same minor version, a newer patch
		"1.35.0",                                // without v
		"v1.35.0+k3s1",                          // build metadata
		"v1.34.2-gke.1279000",                   // what a vendor appends is a prerelease
		"v1.35.0-rc.1",                          // leads up to 1.35
		"v1.32.0-alpha.0",                       // leads up to 1.32
		"v1.35.1-0.20260102150405-abcdef123456", // a commit after v1.35.0
		"v1.35.0+dirty",
	} {
		require.NoError(t, kubelet.Check(fits, "v1.35.0"), fits)
	}
	require.EqualError(t, kubelet.Check("v1.36.0-alpha.0", "v1.35.0"), "compat: kubelet v1.36.0-alpha.0 against kube-apiserver v1.35.0: is 1 minor version newer, and must not be newer")
	require.EqualError(t, kubelet.Check("v1.31.0", "v1.35.0"), "compat: kubelet v1.31.0 against kube-apiserver v1.35.0: is 4 minor versions older, and may be 3")
	require.EqualError(t, kubernetes["kubectl"].Check("v1.37.0", "v1.35.0"), "compat: kubectl v1.37.0 against kube-apiserver v1.35.0: is 2 minor versions newer, and may be 1")
	require.EqualError(t, compat.Skew{}.Check("v2.0.0", "v1.0.0"), "compat: client v2.0.0 against server v1.0.0: is of another major version")
	require.NoError(t, compat.Skew{}.Check("v1.2.3", "v1.2.0"))
	require.Error(t, compat.Skew{}.Check("v1.1.0", "v1.2.0"))
	require.Error(t, compat.Skew{Minor: -1}.Check("v1.1.0", "v1.2.0"), "as 0")

	for _, odd := range []string{"", "(devel)", "1.35", "v1", "2026.11.20", "build-7", "v0.0.0-20260102150405-abcdef123456", "v1.35.0\n", "\xff", strings.Repeat("9", 1<<16), "v1.99999999999999999999.0"} {
		for _, err := range []error{kubelet.Check(odd, "v1.35.0"), kubelet.Check("v1.35.0", odd)} {
			require.ErrorIs(t, err, compat.ErrIncomparable, "%q", odd)
			require.Less(t, len(err.Error()), 400)
			require.NotContains(t, err.Error(), "\n")
		}
	}
	require.EqualError(t, kubelet.Check("v1.35.0", "build-7"), `compat: kube-apiserver "build-7" cannot be compared: it has no order, because it is a build number, a date or another name`)
}

func TestSkewString(t *testing.T) {
	t.Parallel()
	require.Equal(t, "at most 3 minor versions older than the server", kubernetes["kubelet"].String())
	require.Equal(t, "at most 1 minor version older or newer than the server", kubernetes["kubectl"].String())
	require.Equal(t, "the minor version of the server", compat.Skew{}.String())
}

// TestSkewInARule turns it round for Expect: there the peer is the server.
func TestSkewInARule(t *testing.T) {
	t.Parallel()
	rules := compat.Rules{Header: "X-Version", Default: []compat.Rule{{Skew: &compat.Skew{Minor: 2}, Stage: compat.StageEnforce}}}
	p, err := compat.New(rules, &compat.Options{Self: "v1.6.3", Logger: quiet})
	require.NoError(t, err)
	for version, want := range map[string][2]string{ // the error for it as a client and as a server
		"v1.6.9":                  {"", ""},
		"v1.4.0":                  {"", "compat: the peer v1.4.0 has a client, v1.6.3, that is 2 minor versions newer, and must not be newer; needed is 1.6 to 1.8"},
		"v1.8.0+dirty":            {"compat: the peer v1.8.0+dirty is 2 minor versions newer, and must not be newer; needed is 1.4 to 1.6", ""},
		"v1.3.0":                  {"compat: the peer v1.3.0 is 3 minor versions older, and may be 2; needed is 1.4 to 1.6", "compat: the peer v1.3.0 has a client, v1.6.3, that is 3 minor versions newer, and must not be newer; needed is 1.6 to 1.8"},
		"v1.9.0":                  {"compat: the peer v1.9.0 is 3 minor versions newer, and must not be newer; needed is 1.4 to 1.6", "compat: the peer v1.9.0 has a client, v1.6.3, that is 3 minor versions older, and may be 2; needed is 1.6 to 1.8"},
		"build-7":                 {"", ""},
		"v1.7.0-alpha.1 (comment": {"compat: the peer v1.7.0-alpha.1 is 1 minor version newer, and must not be newer; needed is 1.4 to 1.6", ""},
	} {
		for side, err := range []error{p.CheckClient(version), p.CheckServer(version)} {
			if want[side] == "" {
				require.NoError(t, err, version)
			} else {
				require.EqualError(t, err, want[side])
			}
		}
	}

	// A program without a version of its own refuses no peer because of skew.
	rules.Default[0].Stage = compat.StageObserve
	p, err = compat.New(rules, &compat.Options{Self: "(devel)"})
	require.NoError(t, err)
	require.NoError(t, p.CheckClient("v9.9.9"))
	rules.Default[0].Strict = true
	p, err = compat.New(rules, nil) // version.Current of a test is (devel)
	require.NoError(t, err)
	require.EqualError(t, p.CheckClient("v9.9.9"), "compat: the peer v9.9.9 is to be compared with a version that is a development build without a version; needed is at most 2 minor versions older than the server")

	exact, err := compat.New(compat.Rules{Default: []compat.Rule{{Minimum: "v1.6.1", Skew: &compat.Skew{}}}}, &compat.Options{Self: "v1.6.3"})
	require.NoError(t, err)
	require.EqualError(t, exact.CheckClient("shop/v1.5.0"), "compat: shop v1.5.0 does not satisfy >=1.6.1; needed is >=1.6.1, 1.6")
	require.NoError(t, exact.CheckClient("shop/v1.6.1"))
}
