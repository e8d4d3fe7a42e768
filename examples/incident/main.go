// Incident plays a failure from production to a test that passes. A service has a bug behind a
// flag that is on for 5 % of its customers. The request of one of them fails, and package observe
// writes its bundle. go test replays the bundle, and the request fails in the same way. With the
// bug fixed it passes. The verdicts are reproduced and fixed; the second one counts because the
// first one was stored beside the bundle.
//
//	go run ./examples/incident
//
// By hand, in the root of the repository:
//
//	go run ./examples/incident -captures captures     some traffic; names the bundle
//	export INCIDENT_BUNDLE=$PWD/captures/….har
//	go test -run TestIncident ./examples/incident
//	go test -run TestIncident -tags fixed ./examples/incident
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
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/observe/replay"
)

// customers is the number of customers. Each sends an order.
const customers = 200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "incident:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("incident", flag.ContinueOnError)
	set.SetOutput(stderr)
	captures := set.String("captures", "", "only send the traffic, and keep the bundles in this `folder`")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("takes no arguments, got %q", set.Args())
	}
	if *captures == "" {
		return story(ctx, stdout)
	}
	a, err := produce(ctx, *captures, customers)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(a.bundle)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d orders were served and %d failed. The first of those is kept; replay it with\n\n"+
		"\tINCIDENT_BUNDLE=%s go test -run TestIncident ./examples/incident\n", a.served, a.failed, path)
	return nil
}

// story plays the incident. Its error says which step failed.
func story(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "upkeep-incident-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	say("1. In production")
	a, err := produce(ctx, filepath.Join(folder, "captures"), customers)
	if err != nil {
		return err
	}
	say("   Of %d orders %d failed: express shipping is on for 5 %% of the customers.", customers, a.failed)
	if a.failed == 0 || a.failed > customers/20 || a.bundle == "" {
		return fmt.Errorf("%d of %d orders failed, and the bundle of the first is %q", a.failed, customers, a.bundle)
	}
	record, err := recordOf(a)
	if err != nil {
		return err
	}
	say("   The customer's answer and the log have the same id, and the record names the bundle:\n\n%s", indent(record))

	say("2. The bundle")
	bundle, err := os.ReadFile(a.bundle)
	if err != nil {
		return err
	}
	if bytes.Contains(bundle, []byte(a.mail)) {
		return errors.New("the customer's address is in the bundle")
	}
	c, err := replay.Load(a.bundle)
	if err != nil {
		return err
	}
	d, sent := &c.Bundle.Log.Details, &c.Bundle.Log.Entries[0].Request
	say("   It has the request, %s, with a pseudonym for the customer and for %s:\n\n%s", sent.URL, a.mail, indent(sent.PostData.Text))
	say("   It has %d outbound call, %d flag (%s is %s), %d value, and %d log records that were too verbose to write.",
		len(c.Bundle.Log.Entries)-1, len(d.Flags), d.Flags[0].Key, d.Flags[0].Variant, len(d.Values), len(d.Logs))

	say("\n3. On the desk it becomes a test")
	saved := filepath.Join(folder, "testdata", "incident.har")
	source, err := replay.Save(a.bundle, saved)
	if err != nil {
		return err
	}
	say("\n%s", indent(source))

	say("4. The test fails, as the request did")
	said, err := goTest(ctx, saved)
	if err == nil {
		return fmt.Errorf("the test passes, and the bug is there:\n%s", said)
	}
	if !strings.Contains(said, "verdict: reproduced") || !strings.Contains(said, "fails as it did then: status 500, panic: runtime error: integer divide by zero") || !strings.Contains(said, "expressShipping") {
		return fmt.Errorf("the test does not fail as the request did:\n%s", said)
	}
	say("\n%s", indent(said))

	say("5. With the bug fixed it passes")
	said, err = goTest(ctx, saved, "-tags", "fixed", "-v")
	if err != nil {
		return fmt.Errorf("the test fails with the bug fixed: %w\n%s", err, said)
	}
	if !strings.Contains(said, "does not fail any more") || !strings.Contains(said, "verdict: fixed") {
		return fmt.Errorf("the test does not say that the request is served now:\n%s", said)
	}
	say("\n%s", indent(said))
	say("The incident is over.")
	return nil
}

// recordOf returns the log record of the request.
func recordOf(a account) (string, error) {
	for line := range strings.Lines(a.log) {
		if strings.Contains(line, a.requestID) && strings.Contains(line, "request failed") {
			if !strings.Contains(line, filepath.Base(a.bundle)) || !strings.Contains(line, "expressShipping") {
				return "", fmt.Errorf("the record names neither the bundle nor the place: %s", line)
			}
			record, _, _ := strings.Cut(line, `,"stack"`)
			return record + ",…}", nil
		}
	}
	return "", fmt.Errorf("there is no record of request %s in:\n%s", a.requestID, a.log)
}

// goTest runs the test of this folder in a new process, as a developer does.
func goTest(ctx context.Context, bundle string, args ...string) (string, error) {
	args = append([]string{"test", "-count=1", "-run", "^TestIncident$"}, args...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/upkeep-go/upkeep/examples/incident")...)
	cmd.Env = append(os.Environ(), "INCIDENT_BUNDLE="+bundle)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func indent(s string) string {
	return "\t" + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n\t") + "\n"
}
