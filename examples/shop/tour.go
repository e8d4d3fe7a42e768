package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/version"
)

// tour plays the story of a shop with real listeners and files. Each step checks what it prints. The
// error names the step that failed.
func tour(ctx context.Context, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute) // ten seconds, and the time to compile a test
	defer cancel()
	docs, err := copyDocuments(window{start: time.Now().Add(time.Hour), duration: time.Hour, cutoff: time.Minute})
	if err != nil {
		return err
	}
	// A step shows only the lines of telemetry that belong to it.
	var telemetry bytes.Buffer
	out := newConsole(&telemetry)
	s, err := open(ctx, "127.0.0.1:0", "127.0.0.1:0", docs, out)
	if err != nil {
		return err
	}
	defer s.close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	g := &guide{shop: s, out: stdout, telemetry: &telemetry, client: &http.Client{Transport: transport}}
	g.say("The shop is open: %s\nIts documents are in %s", s.storeURL, docs.dir)

	for i, step := range []struct {
		name string
		play func(*guide, context.Context) error
	}{
		{"which build is running", (*guide).identity},
		{"the build may run", (*guide).policy},
		{"one trace across two services", (*guide).trace},
		{"a peer that is too old", (*guide).oldPeer},
		{"request ids of clients", (*guide).hostileID},
		{"a flag for a quarter of the users", (*guide).flag},
		{"why user 42 got the express checkout or not", (*guide).explain},
		{"a bug behind a flag", (*guide).bug},
		{"the failed request becomes a test", (*guide).replay},
		{"a flag is edited", (*guide).edit},
		{"an edit with a mistake", (*guide).wrongEdit},
		{"a maintenance window", (*guide).maintenance},
		{"what changed in the last hour", (*guide).changes},
		{"metrics", (*guide).numbers},
	} {
		g.say("\n%d. %s", i+1, strings.ToUpper(step.name[:1])+step.name[1:])
		if err := step.play(g, ctx); err != nil {
			printed := strings.Split(g.printed(), "\n")
			last := printed[max(0, len(printed)-60):]
			return fmt.Errorf("tour: step %d, %s: %w\n\nthe last lines of telemetry:\n%s", i+1, step.name, err, strings.Join(last, "\n"))
		}
	}
	g.say("\nAll steps passed.")
	return nil
}

// A guide plays the steps of the tour.
type guide struct {
	*shop
	out       io.Writer
	telemetry *bytes.Buffer // guarded by the console
	client    *http.Client
}

func (g *guide) say(format string, args ...any) { fmt.Fprintf(g.out, format+"\n", args...) }

// printed returns the telemetry so far.
func (g *guide) printed() string {
	g.console.mu.Lock()
	defer g.console.mu.Unlock()
	return g.telemetry.String()
}

// show prints the first lines of telemetry that contain a text.
func (g *guide) show(holds string, most int) {
	for line := range strings.Lines(g.printed()) {
		if strings.Contains(line, holds) && most > 0 {
			g.say("   | %s", strings.TrimRight(line, "\n"))
			most--
		}
	}
}

// An answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
}

func (g *guide) ask(ctx context.Context, method, url string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// buy buys one item.
func (g *guide) buy(ctx context.Context, user, item, more string) (answer, receipt, error) {
	a, err := g.ask(ctx, http.MethodPost, g.storeURL+"/checkout?user="+user+"&item="+item+more)
	if err != nil {
		return a, receipt{}, err
	}
	var r receipt
	if a.status == http.StatusOK {
		err = json.Unmarshal([]byte(a.body), &r)
	}
	return a, r, err
}

// until waits until a condition is true.
func until(ctx context.Context, within time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s, within %v: %w", what, within, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// check returns an error unless ok is true.
func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func (g *guide) identity(ctx context.Context) error {
	a, err := g.ask(ctx, http.MethodGet, g.adminURL+"/version")
	if err != nil {
		return err
	}
	info, err := version.Parse("/version", []byte(a.body))
	if err != nil {
		return err
	}
	g.say("   %s", info)
	g.say("   It is built from %d modules. Its flags are revision %s, its windows revision %s.", len(info.Deps), g.flags.Revision(), g.guard.Revision())
	return errors.Join(
		check(info.Name == "storefront", "the name is %q", info.Name),
		check(info.Kind != version.KindDevel && info.Kind != version.KindUnknown, "the version is %q", info.Version),
		check(len(info.Deps) > 0, "the modules are missing"),
		check(strings.Contains(a.body, g.flags.Revision()), "the revision of the flags is missing in %s", a.body),
		check(version.Diff(info, g.info).Empty(), "the answer differs from the build: %s", version.Diff(info, g.info)),
		check(strings.Contains(g.printed(), "msg=starting build.name=storefront"), "the log at start lacks the build"),
	)
}

func (g *guide) policy(ctx context.Context) error {
	if err := check(strings.Contains(g.printed(), "packages are within the policy"), "the shop violates its own policy"); err != nil {
		return err
	}
	g.show("packages are within the policy", 1)
	strict, err := pkgmgmt.ParsePolicy("strict.yaml", []byte(`rules: [{module: github.com/fsnotify/..., require: ">=99", reason: to see one}]`))
	if err != nil {
		return err
	}
	violations := strict.Check(g.info.BuildInfo())
	if err := check(len(violations) == 1 && violations[0].Fix != "", "the stricter policy returns %v", violations); err != nil {
		return err
	}
	g.say("   A stricter policy refuses it: %s", violations[0])
	a, err := g.ask(ctx, http.MethodGet, g.adminURL+"/sbom")
	if err != nil {
		return err
	}
	var bill struct {
		SpecVersion string
		Metadata    struct{ Component struct{ Name, PURL string } }
		Components  []struct{ PURL string }
	}
	if err := json.Unmarshal([]byte(a.body), &bill); err != nil {
		return fmt.Errorf("the bill of materials: %w", err)
	}
	g.say("   Its bill of materials is CycloneDX %s: %s with %d components.", bill.SpecVersion, bill.Metadata.Component.PURL, len(bill.Components))
	return errors.Join(
		check(bill.Metadata.Component.Name == "storefront", "the bill of materials is for %q", bill.Metadata.Component.Name),
		check(len(bill.Components) == len(g.info.Deps)+1, "the bill of materials has %d components for %d modules and the standard library", len(bill.Components), len(g.info.Deps)),
	)
}

func (g *guide) trace(ctx context.Context) error {
	a, err := g.ask(ctx, http.MethodGet, g.storeURL+"/catalogue")
	if err != nil {
		return err
	}
	parts := strings.Split(a.header.Get("traceresponse"), "-")
	if err := check(a.status == http.StatusOK && len(parts) == 4, "got %d with traceresponse %q", a.status, a.header.Get("traceresponse")); err != nil {
		return err
	}
	id, err := trace.TraceIDFromHex(parts[1])
	if err != nil {
		return err
	}
	both := []string{"prices", "storefront"}
	if err := until(ctx, 2*time.Second, "one trace with both services", func() bool { return slices.Equal(g.console.services(id), both) }); err != nil {
		return err
	}
	_, after, _ := strings.Cut(g.printed(), "trace "+parts[1]+"\n")
	for i, line := range strings.SplitN(after, "\n", 4) {
		if i < 3 {
			g.say("   | %s", line)
		}
	}
	return check(a.header.Get("X-Service-Version") != "", "the response lacks the version")
}

func (g *guide) oldPeer(ctx context.Context) error {
	a, err := g.ask(ctx, http.MethodGet, g.pricesURL+"/prices", "User-Agent", "storefront/v0.0.1")
	if err != nil {
		return err
	}
	g.say("   A storefront v0.0.1 asks for prices and gets status %d:", a.status)
	g.say("   %s", strings.TrimSpace(a.body))
	return errors.Join(
		check(a.status == http.StatusBadRequest, "the old peer got %d", a.status),
		check(strings.Contains(a.body, `"required":">=0.0.2"`), "the response lacks the required version: %s", a.body),
	)
}

func (g *guide) hostileID(ctx context.Context) error {
	hostile := strings.Repeat("x", 500) + ` "level=ERROR`
	replaced, err := g.ask(ctx, http.MethodGet, g.storeURL+"/catalogue", "X-Request-Id", hostile)
	if err != nil {
		return err
	}
	kept, err := g.ask(ctx, http.MethodGet, g.storeURL+"/catalogue", "X-Request-Id", "ticket-4711")
	if err != nil {
		return err
	}
	g.say("   A client sends 500 letters with a quotation mark as its request id. The shop uses a new one: %s", replaced.header.Get("X-Request-Id"))
	g.say("   A client sends a short request id. The shop keeps it: %s", kept.header.Get("X-Request-Id"))
	id := replaced.header.Get("X-Request-Id")
	return errors.Join(
		check(regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`).MatchString(id), "the id in the response is %q", id),
		check(kept.header.Get("X-Request-Id") == "ticket-4711", "a well-formed id became %q", kept.header.Get("X-Request-Id")),
		check(!strings.Contains(g.printed(), "level=ERROR\""), "the hostile id is in the log"),
	)
}

func (g *guide) flag(ctx context.Context) error {
	const users = 400
	express := 0
	for i := range users {
		user := "user-" + strconv.Itoa(i)
		a, r, err := g.buy(ctx, user, "tea", "")
		if err == nil {
			err = check(a.status == http.StatusOK && r.User == user, "%s got %d: %s", user, a.status, a.body)
		}
		if err != nil {
			return err
		}
		if r.Path == "express" {
			express++
		}
	}
	g.say("   %[2]d of %[1]d users get the express checkout.", users, express)
	_, staff, err := g.buy(ctx, "ada", "tea", "&email=ada@shop.example")
	if err != nil {
		return err
	}
	g.show("event feature_flag.evaluation", 1)
	return errors.Join(
		check(users*15/100 < express && express < users*35/100, "%d of %d is not a quarter", express, users),
		check(staff.Path == "express", "staff got the %s checkout", staff.Path),
		check(g.console.eventCount("feature_flag.evaluation") > users, "only %d evaluations were recorded", g.console.eventCount("feature_flag.evaluation")),
	)
}

// explain compares the explanation with the checkout that user 42 gets.
func (g *guide) explain(ctx context.Context) error {
	a, err := g.ask(ctx, http.MethodGet, g.adminURL+"/explain?flag=express-checkout&user=42")
	if err != nil {
		return err
	}
	for line := range strings.Lines(a.body) {
		g.say("   %s", strings.TrimRight(line, "\n"))
	}
	_, sold, err := g.buy(ctx, "42", "tea", "")
	if err != nil {
		return err
	}
	path := map[bool]string{true: "express", false: "standard"}[strings.Contains(a.body, `the rule gives "on"`)]
	return errors.Join(
		check(sold.Path == path, "the explanation says %s, and user 42 got %s", path, sold.Path),
		check(strings.Contains(a.body, "bucket"), "the explanation lacks the bucket: %s", a.body),
	)
}

// bug turns the flag on for all users and buys an item that the express checkout cannot ship.
func (g *guide) bug(ctx context.Context) error {
	user := ""
	for i := range 50 {
		_, r, err := g.buy(ctx, fmt.Sprintf("grace-%d", i), "tea", "")
		if err != nil {
			return err
		}
		if r.Path == "standard" {
			user = r.User
			break
		}
	}
	if err := check(user != "", "all users get the express checkout"); err != nil {
		return err
	}
	if a, _, err := g.buy(ctx, user, "gift-card", ""); err != nil || a.status != http.StatusOK {
		return fmt.Errorf("%s cannot buy a gift card: %d, %w", user, a.status, err)
	}
	g.say("   %s buys a gift card, which works. Then an edit turns the flag on for all users.", user)
	if err := g.docs.replace("flags.yaml", `["on", 25], ["off", 75]`, `["on", 100], ["off", 0]`); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Second, "the flag is on for all", func() bool {
		_, r, err := g.buy(ctx, user, "tea", "")
		return err == nil && r.Path == "express"
	}); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Second, "the edit is in the history", func() bool {
		changes, err := g.past.lastHour(ctx)
		return err == nil && strings.Contains(changes.String(), "flag express-checkout")
	}); err != nil {
		return err
	}
	a, _, err := g.buy(ctx, user, "gift-card", "")
	if err != nil {
		return err
	}
	id := a.header.Get("X-Request-Id")
	if err := errors.Join(
		check(a.status == http.StatusInternalServerError, "the bug returns %d", a.status),
		check(a.header.Get("Content-Type") == "application/problem+json", "the content type is %s", a.header.Get("Content-Type")),
		check(strings.Contains(a.body, id), "the response lacks the request id: %s", a.body),
		check(!strings.Contains(a.body, "divide"), "the response shows the panic: %s", a.body),
	); err != nil {
		return err
	}
	g.say("   The customer gets: %s", strings.TrimSpace(a.body))
	var record string
	if err := until(ctx, time.Second, "the log record of the failed request", func() bool {
		for line := range strings.Lines(g.printed()) {
			if strings.Contains(line, "request failed") && strings.Contains(line, id) {
				record = line
			}
		}
		return record != ""
	}); err != nil {
		return err
	}
	before, _, found := strings.Cut(record, " stack=")
	g.say("   The log has the id, the flag and the bundle of the request, and at the end the stack:")
	g.say("   | %s stack=…", before)
	return errors.Join(
		check(found && strings.Contains(before, "request_id="+id), "the request id is missing, or after the stack: %s", record),
		check(strings.Contains(record, "divide by zero"), "the record lacks the error: %s", record),
		check(strings.Contains(record, "expressShipping"), "the record lacks the place: %s", record),
		check(strings.Contains(record, "express-checkout"), "the record lacks the flag: %s", record),
	)
}

var bundleName = regexp.MustCompile(`capture=(\S+\.har)`)

// replay runs the failed request as a test, with the value that its flag had.
func (g *guide) replay(ctx context.Context) error {
	name := bundleName.FindStringSubmatch(g.printed())
	if name == nil {
		return errors.New("the failure record lacks the bundle")
	}
	bundle := filepath.Join(g.docs.path("captures"), name[1])
	if err := until(ctx, 5*time.Second, "the bundle is written", func() bool {
		_, err := os.Stat(bundle)
		return err == nil
	}); err != nil {
		return err
	}
	text, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	if err := check(!bytes.Contains(text, []byte("grace")), "the bundle contains the user"); err != nil {
		return err
	}
	const pkg = "github.com/upkeep-go/upkeep/examples/shop"
	g.say("   SHOP_BUNDLE=%s go test -run TestBundle %s", bundle, pkg)
	if err := exec.CommandContext(ctx, "go", "list", pkg).Run(); err != nil {
		g.say("   Run it yourself: from this folder the go command does not find the shop's source.")
		return nil
	}
	test := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestBundle$", pkg)
	test.Env = append(os.Environ(), "SHOP_BUNDLE="+bundle)
	output, err := test.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, "fails as it did then") || strings.Contains(line, "FAIL: TestBundle") {
			g.say("   | %s", strings.TrimSpace(line))
		}
	}
	return errors.Join(
		check(err != nil, "the request does not fail in the test: %s", output),
		check(bytes.Contains(output, []byte("fails as it did then")) && bytes.Contains(output, []byte("integer divide by zero")), "the request fails differently in the test: %s", output),
	)
}

// edit turns the flag off in the file and buys the gift card.
func (g *guide) edit(ctx context.Context) error {
	began := time.Now()
	if err := g.docs.replace("flags.yaml", "state: ENABLED", "state: DISABLED"); err != nil {
		return err
	}
	var last answer
	if err := until(ctx, time.Second, "the edit takes effect", func() bool {
		a, r, err := g.buy(ctx, "ada", "tea", "&email=ada@shop.example")
		last = a
		return err == nil && r.Path == "standard"
	}); err != nil {
		return fmt.Errorf("%w; the last answer was %d: %s", err, last.status, last.body)
	}
	g.say("   express-checkout is off for all users %d ms after the file was written.", time.Since(began).Milliseconds())
	a, r, err := g.buy(ctx, "ada", "gift-card", "&email=ada@shop.example")
	if err != nil {
		return err
	}
	g.say("   The gift card is sold: %s", strings.TrimSpace(a.body))
	return check(r.Path == "standard", "the gift card returns %d: %s", a.status, a.body)
}

func (g *guide) wrongEdit(ctx context.Context) error {
	before := g.flags.Revision()
	good, err := g.docs.read("flags.yaml")
	if err != nil {
		return err
	}
	if err := g.docs.write("flags.yaml", []byte("flags:\n  express-checkout: {state: ENABLED}\n  express-checkout: {}\n")); err != nil {
		return err
	}
	if err := until(ctx, time.Second, "the mistake is logged with its place", func() bool {
		return strings.Contains(g.printed(), "flags.yaml:3:3: ")
	}); err != nil {
		return err
	}
	g.show("flags.yaml:3:3: ", 1)
	g.say("   The flags stay as they were.")
	if err := check(g.flags.Revision() == before, "the revision of the flags has changed"); err != nil {
		return err
	}
	if _, r, err := g.buy(ctx, "ada", "gift-card", ""); err != nil || r.Path != "standard" {
		return fmt.Errorf("after the mistake a checkout returns %v, %w", r, err)
	}
	return g.docs.write("flags.yaml", good)
}

// maintenance closes the checkout while a customer pays.
func (g *guide) maintenance(ctx context.Context) error {
	w := window{start: time.Now().Add(1500 * time.Millisecond), duration: time.Minute, cutoff: time.Second}
	if err := g.docs.writeWindow(w); err != nil {
		return err
	}
	type sale struct {
		answer
		receipt
		err error
	}
	slow := make(chan sale, 1)
	var paying sync.WaitGroup
	paying.Go(func() {
		a, r, err := g.buy(ctx, "mary", "coffee", "&slow=4s")
		slow <- sale{a, r, err}
	})
	defer paying.Wait()
	g.say("   A window closes /checkout in 1.5 s. Mary is paying, which takes 4 s.")

	var refused answer
	if err := until(ctx, 5*time.Second, "the window begins", func() bool {
		a, _, err := g.buy(ctx, "late", "tea", "")
		refused = a
		return err == nil && a.status == http.StatusServiceUnavailable
	}); err != nil {
		return err
	}
	early := time.Until(w.start)
	report, err := g.guard.Report("till-upgrade")
	if err != nil {
		return err
	}
	g.say("   A later customer is refused: %s", strings.TrimSpace(refused.body))
	g.say("   The guard reports: %s", report)
	catalogue, err := g.ask(ctx, http.MethodGet, g.storeURL+"/catalogue")
	if err != nil {
		return err
	}
	status, err := g.ask(ctx, http.MethodGet, g.adminURL+"/maintenance/")
	if err != nil {
		return err
	}
	seconds, notANumber := strconv.Atoi(refused.header.Get("Retry-After"))
	_, enterErr := g.guard.Enter(ctx, downtime.Work{Name: "settle"})
	if err := errors.Join(
		check(early <= 0, "the window began %v early", early),
		check(notANumber == nil && seconds > 50 && seconds <= 65, "Retry-After is %q", refused.header.Get("Retry-After")),
		check(refused.header.Get("Cache-Control") == "no-store", "Cache-Control is %q", refused.header.Get("Cache-Control")),
		check(!report.Quiet && report.Busy == 1, "while Mary pays, the report is %+v", report),
		check(errors.Is(enterErr, downtime.ErrWindow), "the job is admitted: %v", enterErr),
		check(catalogue.status == http.StatusOK, "the catalogue returns %d", catalogue.status),
		check(strings.Contains(status.body, "draining"), "the page for operators is %s", status.body),
	); err != nil {
		return err
	}
	report, err = g.guard.Drain(ctx, "till-upgrade")
	if err != nil {
		return err
	}
	mary := <-slow
	if err := errors.Join(
		mary.err,
		check(report.Quiet && report.Busy == 0, "after the drain the report is %+v", report),
		check(mary.status == http.StatusOK && mary.Cents > 0, "Mary got %d: %s", mary.status, mary.body),
	); err != nil {
		return err
	}
	g.say("   After Drain: %s. Mary's order is complete: %s", report, strings.TrimSpace(mary.body))

	w.end = time.Now()
	if err := g.docs.writeWindow(w); err != nil {
		return err
	}
	if err := until(ctx, time.Second, "the document ends the window", func() bool {
		a, _, err := g.buy(ctx, "late", "tea", "")
		return err == nil && a.status == http.StatusOK
	}); err != nil {
		return err
	}
	g.say("   The upgrade is done, and an edit of the file ends the window. The later customer can pay.")
	return g.settle(ctx)
}

// changes prints the timeline, which a post-mortem starts with.
func (g *guide) changes(ctx context.Context) error {
	a, err := g.ask(ctx, http.MethodGet, g.adminURL+"/changes")
	if err != nil {
		return err
	}
	for line := range strings.Lines(a.body) {
		g.say("   %s", strings.TrimRight(line, "\n"))
	}
	edit, failure := strings.Index(a.body, "flag express-checkout"), strings.Index(a.body, "failure")
	return errors.Join(
		check(strings.Contains(a.body, "storefront"), "the start is missing: %s", a.body),
		check(edit >= 0 && failure > edit, "the edit is missing, or after the failure: %s", a.body),
		check(strings.Contains(a.body, "requests from before it are still running"), "the window is missing: %s", a.body),
	)
}

func (g *guide) numbers(ctx context.Context) error {
	all := g.console.durations(ctx)
	for _, line := range all {
		g.say("   %-10s %-28s %4d × %-9v %s", line.service, line.metric, line.count, line.mean.Round(10*time.Microsecond), line.labels)
	}
	has := func(labels string) bool {
		return slices.ContainsFunc(all, func(l series) bool { return strings.HasPrefix(l.labels, labels) })
	}
	stats := g.guard.Stats()
	slog.New(slog.NewTextHandler(g.console, nil)).Info("stats", "downtime", stats, "flags", g.flags.Stats(), "observe", g.obs.Stats())
	return errors.Join(
		check(has("POST /checkout 200"), "the sales are missing: %v", all),
		check(has("POST /checkout 500"), "the failed request is missing: %v", all),
		check(has("POST 503") || has("POST /checkout 503"), "the refused requests are missing: %v", all),
		check(stats["refused"] >= 2, "the guard counted %v refusals", stats["refused"]),
		check(g.console.gauge(ctx, "storefront", "downtime.refused") == stats["refused"], "the metric of refusals differs"),
		check(g.obs.Stats()["panics"] == 1, "observe counted %v panics", g.obs.Stats()["panics"]),
	)
}
