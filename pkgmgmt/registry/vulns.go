package registry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// maxVulns bounds the vulnerabilities in one text.
const maxVulns = 5

// A vulnCheck refuses versions with known vulnerabilities, except those that are allowed.
type vulnCheck struct {
	find   func(path, version string) []pkgmgmt.Vuln // nil means none
	flag   bool                                      // log instead of refusing
	store  Store                                     // has the allowances
	log    *slog.Logger
	served atomic.Int64
}

// check returns a refusal for a version that must not be used.
func (v *vulnCheck) check(ctx context.Context, at *target) error {
	vulns := v.of(at.module, at.version)
	if len(vulns) == 0 {
		return nil
	}
	if !v.flag {
		allowed, err := v.allowed(ctx, at)
		if err != nil {
			return err
		}
		if !allowed[at.version] {
			return refuse(http.StatusForbidden, ruleVulnerable, fmt.Sprintf("%s@%s has known vulnerabilities: %s", at.module, at.version, vulnText(vulns)))
		}
	}
	if at.kind == kindZip {
		v.served.Add(1)
		v.log.LogAttrs(ctx, slog.LevelWarn, "a module with known vulnerabilities is served",
			slog.String("module", at.module), slog.String("version", at.version), slog.String("vulns", vulnText(vulns)))
	}
	return nil
}

// keep returns which versions a list may have.
func (v *vulnCheck) keep(ctx context.Context, at *target) func(version string) bool {
	var allowed map[string]bool
	var failed error
	read := false
	return func(version string) bool {
		if v == nil || v.flag || len(v.of(at.module, version)) == 0 {
			return true
		}
		if !read {
			read = true
			allowed, failed = v.allowed(ctx, at)
		}
		return failed == nil && allowed[version]
	}
}

func (v *vulnCheck) of(path, version string) []pkgmgmt.Vuln {
	if v == nil || v.find == nil {
		return nil
	}
	return v.find(path, version)
}

// allowed returns the allowed versions of a module.
func (v *vulnCheck) allowed(ctx context.Context, at *target) (map[string]bool, error) {
	all, err := catalog{store: v.store}.allowances(ctx, at)
	if err != nil {
		return nil, err
	}
	allowed := map[string]bool{}
	for version, a := range all {
		allowed[version] = a.Allowed
	}
	return allowed, nil
}

// vulnText is one line, because the go command prints only the first lines of an answer.
func vulnText(vulns []pkgmgmt.Vuln) string {
	var texts []string
	for i, vuln := range vulns {
		if i == maxVulns {
			texts = append(texts, fmt.Sprintf("and %d more", len(vulns)-maxVulns))
			break
		}
		texts = append(texts, shown(vuln.String()))
	}
	return strings.Join(texts, "; ")
}
