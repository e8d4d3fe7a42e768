package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

const users = 10_000

// share is the share of users for whom a flag is on.
type share map[string]float64 // by flag

// sharesOf evaluates every flag for every user in every engine. It fails if an engine differs: one flag must
// be on for all users, and two for half of them.
func sharesOf(all []engine) ([]share, error) {
	shares := make([]share, len(all))
	for i, e := range all {
		shares[i] = share{}
		for flag, want := range map[string][2]float64{static: {1, 1}, rule: {0.45, 0.55}, long: {0.45, 0.55}} {
			on := 0
			for n := range users {
				if e.prepare(flag, userFor(flag, "user-"+strconv.Itoa(n)))() {
					on++
				}
			}
			got := float64(on) / users
			if got < want[0] || got > want[1] {
				return nil, fmt.Errorf("%s: flag %s is on for %.1f %% of the users, not for %.0f–%.0f %%", e.name, flag, 100*got, 100*want[0], 100*want[1])
			}
			shares[i][flag] = got

			if flag == static {
				continue
			}
			// A user who fails a rule's first condition must not be in its split.
			for n := range 100 {
				u := userFor(flag, "user-"+strconv.Itoa(n))
				u.attributes[conditions[flag][0].attribute] = "elsewhere"
				if e.prepare(flag, u)() {
					return nil, fmt.Errorf("%s: flag %s is on for a user who does not meet its rule", e.name, flag)
				}
			}
		}
	}
	return shares, nil
}

func printShares(w io.Writer, all []engine, shares []share) {
	fmt.Fprintf(w, "share of %d users, in %%\n", users)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t%s\t%s\t\t\n", static, rule, long)
	for i, e := range all {
		fmt.Fprintf(t, "%.1f\t%.1f\t%.1f\t%s\t\n", 100*shares[i][static], 100*shares[i][rule], 100*shares[i][long], e.name)
	}
	_ = t.Flush()
	fmt.Fprintln(w)
}
