package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A fault is a schedule.Fault as JSON.
type fault struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Window   string `json:"window,omitempty"`
	Field    string `json:"field,omitempty"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

func (c *command) lint(args []string) error {
	files, err := c.parse(flag.NewFlagSet("lint", flag.ContinueOnError), args, 1, math.MaxInt)
	if err != nil {
		return err
	}
	found := []fault{}
	var text strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, f := range schedule.Lint(file, data, c.now()) {
			found = append(found, fault{f.File, f.Line, f.Column, f.Window, f.Field, f.Severity.String(), f.Err.Error()})
			fmt.Fprintf(&text, "%v: %v\n", f.Severity, f)
		}
	}
	if err := c.print(found, text.String()); err != nil {
		return err
	}
	for _, f := range found {
		if f.Severity == schedule.SeverityError.String() {
			return errFaulty
		}
	}
	return nil
}

// An occurrence is a schedule.Occurrence as JSON.
type occurrence struct {
	ID    string        `json:"id"`
	Title string        `json:"title,omitempty"`
	Mode  schedule.Mode `json:"mode"`
	Start time.Time     `json:"start"`
	End   time.Time     `json:"end"`
}

func (c *command) next(args []string) error {
	flags := flag.NewFlagSet("next", flag.ContinueOnError)
	zone, most := flags.String("zone", "", ""), flags.Int("n", 10, "")
	files, err := c.parse(flags, args, 1, 1)
	if err != nil {
		return err
	}
	if *most < 1 {
		return usagef("-n must be positive, got %d", *most)
	}
	var in *time.Location
	if *zone != "" {
		if in, err = time.LoadLocation(*zone); err != nil {
			return usagef("-zone: %v", err)
		}
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	s, err := schedule.Parse(files[0], data)
	if err != nil {
		return err
	}
	list := []occurrence{}
	for o := range s.Occurrences(c.now(), time.Date(9001, 1, 1, 0, 0, 0, 0, time.UTC)) {
		if len(list) == *most {
			break
		}
		if !o.Start.Before(o.End) {
			continue // cancelled
		}
		loc := cmp.Or(in, o.Window.Timezone)
		list = append(list, occurrence{o.Window.ID, o.Window.Title, o.Window.Mode, o.Start.In(loc), o.End.In(loc)})
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTART\tEND\tMODE\tTITLE")
	for _, o := range list {
		const layout = "Mon 2006-01-02 15:04 MST"
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", o.ID, o.Start.Format(layout), o.End.Format(layout), o.Mode, o.Title)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return c.print(list, text.String())
}

// change carries out begin, complete, cancel or extend.
func (c *command) change(ctx context.Context, name string, args []string) error {
	count := 2
	if name == "extend" {
		count = 3
	}
	rest, err := c.parse(flag.NewFlagSet(name, flag.ContinueOnError), args, count, count)
	if err != nil {
		return err
	}
	var until func(end time.Time) time.Time
	if name == "extend" {
		if until, err = parseUntil(rest[2]); err != nil {
			return err
		}
	}
	target, id := rest[0], rest[1]
	if isURL(target) {
		return c.order(ctx, target, name, id, until)
	}
	now := c.now()
	var after *schedule.Schedule
	err = downtime.FileEditor(target).Edit(ctx, func(old []byte) ([]byte, error) {
		var changed []byte
		var err error
		switch name {
		case "begin":
			changed, err = schedule.Begin(target, old, id, now)
		case "complete":
			changed, err = schedule.Complete(target, old, id, now)
		case "cancel":
			changed, err = schedule.Cancel(target, old, id, now)
		default:
			changed, err = extend(target, old, id, until, now)
		}
		if err != nil {
			return nil, err
		}
		after, _, err = schedule.Update(empty, target, changed)
		return changed, err
	})
	if err != nil {
		return err
	}
	a := after.Window(id).Actual
	zero := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s has actual", target, id)
	for _, f := range [...]struct {
		name string
		at   time.Time
	}{{"begin", a.Begin}, {"until", a.Until}, {"end", a.End}} {
		if !f.at.IsZero() {
			fmt.Fprintf(&text, " %s %s", f.name, f.at.UTC().Format(time.RFC3339))
		}
	}
	text.WriteByte('\n')
	return c.print(map[string]any{
		"command": name, "window": id, "file": target,
		"actual": map[string]*time.Time{"begin": zero(a.Begin), "until": zero(a.Until), "end": zero(a.End)},
	}, text.String())
}

// empty is the schedule before an edit: a fault in a different window does not matter.
var empty = &schedule.Schedule{}

func extend(name string, old []byte, id string, until func(time.Time) time.Time, now time.Time) ([]byte, error) {
	s, _, err := schedule.Update(empty, name, old)
	if err != nil {
		return nil, err
	}
	var end time.Time
	if w := s.Window(id); w != nil {
		end = s.Current(w, now).End
	}
	return schedule.Extend(name, old, id, until(end), now)
}

// parseUntil reads a time, or a duration after the present end.
func parseUntil(text string) (func(end time.Time) time.Time, error) {
	if by, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(by)
		if err != nil || d <= 0 {
			return nil, usagef("UNTIL must be a time such as 2026-12-06T04:00:00Z or a duration such as +30m, got %q", text)
		}
		return func(end time.Time) time.Time { return end.Add(d) }, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usagef("UNTIL must be a time such as 2026-12-06T04:00:00Z or a duration such as +30m, got %q", text)
	}
	return func(time.Time) time.Time { return at }, nil
}
