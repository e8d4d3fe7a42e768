package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkNight tries each command of night.md with a running shop, and finds each page and file that
// it mentions.
func checkNight(t *testing.T, admin, docs, log string, get func(method, url string) (int, string)) {
	t.Helper()
	data, err := os.ReadFile("night.md")
	require.NoError(t, err)
	guide := string(data)
	require.Len(t, regexp.MustCompile(`(?m)^## \d+\. `).FindAllString(guide, -1), 10)

	for _, m := range regexp.MustCompile("`(/[^`]*)`").FindAllStringSubmatch(guide, -1) {
		status, _ := get(http.MethodGet, admin+m[1])
		require.Equal(t, http.StatusOK, status, "page %s", m[1])
	}
	for _, m := range regexp.MustCompile("`\\$SHOP/([^`]*)`").FindAllStringSubmatch(guide, -1) {
		_, err := os.Stat(filepath.Join(docs, m[1]))
		require.NoError(t, err)
	}

	commands := 0
	for _, block := range regexp.MustCompile("(?s)\n```\n(.*?)\n```\n").FindAllStringSubmatch(guide, -1) {
		for command := range strings.SplitSeq(block[1], "\n") {
			commands++
			if m := regexp.MustCompile(`^curl -s 'http://127\.0\.0\.1:8081(/.*)'$`).FindStringSubmatch(command); m != nil {
				status, body := get(http.MethodGet, admin+m[1])
				require.Equal(t, http.StatusOK, status, command)
				require.NotEmpty(t, body, command)
			} else if m := regexp.MustCompile(`^grep '(.*)' \$LOG$`).FindStringSubmatch(command); m != nil {
				text, err := os.ReadFile(log)
				require.NoError(t, err)
				require.Contains(t, string(text), m[1], command)
			} else if m := regexp.MustCompile(`^(\w+)=\$SHOP/captures/….har go test -run (\w+) \./examples/shop$`).FindStringSubmatch(command); m != nil {
				source, err := os.ReadFile("bundle_test.go")
				require.NoError(t, err)
				require.Contains(t, string(source), `"`+m[1]+`"`, command)
				require.Contains(t, string(source), "func "+m[2]+"(", command)
			} else {
				t.Errorf("night.md has a command that no test tries: %s", command)
			}
		}
	}
	require.Greater(t, commands, 8)
}
