package migrate

import (
	"context"

	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	ld "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/open-feature/go-sdk/openfeature"
)

func launchDarklyBefore(client *ld.LDClient, user, email string) (bool, error) {
	subject := ldcontext.NewBuilder(user).SetString("email", email).Build()
	return client.BoolVariation("new-checkout", subject, false)
}

func launchDarklyAfter(ctx context.Context, client openfeature.IClient, user, email string) bool {
	subject := openfeature.NewEvaluationContext(user, map[string]any{"email": email})
	return NewCheckout.Value(ctx, client, subject)
}
