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

// tour plays the story of a shop on its real listeners and files. Each step checks
// what it says; the error names the step that did not hold.
func tour(ctx context.Context, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute) // ten seconds, and what compiling a test takes
	defer cancel()
	docs, err := copyDocuments(window{start: time.Now().Add(time.Hour), duration: time.Hour, cutoff: time.Minute})
	if err != nil {
		return err
	}
	// The steps speak; of the telemetry the tour shows what a step is about.
	var telemetry bytes.Buffer
	out := newConsole(&telemetry)
	s, err := open(ctx, "127.0.0.1:0", docs, out)
	if err != nil {
		return err
	}
	defer s.close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	g := &guide{shop: s, out: stdout, telemetry: &telemetry, client: &http.Client{Transport: transport}}
	g.say("The shop is open at %s, its documents are in %s.", s.storeURL, docs.dir)

	for i, step := range []struct {
		name string
		play func(*guide, context.Context) error
	}{
		{"what exactly is running", (*guide).identity},
		{"may this build run", (*guide).policy},
		{"one trace across two services", (*guide).trace},
		{"a peer that is too old", (*guide).oldPeer},
		{"ids that clients choose", (*guide).hostileID},
		{"a flag for a quarter of the users", (*guide).flag},
		{"why did user 42 get this", (*guide).explain},
		{"a bug behind a flag", (*guide).bug},
		{"the same failure on a desk", (*guide).replay},
		{"a flag is edited", (*guide).edit},
		{"a flag is edited wrongly", (*guide).wrongEdit},
		{"a maintenance window", (*guide).maintenance},
		{"what changed in the last hour", (*guide).changes},
		{"what the numbers say", (*guide).numbers},
	} {
		g.say("\n%d. %s", i+1, strings.ToUpper(step.name[:1])+step.name[1:])
		if err := step.play(g, ctx); err != nil {
			printed := strings.Split(g.printed(), "\n")
			last := printed[max(0, len(printed)-60):]
			return fmt.Errorf("tour: step %d, %s: %w\n\nthe last that the shop printed:\n%s", i+1, step.name, err, strings.Join(last, "\n"))
		}
	}
	g.say("\nAll steps did what they say.")
	return nil
}

// A guide leads the tour.
type guide struct {
	*shop
	out       io.Writer
	telemetry *bytes.Buffer // guarded by the console
	client    *http.Client
}

func (g *guide) say(format string, args ...any) { fmt.Fprintf(g.out, format+"\n", args...) }

// printed is what the shop has printed so far.
func (g *guide) printed() string {
	g.console.mu.Lock()
	defer g.console.mu.Unlock()
	return g.telemetry.String()
}

// show says the lines that the shop has printed and that hold a text, at most some.
func (g *guide) show(holds string, most int) {
	for line := range strings.Lines(g.printed()) {
		if strings.Contains(line, holds) && most > 0 {
			g.say("   | %s", strings.TrimRight(line, "\n"))
			most--
		}
	}
}

// An answer is a response, read.
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

// buy checks one item out.
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

// until waits for a thing to come true.
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

// check is an error that says what was found.
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
	g.say("   %d modules; flags %s, windows %s", len(info.Deps), g.flags.Revision(), g.guard.Revision())
	return errors.Join(
		check(info.Name == "storefront", "the name is %q", info.Name),
		check(len(info.Deps) > 0, "no modules are told"),
		check(strings.Contains(a.body, g.flags.Revision()), "the revision of the flags is missing in %s", a.body),
		check(version.Diff(info, g.info).Empty(), "the answer differs from the build: %s", version.Diff(info, g.info)),
		check(strings.Contains(g.printed(), "msg=starting build.name=storefront"), "the start-up log does not say what is running"),
	)
}

func (g *guide) policy(ctx context.Context) error {
	if err := check(strings.Contains(g.printed(), "packages are within the policy"), "the shop's own policy is violated"); err != nil {
		return err
	}
	g.show("packages are within the policy", 1)
	strict, err := pkgmgmt.ParsePolicy("strict.yaml", []byte(`rules: [{module: github.com/fsnotify/..., require: ">=99", reason: to see one}]`))
	if err != nil {
		return err
	}
	violations := strict.Check(g.info.BuildInfo())
	if err := check(len(violations) == 1 && violations[0].Fix != "", "a policy that the build violates gives %v", violations); err != nil {
		return err
	}
	g.say("   with a stricter one: %s", violations[0])
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
	g.say("   its bill of materials, CycloneDX %s: %s with %d components", bill.SpecVersion, bill.Metadata.Component.PURL, len(bill.Components))
	return errors.Join(
		check(bill.Metadata.Component.Name == "storefront", "the bill is of %q", bill.Metadata.Component.Name),
		check(len(bill.Components) == len(g.info.Deps)+1, "the bill has %d components, for %d modules and the standard library", len(bill.Components), len(g.info.Deps)),
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
	return check(a.header.Get("X-Service-Version") != "", "the answer does not say the version")
}

func (g *guide) oldPeer(ctx context.Context) error {
	a, err := g.ask(ctx, http.MethodGet, g.pricesURL+"/prices", "User-Agent", "storefront/v0.0.1")
	if err != nil {
		return err
	}
	g.say("   a storefront v0.0.1 asks for prices: %d", a.status)
	g.say("   %s", strings.TrimSpace(a.body))
	return errors.Join(
		check(a.status == http.StatusBadRequest, "the old peer got %d", a.status),
		check(strings.Contains(a.body, `"required":">=0.0.2"`), "the answer does not say what is needed: %s", a.body),
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
	g.say("   500 letters and a quote become %s; ticket-4711 stays %s", replaced.header.Get("X-Request-Id"), kept.header.Get("X-Request-Id"))
	id := replaced.header.Get("X-Request-Id")
	return errors.Join(
		check(regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`).MatchString(id), "the id of the answer is %q", id),
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
	g.say("   of %d users %d have the express checkout", users, express)
	_, staff, err := g.buy(ctx, "ada", "tea", "&email=ada@shop.example")
	if err != nil {
		return err
	}
	g.show("event feature_flag.evaluation", 1)
	return errors.Join(
		check(users*15/100 < express && express < users*35/100, "%d of %d is no quarter", express, users),
		check(staff.Path == "express", "staff got the %s checkout", staff.Path),
		check(g.console.eventCount("feature_flag.evaluation") > users, "only %d evaluations were told", g.console.eventCount("feature_flag.evaluation")),
	)
}

// explain asks on the admin listener, and holds the answer against what user 42 gets.
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
		check(strings.Contains(a.body, "bucket"), "the explanation does not tell the bucket: %s", a.body),
	)
}

// bug rolls the flag out to all, and buys what the express checkout cannot send.
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
	if err := check(user != "", "nobody has the standard checkout"); err != nil {
		return err
	}
	if a, _, err := g.buy(ctx, user, "gift-card", ""); err != nil || a.status != http.StatusOK {
		return fmt.Errorf("%s cannot buy a gift card: %d, %w", user, a.status, err)
	}
	g.say("   %s buys a gift card; then somebody edits the flag, from a quarter of the users to all", user)
	if err := g.docs.replace("flags.yaml", `["on", 25], ["off", 75]`, `["on", 100], ["off", 0]`); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Second, "the flag is on for all", func() bool {
		_, r, err := g.buy(ctx, user, "tea", "")
		return err == nil && r.Path == "express"
	}); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Second, "the edit is noted", func() bool {
		noted, err := g.past.lastHour(ctx)
		return err == nil && strings.Contains(noted.String(), "flag express-checkout")
	}); err != nil {
		return err
	}
	a, _, err := g.buy(ctx, user, "gift-card", "")
	if err != nil {
		return err
	}
	id := a.header.Get("X-Request-Id")
	if err := errors.Join(
		check(a.status == http.StatusInternalServerError, "the bug gives %d", a.status),
		check(a.header.Get("Content-Type") == "application/problem+json", "the answer is %s", a.header.Get("Content-Type")),
		check(strings.Contains(a.body, id), "the answer does not show the request id: %s", a.body),
		check(!strings.Contains(a.body, "divide"), "the answer tells of the panic: %s", a.body),
	); err != nil {
		return err
	}
	g.say("   the customer sees: %s", strings.TrimSpace(a.body))
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
	g.say("   | %.300s…", record)
	return errors.Join(
		check(strings.Contains(record, "divide by zero"), "the record does not say why: %s", record),
		check(strings.Contains(record, "expressShipping"), "the record does not say where: %s", record),
		check(strings.Contains(record, "express-checkout"), "the record does not say which flag it saw: %s", record),
	)
}

var bundleName = regexp.MustCompile(`capture=(\S+\.har)`)

// replay runs the request that failed as a test, with the flag as it was then.
func (g *guide) replay(ctx context.Context) error {
	name := bundleName.FindStringSubmatch(g.printed())
	if name == nil {
		return errors.New("the record of the failure names no bundle")
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
	if err := check(!bytes.Contains(text, []byte("grace")), "the bundle says whose the request was"); err != nil {
		return err
	}
	const pkg = "github.com/upkeep-go/upkeep/examples/shop"
	g.say("   SHOP_BUNDLE=%s go test -run TestBundle %s", bundle, pkg)
	if err := exec.CommandContext(ctx, "go", "list", pkg).Run(); err != nil {
		g.say("   is left to you: the go command does not find the shop's source from here")
		return nil
	}
	test := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestBundle$", pkg)
	test.Env = append(os.Environ(), "SHOP_BUNDLE="+bundle)
	said, err := test.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for line := range strings.Lines(string(said)) {
		if strings.Contains(line, "fails as it did then") || strings.Contains(line, "FAIL: TestBundle") {
			g.say("   | %s", strings.TrimSpace(line))
		}
	}
	return errors.Join(
		check(err != nil, "on the desk the request does not fail: %s", said),
		check(bytes.Contains(said, []byte("fails as it did then")) && bytes.Contains(said, []byte("integer divide by zero")), "on the desk it fails in another way: %s", said),
	)
}

// edit turns the flag off, in the file, and buys the gift card.
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
	g.say("   express-checkout is off for all, %d ms after the file was written", time.Since(began).Milliseconds())
	a, r, err := g.buy(ctx, "ada", "gift-card", "&email=ada@shop.example")
	if err != nil {
		return err
	}
	g.say("   and the gift card is sold: %s", strings.TrimSpace(a.body))
	return check(r.Path == "standard", "the gift card gives %d: %s", a.status, a.body)
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
	if err := until(ctx, time.Second, "the mistake is told with its place", func() bool {
		return strings.Contains(g.printed(), "flags.yaml:3:3: ")
	}); err != nil {
		return err
	}
	g.show("flags.yaml:3:3: ", 1)
	if err := check(g.flags.Revision() == before, "the flags are of another revision"); err != nil {
		return err
	}
	if _, r, err := g.buy(ctx, "ada", "gift-card", ""); err != nil || r.Path != "standard" {
		return fmt.Errorf("with the mistake a checkout gives %v, %w", r, err)
	}
	return g.docs.write("flags.yaml", good)
}

// maintenance closes the checkout while somebody is paying.
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
	g.say("   a window closes /checkout in 1.5 s; Mary is paying, which takes 4 s")

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
	g.say("   late is refused: %s", strings.TrimSpace(refused.body))
	g.say("   %s", report)
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
		check(!report.Quiet && report.Busy == 1, "with Mary paying the report is %+v", report),
		check(errors.Is(enterErr, downtime.ErrWindow), "the job may begin: %v", enterErr),
		check(catalogue.status == http.StatusOK, "the catalogue gives %d", catalogue.status),
		check(strings.Contains(status.body, "draining"), "the operators are told %s", status.body),
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
	g.say("   drained: %s; Mary's order was not lost: %s", report, strings.TrimSpace(mary.body))

	w.end = time.Now()
	if err := g.docs.writeWindow(w); err != nil {
		return err
	}
	if err := until(ctx, time.Second, "the window is ended by the document", func() bool {
		a, _, err := g.buy(ctx, "late", "tea", "")
		return err == nil && a.status == http.StatusOK
	}); err != nil {
		return err
	}
	g.say("   the till is upgraded and the window ended in the file; late can pay")
	return g.settle(ctx)
}

// changes asks what the first page of a post-mortem is about.
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
		check(strings.Contains(a.body, "storefront"), "the start is not there: %s", a.body),
		check(edit >= 0 && failure > edit, "the edit is not there before the failure: %s", a.body),
		check(strings.Contains(a.body, "till-upgrade"), "the window is not there: %s", a.body),
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
		check(has("POST /checkout 200"), "no sale is counted: %v", all),
		check(has("POST /checkout 500"), "the bug is not counted: %v", all),
		check(has("POST 503") || has("POST /checkout 503"), "no refusal is counted: %v", all),
		check(stats["refused"] >= 2, "the guard counted %v refusals", stats["refused"]),
		check(g.console.gauge(ctx, "storefront", "downtime.refused") == stats["refused"], "the metric of refusals differs"),
		check(g.obs.Stats()["panics"] == 1, "observe counted %v panics", g.obs.Stats()["panics"]),
	)
}
