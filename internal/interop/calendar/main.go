// Calendar writes the iCalendar feed of a document of maintenance windows, to be
// published as a file that people subscribe to:
//
//	go run . -windows windows.yaml -name "Shop maintenance" -url https://status.example/ > maintenance.ics
//
// A running service does not need it: its status handlers have the feed at calendar.ics. The tests
// read feeds of random documents back with an independent parser.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr, time.Now())
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer, now time.Time) error {
	flags := flag.NewFlagSet("calendar", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("windows", "windows.yaml", "`document` of the maintenance windows")
	name := flags.String("name", "", "what calendars call the feed")
	url := flags.String("url", "", "`address` where users read more; it makes the events' UIDs those of this service")
	operators := flags.Bool("operators", false, "tell what is for operators, and what is not announced yet")
	if err := flags.Parse(args); err != nil {
		return err
	}
	document, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	windows, err := schedule.Parse(*file, document)
	if err != nil {
		return err
	}
	opts := &status.CalendarOptions{Name: *name, URL: *url, Operators: *operators}
	if info, err := os.Stat(*file); err == nil {
		opts.Revised = info.ModTime()
	}
	_, err = stdout.Write(status.Calendar(windows, now, opts))
	return err
}
