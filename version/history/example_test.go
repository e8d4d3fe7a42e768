package history_test

import (
	"cmp"
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// A day is a store that sets the time of new entries to now, so that the examples always print
// the same. A service passes its store to Record directly.
type day struct {
	history.Store
	dir string
	now time.Time
}

func newDay() *day {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		panic(err)
	}
	store, err := history.NewFile(filepath.Join(dir, "history.jsonl"), nil)
	if err != nil {
		panic(err)
	}
	return &day{store, dir, clock("00:00")}
}

func (d *day) end() { _ = os.RemoveAll(d.dir) }

func (d *day) Append(ctx context.Context, entries ...history.Entry) error {
	for n := range entries {
		entries[n].Time, entries[n].Late = d.now, time.Since(d.now)
	}
	return d.Store.Append(ctx, entries...)
}

// An observed is an appender that signals each append.
type observed struct {
	history.Appender
	appended chan struct{}
}

func (h *observed) Append(ctx context.Context, entries ...history.Entry) error {
	err := h.Appender.Append(ctx, entries...)
	h.appended <- struct{}{}
	return err
}

// keep runs Keep for an instance until stop is called. Its interval is longer than the examples
// take.
func (d *day) keep(ctx context.Context, info version.Info, where history.Deployment) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	h := &observed{d, make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- history.Keep(ctx, h, info, where, &history.KeepOptions{Interval: 24 * time.Hour}) }()
	<-h.appended
	return func() {
		cancel()
		<-h.appended
		<-done
	}
}

func clock(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-01-05 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

// exampleBuild takes the place of version.Current.
func exampleBuild(release, semver string) version.Info {
	return version.FromBuildInfo(&debug.BuildInfo{
		GoVersion: "go1.26.8",
		Path:      "example.com/shop",
		Main:      debug.Module{Path: "example.com/shop", Version: release},
		Deps:      []*debug.Module{{Path: "github.com/Masterminds/semver/v3", Version: semver, Sum: "h1:" + semver}},
	}, nil)
}

// A service records itself while it runs, and other changes of the system are noted. After a
// failure one list has all of them.
func Example() {
	ctx := context.Background()
	store := newDay() // history.NewFile("/var/lib/shop/history.jsonl", nil)
	defer store.end()

	// In main, even if the store fails:
	//
	//	go func() { kept <- history.Keep(ctx, store, version.Current(), history.Deployment{Environment: "production"}, nil) }()
	instances := map[string]func(){}
	start := func(info version.Info, instance string) {
		if stop := instances[instance]; stop != nil {
			stop()
		}
		instances[instance] = store.keep(ctx, info, history.Deployment{Environment: "production", Instance: instance})
	}
	start(exampleBuild("v1.4.1", "v3.4.0"), "a")
	start(exampleBuild("v1.4.1", "v3.4.0"), "b")

	// During a rolling update both builds are seen. It is one change.
	store.now = clock("11:00")
	start(exampleBuild("v1.5.0", "v3.5.0"), "a")
	store.now = clock("11:02")
	start(exampleBuild("v1.4.1", "v3.4.0"), "b") // the old build restarts
	store.now = clock("11:04")
	start(exampleBuild("v1.5.0", "v3.5.0"), "b")

	store.now = clock("11:07")
	_ = history.Note(ctx, store, history.Event{Kind: "flag", Subject: "express-checkout", From: "off", To: "on", Actor: "ada"})
	store.now = clock("11:09")
	_ = history.Note(ctx, store, history.Event{Kind: "failure", Subject: "POST /checkout", To: "500"})

	store.now = clock("11:20")
	start(exampleBuild("v1.4.1", "v3.4.0"), "a")
	start(exampleBuild("v1.4.1", "v3.4.0"), "b")
	for _, stop := range instances {
		defer stop()
	}

	changes, err := history.Timeline(ctx, store, clock("10:30"), clock("11:30"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(changes)
	// Output:
	// 2026-01-05 11:00:00Z  shop (production): v1.4.1 → v1.5.0, both seen until 11:04:00Z
	//                       semver v3.4.0 → v3.5.0
	// 2026-01-05 11:07:00Z  flag express-checkout: off → on, by ada
	// 2026-01-05 11:09:00Z  failure POST /checkout: 500
	// 2026-01-05 11:20:00Z  shop (production): rollback v1.5.0 → v1.4.1
	//                       semver v3.5.0 → v3.4.0 (downgraded)
}

// Markdown is for a post-mortem.
func ExampleList_Markdown() {
	ctx := context.Background()
	store := newDay()
	defer store.end()
	here := history.Deployment{Environment: "production", Instance: "a"}
	_ = history.Record(ctx, store, exampleBuild("v1.4.1", "v3.4.0"), here)
	store.now = clock("11:00")
	_ = history.Record(ctx, store, exampleBuild("v1.5.0", "v3.5.0"), here)
	store.now = clock("11:07")
	_ = history.Note(ctx, store, history.Event{Kind: "flag", Subject: "express_checkout", To: "on", Actor: "ada"})

	changes, err := history.Timeline(ctx, store, clock("10:30"), clock("11:30"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(changes.Markdown())
	// Output:
	// | Time (UTC) | What | Change |
	// | --- | --- | --- |
	// | 2026-01-05 11:00:00 | shop (production) | **v1.4.1 → v1.5.0**<br>semver v3.4.0 → v3.5.0 |
	// | 2026-01-05 11:07:00 | flag express\_checkout | on, by ada |
}

// Between returns the changes of versions as values.
func ExampleBetween() {
	ctx := context.Background()
	store := newDay()
	defer store.end()
	for _, release := range []string{"v1.4.1", "v1.5.0", "v1.4.1"} {
		_ = history.Record(ctx, store, exampleBuild(release, "v3.5.0"), history.Deployment{Environment: "production", Instance: "a"})
		store.now = store.now.Add(time.Hour)
	}

	changes, err := history.Between(ctx, store, clock("00:30"), clock("23:59"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range changes {
		fmt.Println(c.Time.Format(time.TimeOnly), c.Service, c.To.Version, c.Diff.Version.Kind, "rollback:", cmp.Or(c.Rollback, "none"))
	}
	// Output:
	// 01:00:00 shop v1.5.0 upgraded rollback: none
	// 02:00:00 shop v1.4.1 downgraded rollback: ran before
}

// At returns the builds that ran at a time, here during a rolling update.
func ExampleAt() {
	ctx := context.Background()
	store := newDay()
	defer store.end()
	for _, instance := range []string{"a", "b"} {
		_ = history.Record(ctx, store, exampleBuild("v1.4.1", "v3.4.0"), history.Deployment{Environment: "production", Instance: instance})
	}
	store.now = clock("11:00")
	_ = history.Record(ctx, store, exampleBuild("v1.5.0", "v3.5.0"), history.Deployment{Environment: "production", Instance: "a"})

	running, err := history.At(ctx, store, clock("11:01"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range running {
		fmt.Println(r.Service, r.Info.Version, r.Environment, r.Instances[0].Name)
	}
	// Output:
	// shop v1.4.1 production b
	// shop v1.5.0 production a
}

// Keep also records that a service stops. Current does not return it afterwards.
func ExampleKeep() {
	store := newDay()
	defer store.end()
	observed := &observed{store.Store, make(chan struct{}, 2)}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	kept := make(chan error, 1)
	go func() {
		kept <- history.Keep(ctx, observed, exampleBuild("v1.5.0", "v3.5.0"), history.Deployment{Environment: "production"}, nil)
	}()
	<-observed.appended
	running, err := history.Current(context.Background(), store)
	fmt.Println(len(running), err)

	stop() // the service shuts down
	fmt.Println(<-kept)
	running, err = history.Current(context.Background(), store)
	fmt.Println(len(running), err)
	// Output:
	// 1 <nil>
	// <nil>
	// 0 <nil>
}

// The time of an event decides its place in the timeline, not the time of Note.
func ExampleNote() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := history.NewFile(filepath.Join(dir, "history.jsonl"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	_ = history.Note(ctx, store, history.Event{Time: clock("11:30"), Kind: "window", Subject: "db-upgrade", From: "announced", To: "in progress"})
	_ = history.Note(ctx, store, history.Event{Time: clock("09:00"), Kind: "migration", Subject: "orders", To: "version 42", Actor: "deploy bot"})
	_ = history.Note(ctx, store, history.Event{
		Time: clock("10:00"), Kind: "flag", Subject: "express-checkout", From: "off", To: "on", Actor: "ada",
		Service: "shop", Environment: "production", URL: "https://flags.example/express-checkout", Share: 0.05,
	})
	changes, err := history.Timeline(ctx, store, time.Time{}, time.Time{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(changes)
	// Output:
	// 2026-01-05 09:00:00Z  migration orders: version 42, by deploy bot
	// 2026-01-05 10:00:00Z  flag express-checkout (shop, production): off → on for 5 % of the users, by ada
	// 2026-01-05 11:30:00Z  window db-upgrade: announced → in progress
}

// A crash in the middle of a line loses no acknowledged entry. Invalid lines are counted.
func ExampleNewFile() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "history.jsonl")
	store, err := history.NewFile(path, &history.FileOptions{MaxBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	_ = history.Note(ctx, store, history.Event{Kind: "flag", Subject: "a"})
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	_, _ = f.WriteString(`{"id":"torn","ki`)
	_ = f.Close()
	_ = history.Note(ctx, store, history.Event{Kind: "flag", Subject: "b"})

	changes, err := history.Timeline(ctx, store, time.Time{}, time.Time{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(changes.Items), "entries,", store.Stats()["rejected_lines"], "torn line")

	// A full or read-only disk is an error. The service should start all the same.
	missing, err := history.NewFile(filepath.Join(dir, "missing", "history.jsonl"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = history.Note(ctx, missing, history.Event{Kind: "flag", Subject: "c"})
	fmt.Println(err != nil)
	// Output:
	// 2 entries, 1 torn line
	// true
}

// Several processes of one machine write to one history. Each has its own segment, and queries
// read all of them.
func ExampleFileStore_severalProcesses() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, process := range []string{"shop", "till"} {
		store, err := history.NewFile(filepath.Join(dir, "history.jsonl"), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer store.Close()
		_ = history.Note(ctx, store, history.Event{Kind: "cache", Subject: process, To: "cleared"})
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		fmt.Println(filepath.Base(f))
	}

	reader, err := history.NewFile(filepath.Join(dir, "history.jsonl"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	changes, err := history.Timeline(ctx, reader, time.Now().Add(-time.Hour), time.Time{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range changes.Items {
		fmt.Println(i.Event.Kind, i.Event.Subject, i.Event.To)
	}
	// Output:
	// history.jsonl
	// history.jsonl.segment2
	// cache shop cleared
	// cache till cleared
}

// Only restricts queries to one service in one environment. Only its builds are read.
func ExampleOnly() {
	ctx := context.Background()
	store := newDay()
	defer store.end()
	for _, service := range []string{"shop", "till"} {
		info := exampleBuild("v1.4.1", "v3.4.0")
		info.Name = service
		for _, environment := range []string{"production", "staging"} {
			_ = history.Record(ctx, store, info, history.Deployment{Environment: environment, Instance: "a"})
		}
	}

	till := history.Only(store, history.Query{Service: "till", Environment: "production"})
	changes, err := history.Timeline(ctx, till, clock("00:00"), clock("23:59"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(changes)
	// Output:
	// 2026-01-05 00:00:00Z  till (production): v1.4.1, seen for the first time
}

// A flag was edited, and a minute before the failure another one. The second looks guilty, because
// half of the failed requests had it and few good ones. But it was turned on for half of the
// users, so that is what chance explains.
func ExampleSuspects() {
	ctx := context.Background()
	store := newDay()
	defer store.end()
	for at, e := range map[string]history.Event{
		"11:40": {Kind: "flag", Subject: "express", From: "off", To: "on", Actor: "ada", Service: "shop", Share: 0.05},
		"11:59": {Kind: "flag", Subject: "banner", From: "off", To: "on", Actor: "bob", Service: "shop", Share: 0.5},
	} {
		store.now = clock(at)
		_ = history.Note(ctx, store, e)
	}

	list, err := history.Suspects(ctx, store, history.Failure{
		Time: clock("12:00"), Service: "shop", Route: "POST /orders",
		Variants: map[string]history.Counts{
			"express=on": {Failed: 38, Good: 400}, "express=off": {Failed: 2, Good: 9600},
			"banner=on": {Failed: 21, Good: 300}, "banner=off": {Failed: 19, Good: 9700},
		},
	}, &history.SuspectOptions{Callers: map[string][]string{"shop": {"front"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range list {
		fmt.Println(s.Event.Subject+":", s.Evidence[strings.LastIndex(s.Evidence, "; ")+2:])
	}
	// Output:
	// express: 95 % of 40 failed requests had express on, the change reached 5 %
	// banner: 52.5 % of 40 failed requests had banner on, the change reached 50 %
}

// An instance that only Record has recorded may have ended. It is marked as unknown.
func ExampleInstance() {
	ctx := context.Background()
	store := newDay()
	defer store.end()
	_ = history.Record(ctx, store, exampleBuild("v1.4.1", "v3.4.0"), history.Deployment{Environment: "production", Instance: "a"})
	defer store.keep(ctx, exampleBuild("v1.4.1", "v3.4.0"), history.Deployment{Environment: "production", Instance: "b"})()

	running, err := history.At(ctx, store, clock("01:00"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range running[0].Instances {
		fmt.Println(i.Name, "unknown:", i.Unknown)
	}
	// Output:
	// a unknown: true
	// b unknown: false
}

// A database keeps the history of several machines, with the driver that the service already has.
func ExampleNewSQL() {
	ctx := context.Background()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	store, err := history.NewSQL(db, history.DialectPostgreSQL, &history.SQLOptions{Table: "deployments"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := history.Record(ctx, store, version.Current(), history.Deployment{Environment: "production"}); err != nil {
		slog.Warn("not in the history", "error", err)
	}
	// Once a day, in one of the services:
	if _, err := store.Prune(ctx, time.Now().AddDate(-1, 0, 0)); err != nil {
		slog.Warn("the history grows", "error", err)
	}
}

// Services that cannot reach a database send their entries to a collector. It accepts entries
// from known clients, each with its own name.
func ExampleNewReporter() {
	ctx := context.Background()
	store := newDay() // of the collector; usually history.NewSQL
	defer store.end()
	tokens := map[string]string{"shop": "secret1", "till": "secret2"}
	collector, err := history.NewCollector(store.Store, &history.CollectorOptions{
		Authorize: func(r *http.Request) (who string, err error) {
			err = errors.New("an unknown token")
			for name, token := range tokens {
				if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) == 1 {
					who, err = name, nil
				}
			}
			return who, err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(collector)
	defer server.Close()

	// In each service:
	reporter, err := history.NewReporter(server.URL, &history.ReportOptions{
		Drain: 30 * time.Second,
		Sign: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer secret1")
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// It never waits, even if the collector is down.
	_ = history.Record(ctx, reporter, exampleBuild("v1.5.0", "v3.5.0"), history.Deployment{Environment: "production", Instance: "a"})
	_ = history.Note(ctx, reporter, history.Event{Kind: "flag", Subject: "express-checkout", To: "on"})
	_ = reporter.Close() // sends waiting entries, for Drain at most

	changes, err := history.Timeline(ctx, store, time.Time{}, time.Time{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range changes.Items {
		if i.Change != nil {
			fmt.Println(i.Client, "reported", i.Change.Service, i.Change.To.Version)
		} else {
			fmt.Println(i.Client, "reported", i.Event.Subject)
		}
	}
	fmt.Println(collector.Stats()["accepted"], reporter.Stats()["dropped_full"])
	// Output:
	// shop reported shop v1.5.0
	// shop reported express-checkout
	// 2 0
}
