// History plays a bad Friday. It builds three releases of a service with the go command, from a git
// repository that it creates in a temporary folder, and deploys them. Within an hour there are two
// deployments, a window and an edit of a flag. Then requests fail, and the rollback of the last
// release does not help. The program answers the questions of the incident: what ran, what had
// changed, and which of the changes did it?
//
//	go run ./examples/history
//	go run ./examples/history -page incident.md   # also writes the first page of the post-mortem
//
// It needs git, and the Go module proxy or a module cache with two versions of semver. A service
// in Go records itself while it runs, with history.Keep(ctx, store, version.Current(), …). Here
// the program that deploys records the instances that it has started. It can do so for any Go
// program, because it reads the version.Info from the binary.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

func main() {
	page := flag.String("page", "", "the file for the page of the post-mortem")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *page); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run plays the day and prints the answers. It writes a page to the file, if there is a name.
func run(ctx context.Context, out io.Writer, page string) error {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries := map[string]string{}
	for _, r := range releases {
		if binaries[r.tag], err = r.build(ctx, dir); err != nil {
			return err
		}
		fmt.Fprintln(out, "built", r.tag)
	}
	fmt.Fprintln(out)

	store, err := history.NewFile(filepath.Join(dir, "history.jsonl"), nil)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := play(ctx, store, binaries); err != nil {
		return err
	}
	if err := answer(ctx, store, out); err != nil {
		return err
	}
	return explain(ctx, store, out, page)
}

// A release is a tag in the repository of the service.
type release struct {
	tag, semver, sum, price string
}

var releases = []release{
	{"v1.4.0", "v3.4.0", "h1:Zog+i5UMtVoCU8oKka5P7i9q9HgrJeGzI9SA1Xbatp0=", "12"},
	{"v1.4.1", "v3.4.0", "h1:Zog+i5UMtVoCU8oKka5P7i9q9HgrJeGzI9SA1Xbatp0=", "13"},
	{"v1.5.0", "v3.5.0", "h1:kQceYJfbupGfZOKZQg0kou0DgAKhzDg2NZPAwZ/2OOE=", "13"},
}

// build commits and tags the release, and builds it: the go command stamps version,
// revision and dependencies into the binary.
func (r release) build(ctx context.Context, dir string) (binary string, err error) {
	repository := filepath.Join(dir, "shop")
	if err := os.MkdirAll(repository, 0o755); err != nil {
		return "", err
	}
	for name, text := range map[string]string{
		"go.mod": "module example.com/shop\n\ngo 1.26\n\nrequire github.com/Masterminds/semver/v3 " + r.semver + "\n",
		"go.sum": "github.com/Masterminds/semver/v3 " + r.semver + " " + r.sum + "\n" +
			"github.com/Masterminds/semver/v3 " + r.semver + "/go.mod h1:4V+yj/TJE1HU9XfppCwVMZq3I84lprf4nC11bSS5beM=\n",
		"main.go": "package main\n\nimport \"github.com/Masterminds/semver/v3\"\n\nfunc main() { println(semver.MustParse(\"1.2.3\").String(), " + r.price + ") }\n",
	} {
		if err := os.WriteFile(filepath.Join(repository, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	binary = filepath.Join(dir, "shop-"+r.tag)
	for _, command := range [][]string{
		{"git", "init", "-q"},
		{"git", "add", "-A"},
		{"git", "commit", "-q", "-m", r.tag},
		{"git", "tag", r.tag},
		{"go", "build", "-buildvcs=true", "-o", binary},
	} {
		if err := execute(ctx, repository, command...); err != nil {
			return "", err
		}
	}
	return binary, nil
}

// execute runs a command in a folder, without what the user has set for git and go.
func execute(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir, "GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_DIR="+filepath.Join(dir, ".git"),
		"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=2026-01-09T08:00:00Z",
		"GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com", "GIT_COMMITTER_DATE=2026-01-09T08:00:00Z")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return nil
}

// today returns a time of the day that is played.
func today(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-01-09 "+clock)
	if err != nil {
		panic(err) // only if a constant is wrong
	}
	return t
}

// A then is a store that sets the time of new entries to the time of the played day.
type then struct {
	history.Store
	at       time.Time
	appended chan struct{} // receives after each sighting
}

func (s *then) Append(ctx context.Context, entries ...history.Entry) error {
	for n := range entries {
		entries[n].Time, entries[n].Late = s.at, time.Since(s.at)
	}
	err := s.Store.Append(ctx, entries...)
	if entries[0].Kind != history.KindNoted {
		s.appended <- struct{}{}
	}
	return err
}

// A fleet has the running instances.
type fleet struct {
	store *then
	stops map[string]func() error
}

// start starts an instance. It stops an instance of the same name first.
func (f *fleet) start(ctx context.Context, info version.Info, instance string) error {
	if err := f.stop(instance); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		// The whole day takes a moment, so Keep only records start and stop.
		done <- history.Keep(ctx, f.store, info, history.Deployment{Environment: "production", Instance: instance}, &history.KeepOptions{Interval: 24 * time.Hour})
	}()
	f.stops[instance] = func() error {
		cancel()
		<-f.store.appended
		return <-done
	}
	<-f.store.appended
	return nil
}

func (f *fleet) stop(instance string) error {
	stop := f.stops[instance]
	if stop == nil {
		return nil
	}
	delete(f.stops, instance)
	return stop()
}

// play deploys the releases on two instances, and rolls the last one back. It also notes other
// changes.
func play(ctx context.Context, store history.Store, binaries map[string]string) (err error) {
	f := &fleet{store: &then{Store: store, appended: make(chan struct{})}, stops: map[string]func() error{}}
	defer func() {
		f.store.at = today("18:00:00")
		for _, instance := range []string{"a", "b"} {
			err = errors.Join(err, f.stop(instance))
		}
	}()
	for _, step := range []struct {
		clock, instance, tag string
		event                history.Event
	}{
		{clock: "08:30:00", instance: "a", tag: "v1.4.0"},
		{clock: "08:30:00", instance: "b", tag: "v1.4.0"},
		{clock: "09:15:00", instance: "a", tag: "v1.4.1"},
		{clock: "09:17:30", instance: "b", tag: "v1.4.0"}, // the old release restarts after a crash
		{clock: "09:20:00", instance: "b", tag: "v1.4.1"},
		{clock: "10:30:00", event: history.Event{Kind: "deployment", Service: "catalog", From: "v2.3.0", To: "v2.4.0", Actor: "ci"}},
		{clock: "10:40:00", event: history.Event{Kind: "window", Subject: "db-upgrade", From: "announced", To: "in progress", Actor: "ben"}},
		{clock: "10:58:00", event: history.Event{
			Kind: "flag", Subject: "express-checkout", From: "off", To: "on", Actor: "ada",
			Service: "shop", Environment: "production", URL: "https://flags.example/express-checkout", Share: 0.1,
		}},
		{clock: "11:02:00", instance: "a", tag: "v1.5.0"},
		{clock: "11:06:00", instance: "b", tag: "v1.5.0"},
		{clock: "11:07:12", event: history.Event{Kind: "failure", Subject: "POST /checkout", To: "500 invalid version"}},
		{clock: "11:20:00", instance: "a", tag: "v1.4.1"},
		{clock: "11:21:00", instance: "b", tag: "v1.4.1"},
	} {
		f.store.at = today(step.clock)
		if step.tag == "" {
			if err := history.Note(ctx, f.store, step.event); err != nil {
				return err
			}
			continue
		}
		info, err := version.ReadFile(binaries[step.tag])
		if err != nil {
			return err
		}
		if err := f.start(ctx, info, step.instance); err != nil {
			return err
		}
	}
	return nil
}

// answer prints the answers to the questions.
func answer(ctx context.Context, store history.Store, out io.Writer) error {
	fmt.Fprintln(out, "What ran when it failed, at 11:07?")
	running, err := history.At(ctx, store, today("11:07:12"))
	if err != nil {
		return err
	}
	printRunning(out, running)

	fmt.Fprintln(out, "\nAnd five minutes before, while it was rolled out?")
	if running, err = history.At(ctx, store, today("11:02:12")); err != nil {
		return err
	}
	printRunning(out, running)

	fmt.Fprintln(out, "\nWhat had changed in the hour before?")
	list, err := history.Timeline(ctx, store, today("10:07:12"), today("11:07:12"))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, list)

	fmt.Fprintln(out, "\nWhat was rolled back today?")
	changes, err := history.Between(ctx, store, today("00:00:00"), today("23:59:59"))
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Rollback != "" {
			fmt.Fprintf(out, "%s of %s, after %v\n", c.From.Version, c.Service, c.Time.Sub(today("11:02:00")))
		}
	}

	fmt.Fprintln(out, "\nWhat runs at noon?")
	if running, err = history.At(ctx, store, today("12:00:00")); err != nil {
		return err
	}
	printRunning(out, running)

	return nil
}

// failure is what the monitoring knows of the failed requests of the first minutes. The good
// requests are of the last hour, so most of them are from before the edit of the flag.
var failure = history.Failure{
	Time: today("11:07:12"), Service: "shop", Build: "v1.5.0", Route: "POST /checkout",
	Variants: map[string]history.Counts{
		"express-checkout=on":  {Failed: 43, Good: 170},
		"express-checkout=off": {Failed: 2, Good: 11_600},
	},
	Builds: map[string]history.Counts{
		"v1.5.0": {Failed: 45, Good: 900},
		"v1.4.1": {Good: 10_870},
	},
}

// explain prints the suspects and writes the page.
func explain(ctx context.Context, store history.Store, out io.Writer, page string) error {
	fmt.Fprintln(out, "\nWhich of it did this?")
	suspects, err := history.Suspects(ctx, store, failure, &history.SuspectOptions{Callers: map[string][]string{"catalog": {"shop"}}})
	if err != nil {
		return err
	}
	for _, s := range suspects[:2] {
		fmt.Fprintln(out, s)
	}

	fmt.Fprintln(out, "\nAnd for the post-mortem:")
	changes, err := history.Timeline(ctx, store, today("10:00:00"), today("12:00:00"))
	if err != nil {
		return err
	}
	incident := &history.Incident{Failure: failure, Suspects: suspects, Changes: changes}
	text := incident.Markdown()
	fmt.Fprint(out, text)
	if page == "" {
		return nil
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

func printRunning(out io.Writer, running []history.Running) {
	for _, r := range running {
		names := make([]string, len(r.Instances))
		for n, i := range r.Instances {
			names[n] = i.Name
		}
		fmt.Fprintf(out, "%s %s in %s, on %s\n", r.Service, r.Info.Version, r.Environment, strings.Join(names, " and "))
	}
}
