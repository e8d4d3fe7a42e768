package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version/history"
)

// sendTimeout is how long note tries to send to a collector.
const sendTimeout = 10 * time.Second

// A share is a flag with a part of 1: 0.05 or 5%.
type share float64

func (s *share) String() string { return "" }

func (s *share) Set(text string) error {
	number, isPercent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("must be between 0 and 1, or 0%% and 100%%, got %q", text)
	}
	*s = share(v)
	return nil
}

func (c *command) note(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return usagef("note needs a kind first: note deploy")
	}
	e := history.Event{Kind: args[0]}
	flags := flag.NewFlagSet("note", flag.ContinueOnError)
	file := flags.String("file", "", "")
	collector := flags.String("collector", "", "")
	flags.StringVar(&e.Service, "service", "", "")
	flags.StringVar(&e.Environment, "environment", "", "")
	flags.StringVar(&e.From, "from", "", "")
	flags.StringVar(&e.To, "to", "", "")
	flags.StringVar(&e.Actor, "actor", "", "")
	flags.StringVar(&e.URL, "url", "", "")
	flags.StringVar(&e.ID, "id", "", "")
	flags.Var((*share)(&e.Share), "share", "")
	at := &when{now: time.Now()}
	flags.Var(at, "time", "")
	rollback := flags.Bool("rollback", false, "")
	build := flags.String("build", "", "")
	instance := flags.String("instance", "", "")
	args, err := c.parse(flags, args[1:], 0, 1)
	if err != nil {
		return err
	}
	e.Time = at.time
	if len(args) > 0 {
		e.Subject = args[0]
	}
	if *rollback {
		if e.Kind != "deploy" && e.Kind != "deployment" {
			return usagef("-rollback is for note deploy, got %q", e.Kind)
		}
		e.Kind = "rollback"
	}
	store, finish, err := c.open(*file, *collector)
	if err != nil {
		return err
	}
	if *build == "" {
		err = history.Note(ctx, store, e)
	} else {
		err = c.record(ctx, store, *build, e.Service, history.Deployment{Environment: e.Environment, Instance: *instance, Rollback: *rollback})
	}
	if err != nil {
		_ = finish()
		return err
	}
	return finish()
}

// record records the start of a build.
func (c *command) record(ctx context.Context, store history.Appender, source, service string, d history.Deployment) error {
	info, err := c.load(ctx, source)
	if err != nil {
		return err
	}
	if service != "" {
		info.Name = service
	}
	return history.Record(ctx, store, info, d)
}

// open opens a file, or a reporter to a collector. finish waits until everything is sent.
func (c *command) open(file, collector string) (store history.Appender, finish func() error, err error) {
	if (file == "") == (collector == "") {
		return nil, nil, usagef("note needs either -file or -collector")
	}
	if file != "" {
		s, err := history.NewFile(file, nil)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	var failure string
	r, err := history.NewReporter(collector, &history.ReportOptions{
		Drain: sendTimeout,
		Sign: func(r *http.Request) error {
			if token := c.env("VERSION_TOKEN"); token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		},
		Logger: slog.New(&lastError{text: &failure}),
	})
	if err != nil {
		return nil, nil, err
	}
	return r, func() error {
		_ = r.Close() // always nil
		if r.Stats()["sent"] == 0 {
			return fmt.Errorf("the collector has not accepted it: %s", failure)
		}
		return nil
	}, nil
}

// A lastError is a log handler that keeps the last error of the reporter.
type lastError struct{ text *string }

func (h *lastError) Enabled(context.Context, slog.Level) bool { return true }
func (h *lastError) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *lastError) WithGroup(string) slog.Handler            { return h }
func (h *lastError) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			*h.text = a.Value.String()
		}
		return true
	})
	return nil
}
