package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

var screenshot = flag.Bool("screenshot", false, "make .github/status.png, with chromium")

// TestScreenshot makes the screenshot in README.md: the page for operators while a window waits
// for work that began before it.
//
//	go test ./examples/service -run Screenshot -screenshot
func TestScreenshot(t *testing.T) {
	if !*screenshot {
		t.Skip("run it with -screenshot to make the screenshot again")
	}
	start := time.Now().Add(time.Second)
	guard, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", fmt.Appendf(nil, `
windows:
  - id: orders-upgrade
    title: Upgrade of the orders database
    owner: team-orders
    runbook: https://wiki.shop.example/orders-upgrade
    start: %s
    duration: 2h
    announce: 3d
    scope: {paths: ["/orders/**"], work: [settle]}
    message: Browsing stays open. Orders are back soon.
  - id: night-backup
    title: Nightly backup
    owner: team-platform
    start: %s
    duration: 20m
    announce: 12h
    mode: read-only
    scope: {paths: ["/reports/**"]}
`, start.Format(time.RFC3339Nano), start.Add(5*time.Hour).Truncate(time.Hour).Format(time.RFC3339))), nil)
	require.NoError(t, err)
	defer guard.Close()
	for _, work := range []downtime.Work{{Name: "settle"}, {Name: "settle"}} {
		leave, err := guard.Enter(t.Context(), work)
		require.NoError(t, err)
		defer leave()
	}
	for e := range guard.Events(t.Context()) {
		if e.Phase == schedule.PhaseDraining {
			break
		}
	}
	page, err := status.Handler(guard, &status.Options{
		Service:   "Example shop",
		Authorize: func(*http.Request) (who string, err error) { return "an operator", nil },
	})
	require.NoError(t, err)
	server := httptest.NewServer(page)
	defer server.Close()
	path, err := filepath.Abs(filepath.Join("..", "..", ".github", "status.png"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--user-data-dir="+t.TempDir(), "--force-device-scale-factor=1.5", "--window-size=900,735", "--screenshot="+path, server.URL)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(300<<10))
}
