package main

import (
	"os"
	"os/exec"
	"path/filepath"
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
	page := filepath.Join(t.TempDir(), "incident.md")
	require.NoError(t, run(t.Context(), &out, page))
	// Revisions depend on the version of git.
	got := regexp.MustCompile(`[0-9a-f]{12}\.\.[0-9a-f]{12}`).ReplaceAllString(out.String(), "old..new")
	require.Equal(t, want, got)
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(out.String(), "\n"+string(written)))
}

const want = `built v1.4.0
built v1.4.1
built v1.5.0

What ran when it failed, at 11:07?
shop v1.5.0 in production, on a and b

And five minutes before, while it was rolled out?
shop v1.4.1 in production, on b
shop v1.5.0 in production, on a

What had changed in the hour before?
2026-01-09 10:30:00Z  deployment (catalog): v2.3.0 → v2.4.0, by ci
2026-01-09 10:40:00Z  window db-upgrade: announced → in progress, by ben
2026-01-09 10:58:00Z  flag express-checkout (shop, production): off → on for 10 % of the users, by ada
2026-01-09 11:02:00Z  shop (production): v1.4.1 → v1.5.0, both seen until 11:06:00Z
                      semver v3.4.0 → v3.5.0
                      rev old..new
2026-01-09 11:07:12Z  failure POST /checkout: 500 invalid version

What was rolled back today?
v1.5.0 of shop, after 18m0s

What runs at noon?
shop v1.4.1 in production, on a and b

Which of it did this?
>99 %  flag express-checkout (shop, production): off → on for 10 % of the users, by ada, 9 min before the failure; in the service that failed; 95.6 % of 45 failed requests had express-checkout on, the change reached 10 %
 <1 %  shop (production): v1.4.1 → v1.5.0, both seen until 11:06:00Z, 5 min before the failure; in the service that failed; v1.5.0 is the build that failed; 100 % of 45 failed requests had v1.5.0, the change reached 100 %

And for the post-mortem:
# POST /checkout of shop v1.5.0 failed at 2026-01-09 11:07:12Z

## Suspects

| Score | Change | Evidence |
| ---: | --- | --- |
| &gt;99 % | [flag express-checkout (shop, production): off → on for 10 % of the users, by ada, 9 min before the failure](https://flags.example/express-checkout) | in the service that failed; 95.6 % of 45 failed requests had express-checkout on, the change reached 10 % |
| &lt;1 % | shop (production): v1.4.1 → v1.5.0, both seen until 11:06:00Z, 5 min before the failure | in the service that failed; v1.5.0 is the build that failed; 100 % of 45 failed requests had v1.5.0, the change reached 100 % |
| &lt;1 % | deployment (catalog): v2.3.0 → v2.4.0, by ci, 37 min before the failure | shop calls catalog |
| &lt;1 % | shop (production): v1.4.0 → v1.4.1, both seen until 09:20:00Z, 1 h 52 min before the failure | in the service that failed; the build that failed, v1.5.0, came later; 100 % of 45 failed requests had v1.4.1 or later, the change reached 100 % |
| &lt;1 % | window db-upgrade: announced → in progress, by ben, 27 min before the failure |  |
| &lt;1 % | shop (production): v1.4.0, seen for the first time, 2 h 37 min before the failure | in the service that failed; the build that failed, v1.5.0, came later; 100 % of 45 failed requests had v1.4.0 or later, the change reached 100 % |

## Timeline

| Time (UTC) | What | Change |
| --- | --- | --- |
| 2026-01-09 10:30:00 | deployment (catalog) | v2.3.0 → v2.4.0, by ci |
| 2026-01-09 10:40:00 | window db-upgrade | announced → in progress, by ben |
| 2026-01-09 10:58:00 | [flag express-checkout (shop, production)](https://flags.example/express-checkout) | off → on for 10 % of the users, by ada |
| 2026-01-09 11:02:00 | shop (production) | **v1.4.1 → v1.5.0, both seen until 11:06:00Z**<br>semver v3.4.0 → v3.5.0<br>rev old..new |
| 2026-01-09 11:07:12 | failure POST /checkout | 500 invalid version |
| 2026-01-09 11:20:00 | shop (production) | **rollback v1.5.0 → v1.4.1, both seen until 11:21:00Z**<br>semver v3.5.0 → v3.4.0 (downgraded)<br>rev old..new |
`
