// Command downtime checks and edits documents of maintenance windows, and operates the windows of
// running services:
//
//	downtime lint [-json] FILE…
//	downtime next [-json] [-zone ZONE] [-n N] FILE
//	downtime begin|complete|cancel [-json] FILE|URL ID
//	downtime extend [-json] FILE|URL ID UNTIL
//	downtime drain [-json] [-timeout DURATION] ID URL…
//	downtime token [-json] -key FILE -new
//	downtime token [-json] -key FILE -audience A -window ID -subject S [-for DURATION]
//
// Install it as a tool of a module with go get -tool github.com/upkeep-go/upkeep/downtime/cmd/downtime,
// and run it with go tool downtime.
//
// A FILE is a document of windows, YAML or JSON. begin, complete, cancel and extend change it at one
// place: comments and every other byte stay. A URL is the operators' page of a running service (see
// status.Handler), which edits the document of its service. UNTIL is a time in RFC 3339, or a
// duration after the present end: +30m.
//
// lint prints faults and warnings. next prints the next occurrences of all windows, 10 unless -n says
// otherwise, in the zone of each window or in ZONE.
//
// drain drains the window in each process, waits until all are quiet, and prints what is in the way.
// Give the URL of every replica. Zero for -timeout means that it waits without a limit.
//
// token -new makes a key: it writes a private key to FILE, which must not exist, and prints the
// public key for downtime.Bypass.Keys. Without -new, token mints a token with that key. -for is how
// long the token is valid. Zero means one hour.
//
// The environment variable DOWNTIME_TOKEN is sent to URLs as a bearer token. The exit code is 0, 1 for
// an error, for a fault, and for a window that is not quiet, and 2 for wrong arguments.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a tz database
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c := &command{out: os.Stdout, env: os.Getenv, now: time.Now}
	code := c.exit(c.run(ctx, os.Args[1:]), os.Stderr)
	stop()
	os.Exit(code)
}

// A command is one call of the program.
type command struct {
	out  io.Writer
	env  func(string) string
	now  func() time.Time
	json bool
}

const usage = `usage:
  downtime lint [-json] FILE...
  downtime next [-json] [-zone ZONE] [-n N] FILE
  downtime begin|complete|cancel [-json] FILE|URL ID
  downtime extend [-json] FILE|URL ID UNTIL
  downtime drain [-json] [-timeout DURATION] ID URL...
  downtime token [-json] -key FILE -new
  downtime token [-json] -key FILE -audience A -window ID -subject S [-for DURATION]`

var (
	errUsage  = errors.New("wrong arguments")
	errFaulty = errors.New("there are faults")
)

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
}

func (c *command) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usagef("a command is missing")
	}
	switch name, args := args[0], args[1:]; name {
	case "lint":
		return c.lint(args)
	case "next":
		return c.next(args)
	case "begin", "complete", "cancel", "extend":
		return c.change(ctx, name, args)
	case "drain":
		return c.drain(ctx, args)
	case "token":
		return c.token(args)
	case "help", "-h", "-help", "--help":
		fmt.Fprintln(c.out, usage)
		return nil
	default:
		return usagef("unknown command %q", name)
	}
}

// exit prints the error and returns the exit code.
func (c *command) exit(err error, to io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(c.out, usage)
		return 0
	case errors.Is(err, errFaulty):
		return 1
	case errors.Is(err, errUsage):
		fmt.Fprintf(to, "downtime: %v\n%s\n", err, usage)
		return 2
	}
	fmt.Fprintf(to, "downtime: %s\n", strings.TrimPrefix(err.Error(), "downtime: "))
	return 1
}

// parse parses flags. min and max bound the number of the other arguments.
func (c *command) parse(flags *flag.FlagSet, args []string, min, max int) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.json, "json", false, "")
	var rest []string
	for { // flags may follow the other arguments
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%v", err)
		}
		if flags.NArg() == 0 {
			break
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
	switch {
	case len(rest) < min:
		return nil, usagef("%s needs %d more", flags.Name(), min-len(rest))
	case len(rest) > max:
		return nil, usagef("%s does not take %q", flags.Name(), rest[max])
	}
	return rest, nil
}

// print prints a value as JSON, or text.
func (c *command) print(value any, text string) error {
	if c.json {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	_, err := io.WriteString(c.out, text)
	return err
}
