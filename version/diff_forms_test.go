package version_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

// TestDiffSees what two programs of one version can differ in.
func TestDiffSees(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old, new version.Info
		want     string
	}{
		"another package of the module": {
			version.Info{Module: "example.com/shop", Package: "example.com/shop/cmd/shop"},
			version.Info{Module: "example.com/shop", Package: "example.com/shop/cmd/admin"},
			"package example.com/shop/cmd/shop → example.com/shop/cmd/admin",
		},
		"a dirty revision":            {version.Info{Revision: revisionA}, version.Info{Revision: revisionA + "-dirty"}, "rev " + revisionA[:12] + ".." + revisionA + "-dirty"},
		"a shortened dirty revision":  {version.Info{Revision: revisionA[:12]}, version.Info{Revision: revisionA[:12] + "-dirty"}, "rev " + revisionA[:12] + ".." + revisionA[:12] + "-dirty"},
		"a shortened revision":        {version.Info{Revision: revisionA}, version.Info{Revision: revisionA[:7]}, "no change"},
		"two dirty revisions":         {version.Info{Revision: revisionA + "-dirty"}, version.Info{Revision: revisionA[:12] + "-dirty"}, "no change"},
		"revisions of Subversion":     {version.Info{Revision: "1234"}, version.Info{Revision: "12345"}, "rev 1234..12345"},
		"a revision in capitals":      {version.Info{Revision: "ABCDEF123456"}, version.Info{Revision: "abcdef123456"}, "no change"},
		"a setting of GODEBUG":        {godebug("a=1,b=2"), godebug("b=3,a=1"), "DefaultGODEBUG:b 2 → 3"},
		"one more setting of GODEBUG": {godebug("a=1"), godebug("a=1,b=2"), "DefaultGODEBUG:b=2 added"},
		"GODEBUG in another order":    {godebug("a=1,b=2"), godebug("b=2,a=1"), "no change"},
		"a sum without padding":       {summed("h1:" + sum64), summed("h1:" + sum64[:43]), "no change"},
		"a sum in hexadecimal":        {summed("h1:" + sum64), summed("sha256:" + sumHex), "no change"},
		"another sum":                 {summed("h1:" + sum64), summed("h1:B" + sum64[1:]), "dep v1.0.0 same version, other sum: h1:" + sum64 + " → h1:B" + sum64[1:]},
	} {
		require.Equal(t, c.want, version.Diff(c.old, c.new).String(), name)
	}
}

const (
	sum64  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	sumHex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

func godebug(text string) version.Info {
	return version.Info{Settings: map[string]string{"DefaultGODEBUG": text}}
}

func summed(sum string) version.Info {
	return version.Info{Deps: []version.Module{{Path: "example.com/dep", Version: "v1.0.0", Sum: sum}}}
}
