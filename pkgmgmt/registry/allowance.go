package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
)

// An Allowance lets a version through although it is younger than [Upstream.MinAge], for example
// because it fixes a vulnerability, or although it has a known vulnerability itself.
type Allowance struct {
	Allowed bool    `json:"allowed"`
	Events  []Event `json:"events"` // oldest first; Event.What is "allowed" or "disallowed"
}

// maxAllowances bounds the allowances of a module.
const maxAllowances = 1000

// allowancesFile returns the name in the store. It is not in the cache, because an allowance is
// a decision.
func (t *target) allowancesFile() string { return strings.TrimSuffix(t.base, "v/") + "allowed" }

func decodeAllowances(data []byte) (map[string]*Allowance, error) {
	all := map[string]*Allowance{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, fmt.Errorf("the allowances cannot be read: %v", err)
		}
	}
	return all, nil
}

func (c catalog) allowances(ctx context.Context, at *target) (map[string]*Allowance, error) {
	data, err := readSmall(ctx, c.store, at.allowancesFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return decodeAllowances(data)
}

// allow sets or removes the allowance of a version.
func (c catalog) allow(ctx context.Context, at *target, set bool, by, reason string) (after *Allowance, err error) {
	err = c.store.Update(ctx, at.allowancesFile(), func(old []byte) ([]byte, error) {
		all, err := decodeAllowances(old)
		if err != nil {
			return nil, err
		}
		after = all[at.version]
		switch {
		case after == nil && !set:
			return nil, fs.ErrNotExist
		case after == nil && len(all) >= maxAllowances:
			return nil, refuse(http.StatusUnprocessableEntity, ruleCooldown, fmt.Sprintf("a module has at most %d allowed versions", maxAllowances))
		case after == nil:
			after = &Allowance{}
			all[at.version] = after
		case after.Allowed == set:
			return nil, nil
		}
		what := "disallowed"
		if set {
			what = "allowed"
		}
		after.Allowed = set
		after.Events = append(after.Events, Event{Time: now(), What: what, By: by, Reason: reason})
		data, err := json.MarshalIndent(all, "", "\t")
		if err == nil && len(data) > maxSmall {
			return nil, refuse(http.StatusInsufficientStorage, ruleStore, "the allowances of this module are full")
		}
		return data, err
	})
	return after, err
}

// answerAllow allows a version (PUT), or undoes that (DELETE).
func (g *Registry) answerAllow(r *request) *Refusal {
	why, p := r.reason()
	if p != nil {
		return p
	}
	after, err := g.allow(r.Context(), &r.at, r.Method == http.MethodPut, r.who, why)
	if err != nil {
		return absent(err, r.at.module+"@"+r.at.version)
	}
	return r.answer(http.StatusOK, after)
}

func (g *Registry) answerAllowances(r *request) *Refusal {
	all, err := g.allowances(r.Context(), &r.at)
	if err != nil {
		return broken(err)
	}
	return r.answer(http.StatusOK, all)
}
