package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/upkeep-go/upkeep/internal/modpattern"
)

// A cooldown is the minimum age of the versions of modules that match a pattern.
type cooldown struct {
	pattern modpattern.Pattern
	age     time.Duration
}

func newCooldowns(ages map[string]time.Duration) (all []cooldown, err error) {
	for _, text := range slices.Sorted(maps.Keys(ages)) {
		p, err := modpattern.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("MinAge: %w", err)
		}
		if ages[text] < 0 {
			return nil, fmt.Errorf("MinAge[%q]: must not be negative, got %v", text, ages[text])
		}
		all = append(all, cooldown{p, ages[text]})
	}
	return all, nil
}

// minAge returns the cooldown of a module: that of the longest pattern that matches.
func (u *upstream) minAge(path string) (c cooldown) {
	for _, other := range u.cooldowns {
		if other.pattern.Match(path) && len(other.pattern.String()) > len(c.pattern.String()) {
			c = other
		}
	}
	return c
}

// maxTime is the last second of the year 9999, the last year of an .info.
const maxTime = 253402300799

// An age has the times of a version, in Unix seconds. Zero means unknown.
type age struct {
	seen int64 // when it appeared in the list of a module that was known before
	time int64 // of its .info
}

// released returns the time from which the age counts.
func (a age) released() time.Time { return time.Unix(max(a.seen, a.time), 0).UTC() }

func parseAges(data []byte) (map[string]age, error) {
	ages := map[string]age{}
	for line := range strings.Lines(string(data)) {
		version, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		seen, info, _ := strings.Cut(rest, " ")
		s, err1 := strconv.ParseInt(seen, 10, 64)
		i, err2 := strconv.ParseInt(info, 10, 64)
		if !semver.IsValid(version) || err1 != nil || err2 != nil || max(s, i) > maxTime || min(s, i) < -maxTime {
			return nil, fmt.Errorf("the file %s is damaged: remove it, and versions that appear later are new", agesFile)
		}
		ages[version] = age{s, i}
	}
	return ages, nil
}

func encodeAges(ages map[string]age) []byte {
	data := []byte{} // not nil, because the file means that the module is known
	for _, version := range slices.Sorted(maps.Keys(ages)) {
		data = fmt.Appendf(data, "%s %d %d\n", version, ages[version].seen, ages[version].time)
	}
	return data
}

func (u *upstream) readAges(ctx context.Context, base string) (map[string]age, error) {
	data, err := u.cache.read(ctx, base+agesFile)
	if err != nil {
		return nil, nil // the module is not known yet
	}
	return parseAges(data)
}

// learn records versions and the times of their .info. A version that is new in a known module
// has appeared now. A recorded time is never changed.
func (u *upstream) learn(ctx context.Context, base string, versions []string, times map[string]time.Time) (ages map[string]age, err error) {
	if err := u.cache.prepare(); err != nil {
		return nil, err
	}
	err = u.cache.Update(ctx, base+agesFile, func(old []byte) ([]byte, error) {
		if ages, err = parseAges(old); err != nil {
			return nil, err
		}
		var seen int64
		if old != nil {
			seen = time.Now().Unix()
		}
		for _, version := range versions {
			if _, known := ages[version]; !known {
				ages[version] = age{seen: seen}
			}
		}
		for version, t := range times {
			if a, known := ages[version]; known && a.time == 0 {
				a.time = t.Unix()
				ages[version] = a
			}
		}
		return encodeAges(ages), nil
	})
	return ages, err
}

// listed returns the list of the upstream, and records the versions that are new in it.
func (u *upstream) listed(ctx context.Context, at *target) ([]string, map[string]age, error) {
	data, err := u.changing(ctx, at.base+"list", maxPublic, func(data []byte) ([]byte, error) { return checkList(at.module, data) })
	if err != nil {
		return nil, nil, err
	}
	versions := lines(data)
	ages, err := u.readAges(ctx, at.base)
	if err != nil {
		return nil, nil, err
	}
	if ages == nil || slices.ContainsFunc(versions, func(v string) bool { _, known := ages[v]; return !known }) {
		ages, err = u.learn(ctx, at.base, versions, nil)
	}
	return versions, ages, err
}

// list returns the list without versions that are too young, retracted, vulnerable or refused
// by the policy.
func (u *upstream) list(ctx context.Context, at *target) ([]byte, error) {
	limit, keep := u.minAge(at.module), u.vulns.keep(ctx, at)
	refused := func(v string) bool { return u.violation(at.module, v) != "" || !keep(v) }
	if limit.age == 0 {
		data, err := u.changing(ctx, at.base+"list", maxPublic, func(data []byte) ([]byte, error) { return checkList(at.module, data) })
		if err != nil {
			return nil, err
		}
		return encodeList(slices.DeleteFunc(lines(data), refused)), nil
	}
	versions, ages, err := u.listed(ctx, at)
	if err != nil {
		return nil, err
	}
	if ages, err = u.dated(ctx, at, versions, ages); err != nil {
		return nil, err
	}
	retracted, err := u.retracted(ctx, at, versions)
	if err != nil {
		return nil, err
	}
	allowed, err := u.vulns.allowed(ctx, at)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return encodeList(slices.DeleteFunc(versions, func(v string) bool {
		a := ages[v]
		young := a.time == 0 || now.Before(a.released().Add(limit.age))
		return young && !allowed[v] || retracted(v) || refused(v)
	})), nil
}

// dated fetches the .info of each version without a time. It stops at the first failure other
// than 404; the versions without a time are too young for the list.
func (u *upstream) dated(ctx context.Context, at *target, versions []string, ages map[string]age) (map[string]age, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	times, failed := map[string]time.Time{}, false
	places := make(chan struct{}, 16)
	for _, version := range versions {
		if ages[version].time != 0 {
			continue
		}
		places <- struct{}{}
		mu.Lock()
		stop := failed
		mu.Unlock()
		if stop || ctx.Err() != nil {
			<-places
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			t, err := u.infoTime(ctx, at.at(version))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				times[version] = t
			} else if !isMissing(err) {
				failed = true
			}
		})
	}
	wg.Wait()
	if len(times) == 0 {
		return ages, ctx.Err()
	}
	return u.learn(ctx, at.base, nil, times)
}

// at returns the target of another version of the module.
func (t *target) at(version string) *target {
	escaped, _ := module.EscapeVersion(version) // it was checked
	return &target{kind: kindInfo, protocol: true, module: t.module, version: version, base: t.base, file: t.base + escaped}
}

func (u *upstream) infoTime(ctx context.Context, at *target) (time.Time, error) {
	data, err := u.fixed(ctx, at, ".info")
	if err != nil {
		return time.Time{}, err
	}
	info, err := decodeInfo(data)
	return info.Time, err
}

// retracted returns which versions the newest go.mod retracts. As for the go command, it is that
// of the highest release.
func (u *upstream) retracted(ctx context.Context, at *target, versions []string) (func(string) bool, error) {
	newest := highest(versions)
	if newest == "" {
		return func(string) bool { return false }, nil
	}
	data, err := u.fixed(ctx, at.at(newest), ".mod")
	if isMissing(err) {
		return func(string) bool { return false }, nil
	}
	if err != nil {
		return nil, err
	}
	if bytes.Count(data, []byte("\n")) > maxLines {
		return nil, invalid("the go.mod of %s has more than %d lines", newest, maxLines)
	}
	f, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil {
		return nil, invalid("the go.mod of %s: %s", newest, shown(err.Error()))
	}
	return func(v string) bool {
		return slices.ContainsFunc(f.Retract, func(r *modfile.Retract) bool {
			return semver.Compare(r.Low, v) <= 0 && semver.Compare(v, r.High) <= 0
		})
	}, nil
}

// violation returns why the policy refuses a version. Empty means that it does not.
func (u *upstream) violation(path, version string) string {
	if u.policy == nil {
		return ""
	}
	for _, v := range u.policy.Check(&debug.BuildInfo{Deps: []*debug.Module{{Path: path, Version: version}}}) {
		if v.Module == path { // others are about Go, or about ages
			return v.Reason + "; to fix: " + v.Fix
		}
	}
	return ""
}

// admit returns a refusal for a version that is too young, vulnerable, or refused by the policy.
func (u *upstream) admit(ctx context.Context, at *target) error {
	if text := u.violation(at.module, at.version); text != "" {
		return refuse(http.StatusForbidden, rulePolicy, fmt.Sprintf("%s@%s is refused by the policy: %s", at.module, at.version, text))
	}
	if err := u.vulns.check(ctx, at); err != nil {
		return err
	}
	limit := u.minAge(at.module)
	if limit.age == 0 || u.cache.isOld(at.file) {
		return nil
	}
	released, err := u.released(ctx, at)
	if err != nil {
		return err
	}
	from := released.Add(limit.age)
	if !time.Now().Before(from) {
		u.cache.setOld(at.file)
		return nil
	}
	allowed, err := u.vulns.allowed(ctx, at)
	if err != nil || allowed[at.version] {
		return err
	}
	if from = from.Truncate(time.Second); from.Before(released.Add(limit.age)) {
		from = from.Add(time.Second)
	}
	return refuse(http.StatusForbidden, ruleCooldown, fmt.Sprintf("%s@%s is too new: it appeared at %s and may be used from %s (MinAge of %s is %s)",
		at.module, at.version, released.Format(time.RFC3339), from.Format(time.RFC3339), limit.pattern, ageText(limit.age)))
}

// released returns the time from which the age of a version counts. For pseudo-versions, which
// lists do not have, it is that of their commit.
func (u *upstream) released(ctx context.Context, at *target) (time.Time, error) {
	if module.IsPseudoVersion(at.version) {
		return u.infoTime(ctx, at)
	}
	ages, err := u.readAges(ctx, at.base)
	if err != nil {
		return time.Time{}, err
	}
	if a, known := ages[at.version]; known && a.time != 0 {
		return a.released(), nil
	}
	if _, _, err = u.listed(ctx, at); err != nil && !isMissing(err) {
		return time.Time{}, err
	}
	t, err := u.infoTime(ctx, at)
	if err != nil {
		return time.Time{}, err
	}
	// A version that the list does not have is recorded as well.
	ages, err = u.learn(ctx, at.base, []string{at.version}, map[string]time.Time{at.version: t})
	return ages[at.version].released(), err
}

// latest returns the .info of @latest, or of the highest version that may be used.
func (u *upstream) latest(ctx context.Context, at *target) ([]byte, error) {
	data, err := u.changing(ctx, strings.TrimSuffix(at.base, "v/")+"latest", maxInfo, func(data []byte) ([]byte, error) { return data, checkInfo(at.module, "", data) })
	if err != nil {
		return nil, err
	}
	info, err := decodeInfo(data)
	if err != nil {
		return nil, err
	}
	err = u.admit(ctx, at.at(info.Version))
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok || !slices.Contains([]string{ruleCooldown, rulePolicy, ruleVulnerable}, refusal.Rule) {
		return data, err
	}
	list, failed := u.list(ctx, at)
	if isMissing(failed) {
		return nil, err
	}
	if version := highest(lines(list)); failed == nil && version != "" {
		return u.fixed(ctx, at.at(version), ".info")
	}
	return nil, cmp.Or(failed, err)
}

// ageText writes whole days as such.
func ageText(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}

// refresh fetches the lists of all known modules.
func (u *upstream) refresh(ctx context.Context) error {
	if err := u.cache.prepare(); err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	places := make(chan struct{}, 8)
	for name, err := range u.cache.Names(ctx, "") {
		base, ok := strings.CutSuffix(name, "/"+agesFile)
		if err != nil {
			errs = append(errs, err)
		}
		at, bad := publicRoute("/" + base + "/list")
		if err != nil || !ok || bad != nil || at.kind != kindList {
			continue
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if _, _, err := u.listed(ctx, &at); err != nil && !isMissing(err) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", at.module, err))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Refresh fetches the lists of all public modules that the registry has served, so that it
// records when their new versions appear. Call it every hour if [Upstream.MinAge] is set;
// otherwise a version counts as new when it is first requested. It returns the errors of all
// modules, and nil without Options.Upstream.
func (g *Registry) Refresh(ctx context.Context) error {
	if g.upstream == nil {
		return nil
	}
	return g.upstream.refresh(ctx)
}
