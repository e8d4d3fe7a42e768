package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"strings"

	"github.com/upkeep-go/upkeep/version/history"
)

const (
	maxDeployments = 3  // with their commits
	maxCommits     = 20 // of each deployment
)

// A deployment is a suspect with its commits, the latest first.
type deployment struct {
	Service string   `json:"service"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Commits []commit `json:"commits"`
}

type commit struct {
	Revision string `json:"revision"`
	Author   string `json:"author"`
	Subject  string `json:"subject"`
}

// commits reads the commits of the first suspects that are deployments from a git repository. It
// leaves out deployments whose revisions the repository does not have.
func commits(ctx context.Context, dir string, suspects []history.Suspect) ([]deployment, error) {
	if err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "--git-dir").Run(); err != nil {
		return nil, fmt.Errorf("%s is not a git repository: %w", dir, err)
	}
	var list []deployment
	for _, s := range suspects {
		c := s.Change
		if c.From == nil || c.To == nil || !isRevision(c.From.Revision) || !isRevision(c.To.Revision) || len(list) == maxDeployments {
			continue
		}
		out, err := exec.CommandContext(ctx, "git", "-C", dir, "log", "--no-show-signature", fmt.Sprint("--max-count=", maxCommits), "--format=%h%x00%an%x00%s", c.From.Revision+".."+c.To.Revision, "--").Output()
		if err != nil {
			continue
		}
		d := deployment{Service: c.Service, From: c.From.Version, To: c.To.Version}
		for line := range strings.Lines(string(out)) {
			if fields := strings.Split(strings.TrimSuffix(line, "\n"), "\x00"); len(fields) == 3 {
				d.Commits = append(d.Commits, commit{clean(fields[0]), clean(fields[1]), clean(fields[2])})
			}
		}
		if len(d.Commits) > 0 {
			list = append(list, d)
		}
	}
	return list, nil
}

// isRevision reports whether text is a whole hash, so that git cannot take it for an option.
func isRevision(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && (len(text) == 40 || len(text) == 64)
}

// text returns the commits as lines.
func (d *deployment) text() string {
	text := fmt.Sprintf("\ncommits of %s %s → %s:\n", d.Service, d.From, d.To)
	for _, c := range d.Commits {
		text += fmt.Sprintf("%s  %s (%s)\n", c.Revision, c.Subject, c.Author)
	}
	return text
}

// markdown returns the commits as a block of code, in which nothing is markup.
func (d *deployment) markdown() string {
	return "\n## Commits\n\n    " + strings.ReplaceAll(strings.TrimSpace(d.text()), "\n", "\n    ") + "\n"
}
