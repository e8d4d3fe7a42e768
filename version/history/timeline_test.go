package history_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// incident records a day in production, from midnight.
func incident(t *testing.T, s history.Store) {
	t.Helper()
	ctx := t.Context()
	record := func(i version.Info, instance string) {
		require.NoError(t, history.Record(ctx, s, i, production(instance)))
	}
	old, new := build("v1.4.1"), build("v1.4.2")
	old.Revision, new.Revision = "a1b2c3d4e5f6a1b2c3d4", "d4e5f6a1b2c3d4e5f6a1"
	record(old, "a")
	record(old, "b")
	record(buildOf("till", "v0.9.0"), "a")
	time.Sleep(11 * time.Hour)
	record(new, "a")
	time.Sleep(4*time.Minute + 10*time.Second)
	record(new, "b")
	time.Sleep(time.Hour)
	require.NoError(t, history.Note(ctx, s, history.Event{Kind: "flag", Subject: "new_checkout", From: "off", To: "on", Actor: "ada"}))
	time.Sleep(90 * time.Second)
	require.NoError(t, history.Note(ctx, s, history.Event{Kind: "failure", Subject: "POST /checkout", To: "500"}))
	time.Sleep(10 * time.Minute)
	require.NoError(t, history.Note(ctx, s, history.Event{Kind: "flag", Subject: "new_checkout", From: "on", Actor: "ada"}))
	record(old, "a")
	record(old, "b")
}

const incidentText = `2000-01-01 00:00:00Z  shop (production): v1.4.1, seen for the first time
2000-01-01 00:00:00Z  till (production): v0.9.0, seen for the first time
2000-01-01 11:00:00Z  shop (production): v1.4.1 → v1.4.2, both seen until 11:04:10Z
                      lib v1.4.1 → v1.4.2
                      rev a1b2c3d4e5f6..d4e5f6a1b2c3
2000-01-01 12:04:10Z  flag new_checkout: off → on, by ada
2000-01-01 12:05:40Z  failure POST /checkout: 500
2000-01-01 12:15:40Z  flag new_checkout: no longer on, by ada
2000-01-01 12:15:40Z  shop (production): rollback v1.4.2 → v1.4.1
                      lib v1.4.2 → v1.4.1 (downgraded)
                      rev d4e5f6a1b2c3..a1b2c3d4e5f6`

const incidentMarkdown = `| Time (UTC) | What | Change |
| --- | --- | --- |
| 2000-01-01 12:04:10 | flag new\_checkout | off → on, by ada |
| 2000-01-01 12:05:40 | failure POST /checkout | 500 |
| 2000-01-01 12:15:40 | flag new\_checkout | no longer on, by ada |
| 2000-01-01 12:15:40 | shop (production) | **rollback v1.4.2 → v1.4.1**<br>lib v1.4.2 → v1.4.1 (downgraded)<br>rev d4e5f6a1b2c3..a1b2c3d4e5f6 |
`

func TestTimeline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := fileIn(t, nil)
		midnight := time.Now()
		incident(t, s)
		require.Equal(t, incidentText, timeline(t, s).String())
		l, err := history.Timeline(t.Context(), s, time.Now().Add(-12*time.Minute), time.Now())
		require.NoError(t, err)
		require.Equal(t, incidentMarkdown, l.Markdown())
		data, err := json.Marshal(l)
		require.NoError(t, err)
		require.Contains(t, string(data), `{"time":"2000-01-01T12:15:40Z","change":{"service":"shop","environment":"production","time":"2000-01-01T12:15:40Z","done":"2000-01-01T12:15:40Z","from":{`)

		changes, err := history.Between(t.Context(), s, midnight.Add(time.Hour), midnight.Add(12*time.Hour))
		require.NoError(t, err)
		require.Len(t, changes, 1)
		c := changes[0]
		require.Empty(t, c.Rollback)
		require.Equal(t, midnight.Add(11*time.Hour).UTC(), c.Time)
		require.Equal(t, midnight.Add(11*time.Hour+4*time.Minute+10*time.Second).UTC(), c.Done)
		require.Equal(t, version.ChangeKindUpgraded, c.Diff.Version.Kind)
		require.Equal(t, version.Diff(*c.From, *c.To), c.Diff)

		// During the rolling update both ran.
		running, err := history.At(t.Context(), s, midnight.Add(11*time.Hour+2*time.Minute))
		require.NoError(t, err)
		require.Len(t, running, 3)
		require.Equal(t, "v1.4.1 b", running[0].Info.Version+" "+running[0].Instances[0].Name)
		require.Equal(t, "v1.4.2 a", running[1].Info.Version+" "+running[1].Instances[0].Name)
		require.Equal(t, "till", running[2].Service)

		empty, err := history.Timeline(t.Context(), s, midnight.Add(time.Hour), midnight.Add(2*time.Hour))
		require.NoError(t, err)
		require.Equal(t, "nothing has changed", empty.String())
		require.Contains(t, empty.Markdown(), "nothing has changed")
	})
}

// TestUnderWay queries during a rolling update.
func TestUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		for _, i := range []string{"a", "b"} {
			require.NoError(t, history.Record(t.Context(), m, build("v1.0.0"), production(i)))
		}
		time.Sleep(time.Hour)
		require.NoError(t, history.Record(t.Context(), m, build("v2.0.0"), production("c")))
		time.Sleep(time.Minute)
		require.Contains(t, timeline(t, m).String(), "shop (production): v1.0.0 → v2.0.0, both are still seen")
		time.Sleep(10 * time.Minute)
		require.NotContains(t, timeline(t, m).String(), "both are still seen", "the old ones are silent")
	})
}

// TestRebuilt replaces a build by another build of the same version.
func TestRebuilt(t *testing.T) {
	t.Parallel()
	m := &memory{}
	a, b := build("v1.0.0"), build("v1.0.0")
	b.GoVersion = "go1.26.9"
	for _, i := range []version.Info{a, b} {
		require.NoError(t, history.Record(t.Context(), m, i, production("a")))
	}
	// Origins and conflicts do not make it another build.
	b.Origins = map[string]version.Origin{"dirty": version.OriginSnapshot}
	b.Conflicts = []version.Conflict{{Field: "name", Reason: "some"}}
	require.NoError(t, history.Record(t.Context(), m, b, production("a")))
	require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v1.0.0"}, moves(t, m))
	require.True(t, strings.HasSuffix(timeline(t, m).String(), "v1.0.0 → v1.0.0\n                      go1.26.8 → go1.26.9"))
}

// TestRollback has changes that are rollbacks, and changes that are not.
func TestRollback(t *testing.T) {
	t.Parallel()
	withRevision := func(release, revision, goVersion string) version.Info {
		i := build(release)
		i.Revision, i.GoVersion = revision, goVersion
		return i
	}
	for name, c := range map[string]struct {
		builds []version.Info
		last   string
	}{
		"a lower version than any":         {[]version.Info{build("v1.4.2"), build("v1.4.1")}, "rollback v1.4.2→v1.4.1"},
		"what ran before, without order":   {[]version.Info{build("build-9"), build("build-10"), build("build-9")}, "rollback build-10→build-9"},
		"another name without order":       {[]version.Info{build("build-10"), build("build-9")}, "update build-10→build-9"},
		"two back":                         {[]version.Info{build("v1.0.0"), build("v2.0.0"), build("v3.0.0"), build("v1.0.0")}, "rollback v3.0.0→v1.0.0"},
		"forth again is none":              {[]version.Info{build("v1.0.0"), build("v2.0.0"), build("v1.0.0"), build("v2.0.0")}, "update v1.0.0→v2.0.0"},
		"the old commit, built once more":  {[]version.Info{withRevision("x1", "a", "go1.26.7"), withRevision("x2", "b", "go1.26.7"), withRevision("x1", "a", "go1.26.8")}, "rollback x2→x1"},
		"the same commit, built once more": {[]version.Info{withRevision("x1", "a", "go1.26.7"), withRevision("x1", "a", "go1.26.8")}, "update x1→x1"},
	} {
		m := &memory{}
		for _, i := range c.builds {
			require.NoError(t, history.Record(t.Context(), m, i, production("a")))
		}
		list := moves(t, m)
		require.Len(t, list, len(c.builds), name)
		require.Equal(t, c.last, list[len(list)-1], name)
	}
}

// TestRollbackReasons checks the reason of rollbacks.
func TestRollbackReasons(t *testing.T) {
	t.Parallel()
	at := func(release string, day int) version.Info {
		i := build(release)
		i.Time, i.Revision = time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC), fmt.Sprint("commit-", day)
		return i
	}
	of := func(module, release string) version.Info {
		i := build(release)
		i.Module = module
		return i
	}
	for name, c := range map[string]struct {
		builds []version.Info
		want   history.Rollback
		guess  bool
	}{
		"ran before":                   {[]version.Info{build("v1.0.0"), build("v1.1.0"), build("v1.0.0")}, history.RollbackRanBefore, false},
		"lower release":                {[]version.Info{build("v1.1.0"), build("v1.0.0")}, history.RollbackLowerRelease, true},
		"lower release candidate":      {[]version.Info{build("v1.1.0-rc10"), build("v1.1.0-rc9")}, history.RollbackLowerRelease, true},
		"older commit":                 {[]version.Info{at("1.2.3-abc1234", 9), at("1.2.3-def5678", 8)}, history.RollbackOlderCommit, true},
		"older commit of a build":      {[]version.Info{at("build-9", 9), at("build-8", 8)}, history.RollbackOlderCommit, true},
		"later commit":                 {[]version.Info{at("1.2.3-def5678", 8), at("1.2.3-abc1234", 9)}, "", false},
		"later release, older commit":  {[]version.Info{at("v1.2.3", 9), at("v1.2.4", 8)}, "", false},
		"suffixes without order":       {[]version.Info{build("1.2.3-def5678"), build("1.2.3-abc1234")}, "", false},
		"release candidates":           {[]version.Info{build("v1.2.3-rc9"), build("v1.2.3-rc10")}, "", false},
		"revisions of a package":       {[]version.Info{build("1.2.3-1ubuntu9"), build("1.2.3-1ubuntu10")}, "", false},
		"a hotfix":                     {[]version.Info{build("v1.2.3"), build("v1.2.3-hotfix.1")}, "", false},
		"a development build":          {[]version.Info{build("v1.2.3"), build("0.0.0-dev")}, "", false},
		"a shallow clone":              {[]version.Info{build("v1.2.3"), build("v0.0.0-20260102150405-abcdef123456")}, "", false},
		"another module":               {[]version.Info{of("example.com/a/v5", "v5.0.0"), of("example.com/b", "v1.0.0")}, "", false},
		"an earlier major of a module": {[]version.Info{of("example.com/a/v5", "v5.0.0"), of("example.com/a/v4", "v4.0.0")}, history.RollbackLowerRelease, true},
	} {
		m := &memory{}
		for _, i := range c.builds {
			require.NoError(t, history.Record(t.Context(), m, i, production("a")))
		}
		changes, err := history.Between(t.Context(), m, time.Time{}, time.Time{})
		require.NoError(t, err)
		last := changes[len(changes)-1]
		require.Equal(t, c.want, last.Rollback, name)
		require.Equal(t, c.guess, last.Rollback.Guess(), name)
		require.Equal(t, c.guess, strings.Contains(timeline(t, m).String(), "probably a rollback ("+string(c.want)+")"), name)
	}
}

// TestRollbackDeclared has a rollback that only the deployer knows of.
func TestRollbackDeclared(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	require.NoError(t, history.Record(t.Context(), s, build("build-b"), production("a")))
	back := production("a")
	back.Rollback = true
	require.NoError(t, history.Record(t.Context(), s, build("build-a"), back))
	changes, err := history.Between(t.Context(), s, time.Time{}, time.Time{})
	require.NoError(t, err)
	require.Equal(t, history.RollbackDeclared, changes[1].Rollback)
	require.False(t, changes[1].Rollback.Guess())
	require.Contains(t, timeline(t, s).String(), "rollback build-b → build-a")
}

// TestPlaces: services and environments are separate tracks.
func TestPlaces(t *testing.T) {
	t.Parallel()
	m := &memory{}
	for _, d := range []string{"production", "staging", "production"} {
		for _, name := range []string{"shop", "till"} {
			require.NoError(t, history.Record(t.Context(), m, buildOf(name, "v1.0.0"), history.Deployment{Environment: d, Instance: name}))
		}
	}
	require.Len(t, moves(t, m), 4)
	running, err := history.Current(t.Context(), m)
	require.NoError(t, err)
	var list []string
	for _, r := range running {
		list = append(list, r.Service+" "+r.Environment)
	}
	require.Equal(t, []string{"shop production", "shop staging", "till production", "till staging"}, list)
}

// TestMarkdownOfARemark has an event without a change, but with a wrong clock.
func TestMarkdownOfARemark(t *testing.T) {
	t.Parallel()
	l := history.List{Items: []history.Item{{
		Time: clock("11:00"), Reported: clock("14:00"), Event: &history.Event{Kind: "failure", Subject: "y"},
	}}}
	require.Contains(t, l.Markdown(), "| failure y | its own clock said 2026-01-05 14:00:00Z |")
}
