package flags_test

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// A flag that is faulty in two merged documents answers after a restart as it did before.
func TestRestartWithFaultsInSeveralDocuments(t *testing.T) {
	t.Parallel()
	doc := func(value, standard string) string {
		return `flags: {x: {variants: {v: ` + value + `}, defaultVariant: ` + standard + `}, y: {variants: {v: ` + value + `}, defaultVariant: v}}`
	}
	for name, steps := range map[string][][2]string{
		"the later first":            {{doc("base", "v"), doc("over", "v")}, {doc("base", "v"), doc("over2", "w")}, {doc("base2", "w"), doc("over2", "w")}},
		"the earlier first":          {{doc("base", "v"), doc("over", "v")}, {doc("base2", "w"), doc("over", "v")}, {doc("base2", "w"), doc("over2", "w")}},
		"both at once":               {{doc("base", "v"), doc("over", "v")}, {doc("base2", "w"), doc("over2", "w")}},
		"the earlier alone was good": {{doc("base", "v"), doc("over", "w")}, {doc("base2", "w"), doc("over2", "w")}},
		"the later is back":          {{doc("base", "v"), doc("over", "v")}, {doc("base2", "w"), doc("over2", "w")}, {doc("base2", "w"), doc("over3", "v")}, {doc("base2", "w"), doc("over4", "w")}},
		"the earlier is back":        {{doc("base", "v"), doc("over", "v")}, {doc("base2", "w"), doc("over2", "w")}, {doc("base3", "v"), doc("over2", "w")}, {doc("base4", "w"), doc("over4", "w")}},
		"lost in the later":          {{doc("base", "v"), doc("over", "v")}, {doc("base2", "w"), `flags: {y: {variants: {v: over2}, defaultVariant: v}}`}},
		"lost in the earlier":        {{doc("base", "v"), doc("over", "v")}, {`flags: {y: {variants: {v: over2}, defaultVariant: v}}`, doc("over2", "w")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				base, over := &script{}, &script{}
				kept := filepath.Join(t.TempDir(), "kept.json")
				start := func() *flags.Provider {
					p, err := flags.Open(t.Context(), flags.Merge(base, over), &flags.Options{LastGood: kept, Logger: quiet})
					require.NoError(t, err)
					return p
				}
				var p *flags.Provider
				defer func() { _ = p.Close() }()
				for i, step := range steps {
					base.set(step[0], nil)
					over.set(step[1], nil)
					if i == 0 {
						p = start()
					}
					time.Sleep(40 * time.Second)
					before, revision := answers(p), p.Revision()
					t.Log(i, before)
					require.NoError(t, p.Close())
					for range 2 {
						p = start()
						require.Equal(t, before, answers(p), "step %d", i)
						require.Equal(t, revision, p.Revision(), "step %d", i)
						require.NoError(t, p.Close())
					}
					base.set("", errors.New("down"))
					over.set("", errors.New("down"))
					p = start()
					require.Equal(t, before, answers(p), "step %d, without the sources", i)
					base.set(step[0], nil)
					over.set(step[1], nil)
					time.Sleep(40 * time.Second)
					require.Equal(t, before, answers(p), "step %d, with the sources back", i)
				}
				require.NoError(t, p.Close())
			})
		})
	}
}
