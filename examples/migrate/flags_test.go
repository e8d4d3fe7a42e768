package migrate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldbuilders"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldmodel"
	ld "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"
	"github.com/launchdarkly/go-server-sdk/v7/testhelpers/ldtestdata"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"
)

// clientOf returns a client of a provider, in an API of its own.
func clientOf(t *testing.T, provider openfeature.FeatureProvider, err error) openfeature.IClient {
	t.Helper()
	require.NoError(t, err)
	api := isolated.NewAPI()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, api.SetProviderAndWait(ctx, provider))
	t.Cleanup(func() { _ = api.Shutdown(context.Background()) })
	return api.NewClient()
}

const users = 2000

// flagd's provider and upkeep read the same document. This provider has flagd's retired bucketing, so
// that only the shares are the same; internal/interop/flagd compares user by user with flagd core
// v0.16.1.
func TestFlagd(t *testing.T) {
	before, err := flagdBefore()
	old := clientOf(t, before, err)
	after, err := flagdAfter()
	client := clientOf(t, after, err)
	subject := func(user, email string) openfeature.EvaluationContext {
		return openfeature.NewEvaluationContext(user, map[string]any{"email": email})
	}
	compare(t, func(user, email string) (bool, error) {
		return old.BooleanValue(t.Context(), "new-checkout", false, subject(user, email))
	}, func(user, email string) bool { return NewCheckout.Value(t.Context(), client, subject(user, email)) })
}

// Other products put users into other buckets. The share of users and the rules are the same.
func TestGoFeatureFlag(t *testing.T) {
	old, err := goFeatureFlagOpen(t.Context())
	require.NoError(t, err)
	defer old.Close()
	after, err := flagdAfter()
	client := clientOf(t, after, err)
	compare(t, func(user, email string) (bool, error) { return goFeatureFlagBefore(old, user, email) },
		func(user, email string) bool { return goFeatureFlagAfter(t.Context(), client, user, email) })
}

func TestLaunchDarkly(t *testing.T) {
	data := ldtestdata.DataSource()
	data.UsePreconfiguredFlag(ldbuilders.NewFlagBuilder("new-checkout").On(true).Version(1).Salt("salt").
		Variations(ldvalue.Bool(true), ldvalue.Bool(false)).OffVariation(1).
		AddRule(ldbuilders.NewRuleBuilder().ID("staff").Variation(0).
			Clauses(ldbuilders.Clause("email", ldmodel.OperatorEndsWith, ldvalue.String("@shop.example")))).
		Fallthrough(ldbuilders.Rollout(ldbuilders.Bucket(0, 25_000), ldbuilders.Bucket(1, 75_000))).Build())
	old, err := ld.MakeCustomClient("no-key", ld.Config{
		DataSource: data, Events: ldcomponents.NoEvents(), Logging: ldcomponents.NoLogging(), DiagnosticOptOut: true,
	}, time.Minute)
	require.NoError(t, err)
	defer old.Close()
	after, err := flagdAfter()
	client := clientOf(t, after, err)
	compare(t, func(user, email string) (bool, error) { return launchDarklyBefore(old, user, email) },
		func(user, email string) bool { return launchDarklyAfter(t.Context(), client, user, email) })
}

// compare checks that staff get the flag before and after, and other users in the same share.
func compare(t *testing.T, before func(user, email string) (bool, error), after func(user, email string) bool) {
	t.Helper()
	was, is := 0, 0
	for i := range users {
		user := fmt.Sprint("user-", i)
		on, err := before(user, user+"@shop.example")
		require.NoError(t, err)
		require.True(t, on)
		require.True(t, after(user, user+"@shop.example"))
		on, err = before(user, user+"@mail.example")
		require.NoError(t, err)
		if on {
			was++
		}
		if after(user, user+"@mail.example") {
			is++
		}
	}
	requireQuarter(t, was)
	requireQuarter(t, is)
}

func requireQuarter(t *testing.T, on int) {
	t.Helper()
	require.InDelta(t, users/4, on, users/20)
}
