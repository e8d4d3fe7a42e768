// Command version shows builds, compares them, and reads and writes histories:
//
//	version show [-json] SOURCE
//	version diff [-json] [-exit-code] OLD NEW
//	version history [-json | -markdown] [-from TIME] [-to TIME] [-service S] [-environment E] FILE
//	version suspects [-json | -markdown] [-time TIME] [-service S] … [FAILURE] FILE
//	version note KIND [-file FILE | -collector URL] [-service S] … [SUBJECT]
//
// Install it as a tool of a module with go get -tool github.com/upkeep-go/upkeep/version/cmd/version,
// and run it with go tool version.
//
// A SOURCE is a Go program, a snapshot (see version.Parse), "-" for a snapshot on standard input,
// or the http or https URL of an endpoint with version.Handler. A FILE is that of a
// history.FileStore. It is only read, except by note.
//
// A TIME is 2026-11-20T11:20:00Z (RFC 3339), 2026-11-20 (UTC), "now", or a duration before now: 90m,
// 24h, 7d.
//
// suspects ranks the changes before a failure. The failure is a JSON document (history.Failure) in
// the file -failure, and the other flags replace its fields. It prints an incident: the suspects
// and the timeline of the day before. With -git it adds the commits of the first suspects that are
// deployments, from a git repository; this needs git.
//
// note is for CI. "version note deploy --rollback -service shop -to v1.4.1" notes a rollback. With
// -build SOURCE it records the start of that build instead, as history.Record does, and --rollback
// declares the rollback. The token for a collector is the environment variable
// VERSION_TOKEN.
//
// The exit code is 0, 1 for an error or with -exit-code for a difference, and 2 for wrong
// arguments.
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
	"unicode"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c := &command{in: os.Stdin, out: os.Stdout, env: os.Getenv}
	code := c.exit(c.run(ctx, os.Args[1:]), os.Stderr)
	stop()
	os.Exit(code)
}

// A command is one call of the program.
type command struct {
	in   io.Reader
	out  io.Writer
	env  func(string) string
	json bool
}

const usage = `usage:
  version show [-json] SOURCE
  version diff [-json] [-exit-code] OLD NEW
  version history [-json | -markdown] [-from TIME] [-to TIME] [-service S] [-environment E] FILE
  version suspects [-json | -markdown] [-failure FILE] [-time TIME] [-service S] [-build V] [-route R] [-stack FILE] [-callers FILE] [-git DIR] [-environment E] FILE
  version note KIND [-file FILE | -collector URL] [-service S] [-environment E] [-from T] [-to T] [-actor A] [-share P] [-url URL] [-id ID] [-time TIME] [-rollback] [-build SOURCE] [-instance I] [SUBJECT]`

var (
	errUsage     = errors.New("wrong arguments")
	errDifferent = errors.New("the builds differ")
)

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
}

func (c *command) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usagef("a command is missing")
	}
	switch name, args := args[0], args[1:]; name {
	case "show":
		return c.show(ctx, args)
	case "diff":
		return c.diff(ctx, args)
	case "history":
		return c.history(ctx, args)
	case "suspects":
		return c.suspects(ctx, args)
	case "note":
		return c.note(ctx, args)
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
	case errors.Is(err, errDifferent):
		return 1
	case errors.Is(err, errUsage):
		fmt.Fprintf(to, "version: %v\n%s\n", err, usage)
		return 2
	}
	fmt.Fprintf(to, "version: %s\n", strings.TrimPrefix(err.Error(), "version: "))
	return 1
}

// parse parses flags. min and max bound the number of the other arguments.
func (c *command) parse(flags *flag.FlagSet, args []string, min, max int) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.json, "json", false, "")
	// Flags may follow the other arguments.
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%v", err)
		}
		if flags.NArg() == 0 {
			break
		}
		if len(args) > flags.NArg() && args[len(args)-flags.NArg()-1] == "--" {
			rest = append(rest, flags.Args()...)
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

// clean replaces unprintable characters of a line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// print prints a value as JSON or as text.
func (c *command) print(value any, text string) error {
	if c.json {
		out := json.NewEncoder(c.out)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(value)
	}
	_, err := fmt.Fprintln(c.out, strings.TrimSuffix(text, "\n"))
	return err
}
