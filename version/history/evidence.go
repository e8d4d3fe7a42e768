package history

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/version"
)

// A judge weighs the changes before one failure. Weights are logarithms of likelihoods: they are
// added, and 0 is neutral.
type judge struct {
	h       *history
	failure *Failure
	flags   map[string][]variant
	words   map[string]bool // of the route and the stack
	near    map[string]int  // distance of services that the failed one calls, directly or not
	callers map[string]bool // services that call the failed one
	linked  bool            // Callers has the failed service
	running map[track]map[string]int
	after   map[track][]*Change // changes of the service's tracks
	noted   []placed            // deployments of the service that were only noted
	envs    map[string]bool     // environments in which the service runs Build
}

func newJudge(h *history, changes []Change, f *Failure, o *SuspectOptions) *judge {
	j := &judge{h: h, failure: f, flags: f.variants(), after: map[track][]*Change{}, words: wordsOf(f.Route + " " + f.Stack), near: map[string]int{f.Service: 0}, callers: map[string]bool{}, running: map[track]map[string]int{}, envs: map[string]bool{}}
	calls := map[string][]string{}
	for callee, callers := range o.Callers {
		for _, c := range callers {
			calls[c] = append(calls[c], callee)
		}
	}
	for _, c := range o.Callers[f.Service] {
		j.callers[c] = true
	}
	j.linked = len(o.Callers) > 0
	for next := []string{f.Service}; len(next) > 0; next = next[1:] {
		for _, s := range calls[next[0]] {
			if _, ok := j.near[s]; !ok {
				j.near[s] = j.near[next[0]] + 1
				next = append(next, s)
			}
		}
	}
	for n := range changes {
		if c := &changes[n]; c.Service == f.Service {
			j.after[c.track()] = append(j.after[c.track()], c)
		}
	}
	for _, e := range h.list {
		if e.Kind == KindNoted && isDeployment(e.Event.Kind) && isOf(e.Event, f.Service) && !e.At.After(f.Time) {
			j.noted = append(j.noted, e)
		}
	}
	pos := h.posOf(f.Time)
	for t, group := range h.groups {
		if t.service != f.Service {
			continue
		}
		builds := map[string]int{}
		for _, r := range group {
			if !r.first.pos.After(pos) && (!r.over || r.end.pos.After(pos)) {
				builds[r.build]++
				if f.Build != "" && sameVersion(r.name.version, f.Build) {
					j.envs[t.environment] = true
				}
			}
		}
		j.running[t] = builds
	}
	return j
}

func sameVersion(a, b string) bool { return strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v") }

// A weighed has the weight of one change and its reasons.
type weighed struct {
	weight  float64
	reasons []string
}

func (w *weighed) add(weight float64, format string, args ...any) {
	w.weight += weight
	if format != "" {
		w.reasons = append(w.reasons, fmt.Sprintf(format, args...))
	}
}

func (w *weighed) sentence(subject, what string, before time.Duration) string {
	text := subject
	if what != "" {
		text += ": " + what
	}
	text += ", " + duration(before) + " before the failure"
	if len(w.reasons) > 0 {
		text += "; " + strings.Join(w.reasons, "; ")
	}
	return cleantext.Line(text, maxEvidence)
}

const maxEvidence = 4096

func (j *judge) change(c *Change) (float64, string) {
	var w weighed
	before := j.failure.Time.Sub(c.Time)
	w.weight = timeWeight(before)
	if c.From == nil {
		w.weight += firstWeight
	} else if c.Diff.Empty() {
		w.weight += sameBuildWeight
	}
	j.addService(&w, c.Service)
	j.addEnvironment(&w, c.Environment)
	j.addRegion(&w, c.Region)
	if c.Service == j.failure.Service {
		versions, share := j.inEffect(c)
		j.addBuild(&w, versions, versionOf(c.From), share)
	}
	j.addModules(&w, c)
	subject, what, _ := c.words()
	return w.weight, w.sentence(subject, what, before)
}

func versionOf(i *version.Info) string {
	if i == nil {
		return ""
	}
	return i.Version
}

func (c *Change) track() track { return track{c.Service, c.Environment, c.Region, c.Cluster} }

// inEffect returns the versions that contain the change when the failure began, the first one
// being its own, and the part of the instances that ran them. Later versions contain it, until
// there is a rollback to an earlier build.
func (j *judge) inEffect(c *Change) (versions []string, share float64) {
	versions = []string{c.To.Version}
	builds := map[string]bool{c.build: true}
	for _, later := range j.after[c.track()] {
		switch {
		case !later.pos.After(c.pos):
		case later.Rollback == RollbackRanBefore || later.Rollback == RollbackDeclared:
			if !builds[later.build] {
				versions, builds = []string{c.To.Version}, map[string]bool{c.build: true}
			}
		default:
			versions, builds[later.build] = append(versions, later.To.Version), true
		}
	}
	with, all := 0, 0
	for b, n := range j.running[c.track()] {
		all += n
		if builds[b] {
			with += n
		}
	}
	if all == 0 {
		return versions, 1
	}
	return versions, float64(with) / float64(all)
}

func (j *judge) event(v *Event, at time.Time) (float64, string) {
	var w weighed
	before := j.failure.Time.Sub(at)
	w.weight = timeWeight(before) + kindWeight(v.Kind)
	if v.Service != "" {
		j.addService(&w, v.Service)
	} else {
		w.weight += anyServiceWeight
	}
	j.addEnvironment(&w, v.Environment)
	var all Counts
	variants := j.flags[v.Subject]
	for _, a := range variants {
		all = all.plus(a.Counts)
	}
	switch {
	case v.Subject != "" && all.Failed > 0:
		j.addVariants(&w, v, variants, all)
	case isDeployment(v.Kind) && v.To != "" && isOf(v, j.failure.Service):
		versions := []string{v.To}
		for _, later := range j.noted {
			if later.At.After(at) && later.Event.Environment == v.Environment && later.Event.To != v.From {
				versions = append(versions, later.Event.To)
			}
		}
		j.addBuild(&w, versions, v.From, shareOf(v))
	}
	// A module has a host. The name of a service is in each of its stack traces.
	if host, _, ok := strings.Cut(v.Subject, "/"); ok && strings.Contains(host, ".") && mentions(j.failure.Stack, v.Subject) {
		w.add(stackWeight, "%s is in the stack trace", v.Subject)
	}
	common := 0
	for word := range wordsOf(v.Subject) {
		if j.words[word] {
			common++
		}
	}
	w.weight += wordWeight * float64(min(common, 2))
	subject, what := v.words()
	return w.weight, w.sentence(subject, what, before)
}

const (
	firstWeight     = -1.0 // a service that is seen for the first time
	sameBuildWeight = -0.7 // a build without a difference
	stackWeight     = +3.0 // a changed module in the stack trace
	noStackWeight   = -0.3 // changed modules, but none of them in the stack trace
	wordWeight      = +0.5 // a word of the event in the route or the stack trace

	anyServiceWeight = -0.5
	calleeWeight     = -0.3 // per step from the failed service
	callerWeight     = -1.5
	otherWeight      = -3.5 // a service that the failed one does not call
	unlinkedWeight   = -2.5 // another service, if Callers is empty
	elsewhereWeight  = -3.0 // an environment in which the build does not run

	buildWeight    = +0.2 // a change to the build that failed
	oldBuildWeight = -3.0 // a change away from the build that failed
)

// isOf reports whether a deployment that was noted is one of the service.
func isOf(v *Event, service string) bool {
	return v.Service == service || v.Service == "" && v.Subject == service
}

// timeWeight falls with the time between change and failure: by half after 10 minutes, 30
// minutes, 70 minutes, and so on.
func timeWeight(before time.Duration) float64 {
	return -math.Log(1 + max(before, 0).Minutes()/10)
}

func kindWeight(kind string) float64 {
	switch kind = strings.ToLower(kind); {
	case kind == "flag" || kind == "config" || isDeployment(kind):
		return 0
	case kind == "migration":
		return -0.4
	}
	return -1.2
}

func isDeployment(kind string) bool {
	switch strings.ToLower(kind) {
	case "deploy", "deployment", "release", "rollout", "rollback":
		return true
	}
	return false
}

func (j *judge) addService(w *weighed, service string) {
	if j.failure.Service == "" {
		return
	}
	distance, ok := j.near[service]
	switch {
	case ok && distance == 0:
		w.add(0, "in the service that failed")
	case ok && distance == 1:
		w.add(calleeWeight, "%s calls %s", j.failure.Service, service)
	case ok:
		w.add(calleeWeight*float64(distance), "%s calls %s through other services", j.failure.Service, service)
	case j.callers[service]:
		w.add(callerWeight, "%s calls %s", service, j.failure.Service)
	case j.linked:
		w.add(otherWeight, "%s does not call %s", j.failure.Service, service)
	default:
		w.weight += unlinkedWeight
	}
}

func (j *judge) addEnvironment(w *weighed, environment string) {
	if environment != "" && len(j.envs) > 0 && !j.envs[environment] {
		w.add(elsewhereWeight, "the build that failed does not run in %s", environment)
	}
}

// addRegion compares the failed requests of a region with its good ones: the share of a region
// does not depend on the change.
func (j *judge) addRegion(w *weighed, region string) {
	c, ok := j.failure.Regions[region]
	all := total(j.failure.Regions)
	if region == "" || !ok || all.Failed == 0 || all.Good == 0 {
		return
	}
	w.exposed(c.Failed, all.Failed, float64(c.Good)/float64(all.Good), 1, "were in "+region, "")
}

// addBuild compares the failed requests of versions with the change with the part of the
// instances that ran them: share, 0 if it is unknown.
func (j *judge) addBuild(w *weighed, versions []string, from string, share float64) {
	has := func(version string) bool {
		return slices.ContainsFunc(versions, func(v string) bool { return sameVersion(v, version) })
	}
	switch build := j.failure.Build; {
	case build == "":
	case sameVersion(versions[0], build):
		w.add(buildWeight, "%s is the build that failed", build)
	case has(build):
		w.add(0, "the build that failed, %s, came later", build)
	case from != "" && sameVersion(from, build):
		w.add(oldBuildWeight, "the build that failed is the old one")
	}
	var c, all Counts
	for key, n := range j.failure.Builds {
		n = Counts{}.plus(n)
		if all = all.plus(n); has(key) {
			c = c.plus(n)
		}
	}
	if all.Failed == 0 || len(j.failure.Builds) < 2 && c.Failed == all.Failed {
		return // it says nothing about the other build
	}
	had := "had " + versions[0]
	if len(versions) > 1 {
		had += " or later"
	}
	j.compare(w, c, all, share, had)
}

func (j *judge) addVariants(w *weighed, v *Event, variants []variant, all Counts) {
	// Text such as 5 % is not a variant: then it is the one with the largest excess.
	excess := func(a variant) float64 {
		return float64(a.Failed)/float64(max(all.Failed, 1)) - float64(a.Good)/float64(max(all.Good, 1))
	}
	slices.SortFunc(variants, func(a, b variant) int {
		return cmp.Or(cmp.Compare(excess(b), excess(a)), strings.Compare(a.name, b.name))
	})
	of := variants[0]
	if n := slices.IndexFunc(variants, func(a variant) bool { return a.name == v.To }); n >= 0 {
		of = variants[n]
	}
	j.compare(w, of.Counts, all, shareOf(v), "had "+strings.TrimSpace(v.Subject+" "+of.name))
}

var percentRegexp = regexp.MustCompile(`(?:^|[\s(])([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%`)

// shareOf returns the share of an event, or the percentage in To, as in "5 %".
func shareOf(v *Event) float64 {
	if v.Share > 0 {
		return v.Share
	}
	if m := percentRegexp.FindStringSubmatch(v.To); m != nil {
		if n, err := strconv.ParseFloat(m[1], 64); err == nil && n <= 100 {
			return n / 100
		}
	}
	return 0
}

// compare weighs how many failed requests had the change. The share that the change itself says
// is better than that of the good requests, because some of them may be from before the change.
// So without it, good requests can only exonerate.
func (j *judge) compare(w *weighed, c, all Counts, share float64, had string) {
	switch {
	case share > 0:
		w.exposed(c.Failed, all.Failed, share, 1, had, "the change reached")
	case all.Good > 0:
		w.exposed(c.Failed, all.Failed, float64(c.Good)/float64(all.Good), goodTrust, had, "")
	}
}

const (
	goodTrust = 0.35 // of shares that only the good requests show

	// Beyond these numbers, further requests add nothing: other changes may have reached the
	// same users, but an innocent change never reaches fewer of the failed requests.
	maxFor     = 12
	maxAgainst = 40
	halfWeight = 4.0  // large weights for a change count only by their logarithm
	maxWeight  = 6.0  // against a change
	minShare   = 0.01 // shares are never certain
	// If nearly everybody has a change, a few failed requests without it do not exonerate it:
	// they may be older, or have another reason.
	fullShare  = 0.9
	fullPart   = 0.6
	leftWeight = 0.5

	minPart = 0.75 // of the failed requests that a cause must explain
)

// exposed adds the weight of the failed requests that had the change (with), if share of all requests
// should have it. If the change is the cause, they had it much more often.
func (w *weighed) exposed(with, failed int, share, trust float64, had, expected string) {
	part := float64(with) / float64(failed)
	e := min(max(share, minShare), 1-minShare)
	cause := min(max(part, minPart, e+(1-e)*minPart), 1-minShare/5)
	log := part*math.Log(cause/e) + (1-part)*math.Log((1-cause)/(1-e))
	if log > 0 {
		log = halfWeight * math.Log1p(log*float64(min(failed, maxFor))/halfWeight)
	} else {
		log = max(log*float64(min(failed, maxAgainst)), -maxWeight)
	}
	if e >= fullShare && part >= fullPart {
		log = max(log, -leftWeight)
	}
	weight := trust * log
	text := fmt.Sprintf("%s of %d failed requests %s, ", percent(math.Round(1000*part)/1000), failed, had)
	if expected != "" {
		text += expected + " " + percent(math.Round(1000*share)/1000)
	} else {
		text += "as " + percent(math.Round(1000*share)/1000) + " of the good ones"
	}
	w.add(weight, "%s", text)
}

// addModules looks for a changed module in the stack trace.
func (j *judge) addModules(w *weighed, c *Change) {
	if j.failure.Stack == "" || c.Service != j.failure.Service {
		return
	}
	for _, d := range c.Diff.Deps {
		if d.Kind != version.ChangeKindRemoved && mentions(j.failure.Stack, d.Path) {
			w.add(stackWeight, "%s has changed and is in the stack trace", d.Path)
			return
		}
	}
	if len(c.Diff.Deps) > 0 {
		w.weight += noStackWeight
	}
}

// duration writes a time for people: 4 min, 2 h 5 min, 3 d 2 h.
func duration(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
