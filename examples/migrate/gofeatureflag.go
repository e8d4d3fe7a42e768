package migrate

import (
	"context"

	"github.com/open-feature/go-sdk/openfeature"
	ffclient "github.com/thomaspoignant/go-feature-flag"
	"github.com/thomaspoignant/go-feature-flag/ffcontext"
	"github.com/thomaspoignant/go-feature-flag/retriever/fileretriever"

	"github.com/upkeep-go/upkeep/flags"
)

func goFeatureFlagOpen(ctx context.Context) (*ffclient.GoFeatureFlag, error) {
	return ffclient.New(ffclient.Config{Context: ctx, Retriever: &fileretriever.Retriever{Path: "gofeatureflag.yaml"}})
}

func goFeatureFlagBefore(client *ffclient.GoFeatureFlag, user, email string) (bool, error) {
	subject := ffcontext.NewEvaluationContextBuilder(user).AddCustom("email", email).Build()
	return client.BoolVariation("new-checkout", subject, false)
}

// NewCheckout is declared once, next to the code that it switches.
var NewCheckout = flags.Bool("new-checkout", false)

func goFeatureFlagAfter(ctx context.Context, client openfeature.IClient, user, email string) bool {
	subject := openfeature.NewEvaluationContext(user, map[string]any{"email": email})
	return NewCheckout.Value(ctx, client, subject)
}
