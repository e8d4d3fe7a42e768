package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version/history"
)

const maxDocument = 4 << 20

// A when is a flag with a time.
type when struct {
	time time.Time
	now  time.Time
}

func (w *when) String() string { return "" }

func (w *when) Set(text string) (err error) {
	w.time, err = parseTime(text, w.now)
	return err
}

// parseTime reads a time, a day, "now", or a duration before now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		if math.IsNaN(n) || n > 100*366 {
			return time.Time{}, fmt.Errorf("%q is too long ago", text)
		}
		ago = time.Duration(n * float64(24*time.Hour))
	}
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("must be a time (2026-11-20T11:20:00Z), a day (2026-11-20), now, or a duration before now (90m, 7d), got %q", text)
	}
	return now.Add(-ago), nil
}

// openFile opens an existing history.
func openFile(path string) (*history.FileStore, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return history.NewFile(path, nil)
}

func (c *command) history(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("history", flag.ContinueOnError)
	from, to := &when{now: time.Now()}, &when{now: time.Now()}
	flags.Var(from, "from", "")
	flags.Var(to, "to", "")
	service := flags.String("service", "", "")
	environment := flags.String("environment", "", "")
	markdown := flags.Bool("markdown", false, "")
	args, err := c.parse(flags, args, 1, 1)
	if err != nil {
		return err
	}
	store, err := openFile(args[0])
	if err != nil {
		return err
	}
	part := history.Only(store, history.Query{Service: *service, Environment: *environment})
	list, err := history.Timeline(ctx, part, from.time, to.time)
	if err != nil {
		return err
	}
	text := list.String()
	if *markdown {
		text = list.Markdown()
	}
	return c.print(list, text)
}

func (c *command) suspects(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("suspects", flag.ContinueOnError)
	at := &when{now: time.Now()}
	flags.Var(at, "time", "")
	failureFile := flags.String("failure", "", "")
	callersFile := flags.String("callers", "", "")
	stackFile := flags.String("stack", "", "")
	environment := flags.String("environment", "", "")
	repository := flags.String("git", "", "")
	markdown := flags.Bool("markdown", false, "")
	fields := map[string]*string{}
	for _, name := range []string{"service", "build", "route"} {
		fields[name] = flags.String(name, "", "")
	}
	args, err := c.parse(flags, args, 1, 1)
	if err != nil {
		return err
	}
	var f history.Failure
	if *failureFile != "" {
		if err := readJSON(*failureFile, &f); err != nil {
			return err
		}
	}
	for name, field := range map[string]*string{"service": &f.Service, "build": &f.Build, "route": &f.Route} {
		if *fields[name] != "" {
			*field = *fields[name]
		}
	}
	if *stackFile != "" {
		stack, err := readFile(*stackFile, maxDocument)
		if err != nil {
			return err
		}
		f.Stack = string(stack)
	}
	switch {
	case !at.time.IsZero():
		f.Time = at.time
	case f.Time.IsZero():
		return usagef("suspects needs the time of the failure, in -time or -failure")
	}
	opts := &history.SuspectOptions{}
	if *callersFile != "" {
		if err := readJSON(*callersFile, &opts.Callers); err != nil {
			return err
		}
	}
	store, err := openFile(args[0])
	if err != nil {
		return err
	}
	part := history.Only(store, history.Query{Environment: *environment})
	var i incident
	i.Failure = f
	if i.Suspects, err = history.Suspects(ctx, part, f, opts); err != nil {
		return err
	}
	if i.Changes, err = history.Timeline(ctx, part, f.Time.Add(-24*time.Hour), f.Time.Add(time.Hour)); err != nil {
		return err
	}
	if *repository != "" {
		if i.Deployments, err = commits(ctx, *repository, i.Suspects); err != nil {
			return err
		}
	}
	text := i.String() + "\n"
	if *markdown {
		text = i.Markdown()
	}
	for _, d := range i.Deployments {
		if *markdown {
			text += d.markdown()
		} else {
			text += d.text()
		}
	}
	return c.print(i, text)
}

// An incident also has the commits of suspects.
type incident struct {
	history.Incident
	Deployments []deployment `json:"deployments,omitempty"`
}

// readJSON reads a document. An unknown field is an error.
func readJSON(path string, value any) error {
	data, err := readFile(path, maxDocument)
	if err != nil {
		return err
	}
	in := json.NewDecoder(strings.NewReader(string(data)))
	in.DisallowUnknownFields()
	if err := in.Decode(value); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
