package history

import (
	"net/url"
	"strings"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/version"
)

// comparisons are the paths of pages that compare two revisions, by host.
var comparisons = map[string]string{
	"github.com":   "compare/{from}...{to}",
	"gitlab.com":   "-/compare/{from}...{to}",
	"codeberg.org": "compare/{from}...{to}",
	"gitea.com":    "compare/{from}...{to}",
}

// CompareURL returns the address of a page that compares From and To. In the template {module} is
// the module path without host and major version, and {from} and {to} are the revisions, or the
// versions if a revision is unknown:
//
//	https://git.example.com/{module}/compare/{from}...{to}
//
// An empty template means the page of the module's host, for github.com, gitlab.com, codeberg.org
// and gitea.com. CompareURL returns "" if the page is unknown: for other hosts, without From, or if
// there is neither a revision nor a released version.
func (c *Change) CompareURL(template string) string {
	if c.From == nil || c.To == nil {
		return ""
	}
	from, to := commitOf(c.From), commitOf(c.To)
	if from == "" || to == "" || from == to {
		return ""
	}
	if c.To.Module != "" && module.CheckPath(c.To.Module) != nil {
		return ""
	}
	prefix, _, ok := module.SplitPathVersion(c.To.Module)
	host, path, _ := strings.Cut(prefix, "/")
	if template == "" {
		page := comparisons[host]
		if !ok || page == "" || path == "" || c.From.Module != "" && !strings.HasPrefix(c.From.Module, prefix) {
			return ""
		}
		// Modules may be in folders of their repository. Only GitLab has groups in groups.
		if parts := strings.SplitN(path, "/", 3); host != "gitlab.com" && len(parts) < 2 {
			return ""
		} else if host != "gitlab.com" {
			path = parts[0] + "/" + parts[1]
		}
		template = "https://" + host + "/{module}/" + page
	}
	address := strings.NewReplacer("{module}", path, "{from}", url.PathEscape(from), "{to}", url.PathEscape(to)).Replace(template)
	if !isURL(address) {
		return ""
	}
	return address
}

// commitOf returns the revision of a build, or the version if it is the name of a tag.
func commitOf(i *version.Info) string {
	revision := strings.TrimSuffix(i.Revision, "-dirty")
	if len(revision) >= 7 && strings.Trim(strings.ToLower(revision), digits) == "" {
		return revision
	}
	switch version.KindOf(i.Version) {
	case version.KindRelease, version.KindPrerelease:
		tag, _, _ := strings.Cut(i.Version, "+")
		return tag
	}
	return ""
}
