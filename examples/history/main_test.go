package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHistory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs with the real toolchain")
	}
	for _, program := range []string{"go", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			require.NotEqual(t, "true", os.Getenv("CI"), err)
			t.Skip(err)
		}
	}
	for _, version := range []string{"v3.4.0", "v3.5.0"} {
		if said, err := exec.CommandContext(t.Context(), "go", "mod", "download", "github.com/Masterminds/semver/v3@"+version).CombinedOutput(); err != nil {
			require.NotEqual(t, "true", os.Getenv("CI"), "%s", said)
			t.Skipf("no module proxy: %s", said)
		}
	}
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	// Revisions depend on the version of git.
	got := regexp.MustCompile(`[0-9a-f]{12}\.\.[0-9a-f]{12}`).ReplaceAllString(out.String(), "old..new")
	require.Equal(t, want, got)
}

const want = `built v1.4.0
built v1.4.1
built v1.5.0

What ran when it failed, at 11:07?
shop v1.5.0 in production, on a and b

And five minutes before, while it was rolled out?
shop v1.4.1 in production, on b
shop v1.5.0 in production, on a

What had changed in the half hour before?
2026-01-05 10:40:00Z  flag express-checkout: off → 10 %, by ada
2026-01-05 11:02:00Z  shop (production): v1.4.1 → v1.5.0, both seen until 11:06:00Z
                      semver v3.4.0 → v3.5.0
                      rev old..new
2026-01-05 11:07:12Z  failure POST /checkout: 500 invalid version

What was rolled back today?
v1.5.0 of shop, after 18m0s

What runs at noon?
shop v1.4.1 in production, on a and b

And for the post-mortem:
| Time (UTC) | What | Change |
| --- | --- | --- |
| 2026-01-05 08:30:00 | shop (production) | **v1.4.0, seen for the first time** |
| 2026-01-05 09:15:00 | shop (production) | **v1.4.0 → v1.4.1, both seen until 09:20:00Z**<br>rev old..new |
| 2026-01-05 10:40:00 | flag express-checkout | off → 10 %, by ada |
| 2026-01-05 11:02:00 | shop (production) | **v1.4.1 → v1.5.0, both seen until 11:06:00Z**<br>semver v3.4.0 → v3.5.0<br>rev old..new |
| 2026-01-05 11:07:12 | failure POST /checkout | 500 invalid version |
| 2026-01-05 11:20:00 | shop (production) | **rollback v1.5.0 → v1.4.1, both seen until 11:21:00Z**<br>semver v3.5.0 → v3.4.0 (downgraded)<br>rev old..new |
`
