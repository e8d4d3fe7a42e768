// Registry shows the life of a shared module with the real go command. A team publishes the
// module. Two services are built from its stable channel. A version that breaks its API is refused
// and published as another major version. One service is upgraded. Faulty versions are blocked, and
// a corrected one is published. After each of these steps a table shows what the running services
// are built from. Then a release of a public module is held back because it is new, a tampered one
// is refused, and so is one with a known vulnerability.
//
//	go run ./examples/registry
//
// The example needs only Go. It uses a temporary folder and loopback. Each step checks its result.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

const (
	money   = "corp.example/money"
	moneyV2 = "corp.example/money/v2"
)

func main() {
	apicheck.Main() // the gate starts this program again to compare
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := play(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A stage has a registry, its client, and the services.
type stage struct {
	out      io.Writer
	dir      string
	url      string
	client   *registry.Client
	services map[string]*service
	public   *publicProxy
	vulns    atomic.Pointer[pkgmgmt.Vulns]
}

func (s *stage) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// play runs all steps. Its error names the step that failed.
func play(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // usually it takes half a minute
	defer cancel()
	dir, err := os.MkdirTemp("", "upkeep-registry")
	if err != nil {
		return err
	}
	s := &stage{out: out, dir: dir, services: map[string]*service{}}
	defer func() { err = errors.Join(err, s.remove()) }()

	gate, err := apicheck.Gate(nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	httpClient := &http.Client{Transport: transport}
	if s.public, err = newPublicProxy(filepath.Join(dir, "public")); err != nil {
		return err
	}
	publicURL, stop, err := serve(s.public)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	s.public.client = &registry.Client{URL: publicURL, HTTP: httpClient}
	reg, err := registry.New(registry.Dir(filepath.Join(dir, "modules")), &registry.Options{
		Private:  []string{"corp.example"},
		Upstream: s.public.upstream(publicURL, httpClient),
		Vulns:    func(path, version string) []pkgmgmt.Vuln { return s.vulns.Load().Find(path, version) },
		// Allow everything, because the registry is on loopback. Elsewhere use registry.Bearer.
		Authorize: func(*http.Request, registry.Action) (who string, err error) {
			return "team-money", nil
		},
		Gate:   gate,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	var stopRegistry func() error
	if s.url, stopRegistry, err = serve(reg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRegistry()) }()
	s.client = &registry.Client{URL: s.url, HTTP: httpClient}
	s.say("A registry for corp.example is open: GOPROXY=%s", s.url)

	for i, step := range []struct {
		name string
		play func(*stage, context.Context) error
	}{
		{"a shared module, and two services that use it", (*stage).begin},
		{"a version that breaks its API", (*stage).breakAPI},
		{"the same change under another major version", (*stage).bump},
		{"one service is upgraded", (*stage).upgrade},
		{"a version has a fault", (*stage).block},
		{"a public release of today", (*stage).coolDown},
		{"a tampered public module", (*stage).tamper},
		{"a known vulnerability", (*stage).warn},
	} {
		s.say("\n%d. %s", i+1, strings.ToUpper(step.name[:1])+step.name[1:])
		if err := step.play(s, ctx); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step.name, err)
		}
	}
	s.say("\nAll steps did what they say.")
	return nil
}

// serve serves a handler on loopback until stop is called.
func serve(h http.Handler) (url string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		server.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			return end
		}
		return nil
	}, nil
}

// remove stops the services and removes the folder. Module caches are read-only, so the go command
// removes them.
func (s *stage) remove() error {
	var errs []error
	for _, service := range s.services {
		errs = append(errs, service.stop())
	}
	if _, err := os.Stat(filepath.Join(s.dir, "modcache")); err == nil {
		_, err := s.goCommand(context.Background(), s.dir, "clean", "-modcache")
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// write writes the files of a module, by name.
func (s *stage) write(dir string, files map[string]string) error {
	for name, text := range files {
		name = filepath.Join(s.dir, dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes the folder of the shared module.
func (s *stage) publish(ctx context.Context, version string) error {
	published, err := s.client.Publish(ctx, filepath.Join(s.dir, "money"), version, nil)
	if err != nil {
		return err
	}
	s.say("   published %s@%s %s", published.Path, published.Version, published.Sum)
	if published.Judgement != nil {
		s.say("   the gate: %s, %s", published.Judgement.Verdict, published.Judgement.Reason)
	}
	return nil
}

func (s *stage) begin(ctx context.Context) error {
	err := s.write("money", map[string]string{
		"go.mod": "module " + money + "\n\ngo 1.26\n",
		"money.go": `// Package money formats amounts.
package money

import "fmt"

// Format writes an amount of cents.
func Format(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
`,
	})
	if err != nil {
		return err
	}
	if err := s.publish(ctx, "v1.0.0"); err != nil {
		return err
	}
	if err := s.client.SetChannel(ctx, module.Version{Path: money, Version: "v1.0.0"}, "stable", "the first one"); err != nil {
		return err
	}
	for _, name := range []string{"cart", "shop"} {
		if err := s.write(name, map[string]string{
			"go.mod":  "module corp.example/" + name + "\n\ngo 1.26\n",
			"main.go": serviceSource(money, "money.Format(1999)"),
		}); err != nil {
			return err
		}
		if err := s.get(ctx, name, money+"@stable"); err != nil {
			return err
		}
		if err := s.start(ctx, name); err != nil {
			return err
		}
	}
	return s.fleet(ctx, map[string]string{
		"cart": money + " v1.0.0 fine",
		"shop": money + " v1.0.0 fine",
	})
}

// The incompatible version: amounts have a currency.
const moneyWithCurrency = `// Package money formats amounts.
package money

import "fmt"

// Format writes an amount of cents in a currency.
func Format(cents int, currency string) string {
	return fmt.Sprintf("%d.%02d %s", cents/100, cents%100, currency)
}
`

func (s *stage) breakAPI(ctx context.Context) error {
	if err := s.write("money", map[string]string{"money.go": moneyWithCurrency}); err != nil {
		return err
	}
	err := s.publish(ctx, "v1.1.0")
	var refusal *registry.Refusal
	if !errors.As(err, &refusal) || refusal.Rule != "gate" || refusal.Verdict != registry.VerdictRefuse {
		return fmt.Errorf("the gate should have refused v1.1.0: %w", orNothing(err))
	}
	s.say("   %s", strings.ReplaceAll(refusal.Error(), "\n", "\n   "))
	if !strings.Contains(strings.Join(refusal.Details, "\n"), "Format") {
		return errors.New("the refusal does not name the function that was changed")
	}
	text, err := s.goCommand(ctx, filepath.Join(s.dir, "shop"), "list", "-m", "-versions", money)
	if err != nil {
		return err
	}
	s.say("   go list -m -versions: %s", text)
	if text != money+" v1.0.0" {
		return errors.New("a refused version must not be listed")
	}
	return nil
}

func (s *stage) bump(ctx context.Context) error {
	if err := s.write("money", map[string]string{"go.mod": "module " + moneyV2 + "\n\ngo 1.26\n"}); err != nil {
		return err
	}
	if err := s.publish(ctx, "v2.0.0"); err != nil {
		return err
	}
	if err := s.client.SetChannel(ctx, module.Version{Path: moneyV2, Version: "v2.0.0"}, "stable", "tested in the shop"); err != nil {
		return err
	}
	edited, err := s.client.Edit(ctx, money, registry.Deprecate("use "+moneyV2), nil)
	if err != nil {
		return err
	}
	s.say("   published %s@%s: only go.mod differs, which now deprecates the module", money, edited.Version)
	if err := s.client.SetChannel(ctx, module.Version{Path: money, Version: edited.Version}, "stable", "only go.mod differs"); err != nil {
		return err
	}
	return s.fleet(ctx, map[string]string{
		"cart": money + " v1.0.0 deprecated",
		"shop": money + " v1.0.0 deprecated",
	})
}

func (s *stage) upgrade(ctx context.Context) error {
	if err := s.write("shop", map[string]string{"main.go": serviceSource(moneyV2, `money.Format(1999, "EUR")`)}); err != nil {
		return err
	}
	if err := s.get(ctx, "shop", moneyV2+"@stable"); err != nil {
		return err
	}
	if _, err := s.goCommand(ctx, filepath.Join(s.dir, "shop"), "mod", "tidy"); err != nil {
		return err
	}
	if err := s.start(ctx, "shop"); err != nil {
		return err
	}
	return s.fleet(ctx, map[string]string{
		"cart": money + " v1.0.0 deprecated",
		"shop": moneyV2 + " v2.0.0 fine",
	})
}

// The first API again with a fix, for services that are not upgraded yet.
const moneyFixed = `// Package money formats amounts.
package money

import "fmt"

// Format writes an amount of cents.
func Format(cents int) string {
	if cents < 0 {
		return "-" + Format(-cents)
	}
	return fmt.Sprintf("%d.%02d", cents/100, cents%100)
}
`

func (s *stage) block(ctx context.Context) error {
	if err := s.write("money", map[string]string{
		"go.mod":   "// Deprecated: use " + moneyV2 + "\nmodule " + money + "\n\ngo 1.26\n",
		"money.go": moneyFixed,
	}); err != nil {
		return err
	}
	if err := s.publish(ctx, "v1.0.2"); err != nil {
		return err
	}
	if err := s.client.SetChannel(ctx, module.Version{Path: money, Version: "v1.0.2"}, "stable", "fixes MONEY-17"); err != nil {
		return err
	}
	for _, version := range []string{"v1.0.0", "v1.0.1"} {
		if err := s.client.Block(ctx, module.Version{Path: money, Version: version}, "negative amounts are wrong: MONEY-17"); err != nil {
			return err
		}
	}
	// A module cache keeps the version. A machine with an empty cache does not get it.
	if _, err := s.goCommand(ctx, s.dir, "clean", "-modcache"); err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "cart")
	text, err := s.goCommand(ctx, dir, "build", "-o", os.DevNull, ".")
	if err == nil || !strings.Contains(err.Error(), "is blocked: negative amounts are wrong: MONEY-17") {
		return fmt.Errorf("the go command should have printed the reason of the block: %s %w", text, orNothing(err))
	}
	s.say("   %s", strings.ReplaceAll(err.Error(), "\n", "\n   "))
	if err := s.get(ctx, "cart", money+"@stable"); err != nil {
		return err
	}
	if err := s.start(ctx, "cart"); err != nil {
		return err
	}
	return s.fleet(ctx, map[string]string{
		"cart": money + " v1.0.2 deprecated",
		"shop": moneyV2 + " v2.0.0 fine",
	})
}

// orNothing replaces a nil error in the report of a missing error.
func orNothing(err error) error {
	if err == nil {
		return errors.New("there was no error")
	}
	return err
}

// fleet collects the build information of the running services, prints the table, and compares it
// with the expected row of each service.
func (s *stage) fleet(ctx context.Context, want map[string]string) error {
	proxy, err := pkgmgmt.NewProxy(s.url, &pkgmgmt.ProxyOptions{HTTP: s.client.HTTP, Modules: []string{"corp.example/..."}})
	if err != nil {
		return err
	}
	var targets []pkgmgmt.Target
	for _, name := range []string{"cart", "shop"} {
		targets = append(targets, pkgmgmt.Target{Service: name, Environment: "production", URL: s.services[name].url})
	}
	fleet, err := pkgmgmt.NewFleet(targets, &pkgmgmt.FleetOptions{
		HTTP:        s.client.HTTP,
		Registry:    proxy,
		Credentials: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer "+token); return nil },
	})
	if err != nil {
		return err
	}
	report := fleet.Collect(ctx)
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		return err
	}
	s.say("\n   %s", strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(table.String()), "\n", "\n   "), "\n   \n", "\n\n"))
	for _, row := range report.Rows {
		if got := fmt.Sprintf("%s %s %s", row.Module, row.Version, row.Verdict); got != want[row.Service] {
			return fmt.Errorf("the fleet's table has %q for %s, want %q", got, row.Service, want[row.Service])
		}
		delete(want, row.Service)
	}
	if len(want) > 0 {
		return fmt.Errorf("the fleet's table lacks %v: %w", want, fs.ErrNotExist)
	}
	return nil
}
