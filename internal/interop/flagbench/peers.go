package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	unleash "github.com/Unleash/unleash-go-sdk/v5"
	unleashcontext "github.com/Unleash/unleash-go-sdk/v5/context"
	growthbook "github.com/growthbook/growthbook-golang"
	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldbuilders"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldmodel"
	launchdarkly "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"
	"github.com/launchdarkly/go-server-sdk/v7/testhelpers/ldtestdata"
	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	ffclient "github.com/thomaspoignant/go-feature-flag"
	"github.com/thomaspoignant/go-feature-flag/ffcontext"
	"github.com/twmb/murmur3"
	"go.uber.org/zap"

	"github.com/upkeep-go/upkeep/flags"
)

// An engine is one contender, loaded with the three flags. prepare returns the call that is measured: the
// flag for the user, whose context is made beforehand in the engine's own type. Optional parts of an engine,
// such as events, metrics and logs, are off, except that upkeep counts usage unless the name says
// otherwise.
type engine struct {
	name    string
	prepare func(flag string, u user) func() bool
}

// engines opens all contenders. The first is upkeep's provider, to which the ratios refer. closeAll closes
// them.
func engines(ctx context.Context) (all []engine, closeAll func(), err error) {
	var closers []func()
	closeAll = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, open := range []func(context.Context) ([]engine, func(), error){
		openUpkeep, openMemory, openGrowthBook, openLaunchDarkly, openUnleash, openGoFeatureFlag, openFlagd,
	} {
		some, closer, err := open(ctx)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		all, closers = append(all, some...), append(closers, closer)
	}
	return all, closeAll, nil
}

var quiet = slog.New(slog.DiscardHandler)

func openUpkeep(ctx context.Context) ([]engine, func(), error) {
	counting, err := flags.Open(ctx, flags.Bytes("flags.json", flagdDocument()), &flags.Options{Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	bare, err := flags.Open(ctx, flags.Bytes("flags.json", flagdDocument()), &flags.Options{Logger: quiet, WithoutUsage: true})
	if err != nil {
		return nil, nil, err
	}
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(ctx, counting); err != nil {
		return nil, nil, err
	}
	client := api.NewClient()

	direct := func(p *flags.Provider) func(string, user) func() bool {
		return func(flag string, u user) func() bool {
			flat := openfeature.FlattenedContext(u.flat())
			return func() bool { return p.BooleanEvaluation(ctx, flag, false, flat).Value }
		}
	}
	bound := func(p *flags.Provider) func(string, user) func() bool {
		return func(flag string, u user) func() bool {
			handle, attributes := flags.Bool(flag, false).Bind(p), flags.Attributes(u.flat())
			return func() bool { return handle.Value(ctx, attributes) }
		}
	}
	closeAll := func() {
		_ = api.Shutdown(ctx)
		_ = counting.Close()
		_ = bare.Close()
	}
	return []engine{
		{"upkeep, provider", direct(counting)},
		{"upkeep, provider, usage not counted", direct(bare)},
		{"upkeep, bound handle", bound(counting)},
		{"upkeep, bound handle, usage not counted", bound(bare)},
		{"upkeep, OpenFeature client", viaClient(ctx, client)},
	}, closeAll, nil
}

func viaClient(ctx context.Context, client openfeature.IClient) func(string, user) func() bool {
	return func(flag string, u user) func() bool {
		evalCtx := openfeature.NewEvaluationContext(u.key, u.attributes)
		return func() bool { return client.Boolean(ctx, flag, false, evalCtx) }
	}
}

// openMemory is OpenFeature's provider for tests, whose rules are Go functions, as one would write by hand.
func openMemory(ctx context.Context) ([]engine, func(), error) {
	variants := map[string]any{"on": true, "off": false}
	definitions := map[string]memprovider.InMemoryFlag{
		static: {Key: static, State: memprovider.Enabled, DefaultVariant: "on", Variants: variants},
	}
	for flag, all := range conditions {
		evaluate := func(this memprovider.InMemoryFlag, flat openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail) {
			variant := "off"
			if holds(all, flat) {
				key, _ := flat[openfeature.TargetingKey].(string)
				if uint64(murmur3.StringSum32(this.Key+key))*2>>32 == 0 {
					variant = "on"
				}
			}
			return this.Variants[variant], openfeature.ProviderResolutionDetail{Reason: openfeature.TargetingMatchReason, Variant: variant}
		}
		definitions[flag] = memprovider.InMemoryFlag{
			Key: flag, State: memprovider.Enabled, DefaultVariant: "off", Variants: variants, ContextEvaluator: &evaluate,
		}
	}
	p := memprovider.NewInMemoryProvider(definitions)
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(ctx, p); err != nil {
		return nil, nil, err
	}
	return []engine{
		{"OpenFeature in-memory provider", func(flag string, u user) func() bool {
			flat := openfeature.FlattenedContext(u.flat())
			return func() bool { return p.BooleanEvaluation(ctx, flag, false, flat).Value }
		}},
		{"OpenFeature in-memory provider, client", viaClient(ctx, api.NewClient())},
	}, func() { _ = api.Shutdown(ctx) }, nil
}

func holds(all []condition, flat openfeature.FlattenedContext) bool {
	for _, c := range all {
		s, _ := flat[c.attribute].(string)
		var ok bool
		switch c.op {
		case in:
			for _, v := range c.values {
				ok = ok || s == v
			}
		case startsWith:
			ok = strings.HasPrefix(s, c.values[0])
		case endsWith:
			ok = strings.HasSuffix(s, c.values[0])
		case atLeast:
			n, isNumber := flat[c.attribute].(float64)
			ok = isNumber && n >= c.number
		}
		if !ok {
			return false
		}
	}
	return true
}

func openFlagd(ctx context.Context) ([]engine, func(), error) {
	log := logger.NewLogger(zap.NewNop(), false)
	s, err := store.NewStore(log, []string{"flags.json"})
	if err != nil {
		return nil, nil, err
	}
	core := evaluator.NewJSON(log, s)
	if err := core.SetState(sync.DataSync{Source: "flags.json", FlagData: string(flagdDocument())}); err != nil {
		return nil, nil, err
	}
	return []engine{{"flagd core v0.16.1", func(flag string, u user) func() bool {
		flat := u.flat()
		return func() bool {
			on, _, _, _, _ := core.ResolveBooleanValue(ctx, "", flag, flat)
			return on
		}
	}}}, func() {}, nil
}

// A memoryRetriever returns GO Feature Flag's document.
type memoryRetriever []byte

func (r memoryRetriever) Retrieve(context.Context) ([]byte, error) { return r, nil }

func openGoFeatureFlag(ctx context.Context) ([]engine, func(), error) {
	variations := map[string]any{"on": true, "off": false}
	document := map[string]any{static: map[string]any{
		"variations": variations, "defaultRule": map[string]any{"variation": "on"}, "trackEvents": false,
	}}
	for flag, all := range conditions {
		var queries []string
		for _, c := range all {
			switch c.op {
			case in:
				queries = append(queries, c.attribute+" in "+string(encode(c.values)))
			case startsWith:
				queries = append(queries, c.attribute+" sw "+strconv.Quote(c.values[0]))
			case endsWith:
				queries = append(queries, c.attribute+" ew "+strconv.Quote(c.values[0]))
			case atLeast:
				queries = append(queries, fmt.Sprintf("%s ge %g", c.attribute, c.number))
			}
		}
		document[flag] = map[string]any{
			"variations": variations, "defaultRule": map[string]any{"variation": "off"}, "trackEvents": false,
			"targeting": []any{map[string]any{
				"query": strings.Join(queries, " and "), "percentage": map[string]any{"on": 50, "off": 50},
			}},
		}
	}
	client, err := ffclient.New(ffclient.Config{
		Context: ctx, Retriever: memoryRetriever(encode(document)), FileFormat: "json", PollingInterval: -1, LeveledLogger: quiet,
	})
	if err != nil {
		return nil, nil, err
	}
	return []engine{{"GO Feature Flag v1.55.2", func(flag string, u user) func() bool {
		b := ffcontext.NewEvaluationContextBuilder(u.key)
		for name, v := range u.attributes {
			b.AddCustom(name, v)
		}
		evalCtx := b.Build()
		return func() bool {
			on, _ := client.BoolVariation(flag, evalCtx, false)
			return on
		}
	}}}, client.Close, nil
}

func openLaunchDarkly(context.Context) ([]engine, func(), error) {
	data := ldtestdata.DataSource()
	boolean := func(key string) *ldbuilders.FlagBuilder {
		return ldbuilders.NewFlagBuilder(key).On(true).Variations(ldvalue.Bool(false), ldvalue.Bool(true)).OffVariation(0)
	}
	data.UsePreconfiguredFlag(boolean(static).FallthroughVariation(1).Build())
	for flag, all := range conditions {
		var clauses []ldmodel.Clause
		for _, c := range all {
			switch c.op {
			case in:
				var values []ldvalue.Value
				for _, v := range c.values {
					values = append(values, ldvalue.String(v))
				}
				clauses = append(clauses, ldbuilders.Clause(c.attribute, ldmodel.OperatorIn, values...))
			case startsWith:
				clauses = append(clauses, ldbuilders.Clause(c.attribute, ldmodel.OperatorStartsWith, ldvalue.String(c.values[0])))
			case endsWith:
				clauses = append(clauses, ldbuilders.Clause(c.attribute, ldmodel.OperatorEndsWith, ldvalue.String(c.values[0])))
			case atLeast:
				clauses = append(clauses, ldbuilders.Clause(c.attribute, ldmodel.OperatorGreaterThanOrEqual, ldvalue.Float64(c.number)))
			}
		}
		half := ldbuilders.Rollout(ldbuilders.Bucket(1, 50_000), ldbuilders.Bucket(0, 50_000))
		data.UsePreconfiguredFlag(boolean(flag).Salt(flag).FallthroughVariation(0).
			AddRule(ldbuilders.NewRuleBuilder().ID("half").Clauses(clauses...).VariationOrRollout(half)).Build())
	}
	client, err := launchdarkly.MakeCustomClient("no-key", launchdarkly.Config{
		DataSource: data, Events: ldcomponents.NoEvents(), Logging: ldcomponents.NoLogging(), DiagnosticOptOut: true,
	}, 5*time.Second)
	if err != nil {
		return nil, nil, err
	}
	return []engine{{"LaunchDarkly v7.14.6", func(flag string, u user) func() bool {
		b := ldcontext.NewBuilder(u.key)
		for name, v := range u.attributes {
			b.SetValue(name, ldvalue.CopyArbitraryValue(v))
		}
		evalCtx := b.Build()
		return func() bool {
			on, _ := client.BoolVariation(flag, evalCtx, false)
			return on
		}
	}}}, func() { _ = client.Close() }, nil
}

// A memoryTransport answers Unleash's requests for its features without a network.
type memoryTransport []byte

func (t memoryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(t))),
	}, nil
}

func openUnleash(context.Context) ([]engine, func(), error) {
	features := []any{map[string]any{
		"name": static, "enabled": true, "strategies": []any{map[string]any{"name": "default"}},
	}}
	for flag, all := range conditions {
		var constraints []any
		for _, c := range all {
			constraint := map[string]any{"contextName": c.attribute, "values": c.values}
			switch c.op {
			case in:
				constraint["operator"] = "IN"
			case startsWith:
				constraint["operator"] = "STR_STARTS_WITH"
			case endsWith:
				constraint["operator"] = "STR_ENDS_WITH"
			case atLeast:
				constraint["operator"], constraint["value"] = "NUM_GTE", strconv.FormatFloat(c.number, 'f', -1, 64)
			}
			constraints = append(constraints, constraint)
		}
		features = append(features, map[string]any{
			"name": flag, "enabled": true, "strategies": []any{map[string]any{
				"name": "flexibleRollout", "constraints": constraints,
				"parameters": map[string]any{"rollout": "50", "stickiness": "userId", "groupId": flag},
			}},
		})
	}
	document := encode(map[string]any{"version": 2, "features": features})
	client, err := unleash.NewClient(
		unleash.WithAppName("flagbench"), unleash.WithUrl("http://memory.invalid/"), unleash.WithDisableMetrics(true),
		unleash.WithHttpClient(&http.Client{Transport: memoryTransport(document)}), unleash.WithRefreshInterval(time.Hour),
		unleash.WithStorage(&unleash.BootstrapStorage{Reader: strings.NewReader(string(document))}),
		unleash.WithListener(&unleash.NoopListener{}),
	)
	if err != nil {
		return nil, nil, err
	}
	client.WaitForReady() // not Ready, because its own listener may take Ready's only value
	return []engine{{"Unleash v5.1.0", func(flag string, u user) func() bool {
		evalCtx := unleashcontext.Context{UserId: u.key, Properties: map[string]string{}}
		for name, v := range u.attributes {
			evalCtx.Properties[name] = fmt.Sprint(v)
		}
		with := unleash.WithContext(evalCtx)
		return func() bool { return client.IsEnabled(flag, with) }
	}}}, func() { _ = client.Close() }, nil
}

func openGrowthBook(ctx context.Context) ([]engine, func(), error) {
	features := map[string]any{static: map[string]any{"defaultValue": true}}
	for flag, all := range conditions {
		wanted := map[string]any{}
		for _, c := range all {
			switch c.op { // for starts and ends of a string it has only regular expressions
			case in:
				wanted[c.attribute] = map[string]any{"$in": c.values}
			case startsWith:
				wanted[c.attribute] = map[string]any{"$regex": "^" + regexp.QuoteMeta(c.values[0])}
			case endsWith:
				wanted[c.attribute] = map[string]any{"$regex": regexp.QuoteMeta(c.values[0]) + "$"}
			case atLeast:
				wanted[c.attribute] = map[string]any{"$gte": c.number}
			}
		}
		features[flag] = map[string]any{
			"defaultValue": false,
			"rules":        []any{map[string]any{"condition": wanted, "force": true, "coverage": 0.5, "hashAttribute": "id"}},
		}
	}
	client, err := growthbook.NewClient(ctx, growthbook.WithJsonFeatures(string(encode(features))), growthbook.WithLogger(quiet))
	if err != nil {
		return nil, nil, err
	}
	return []engine{{"GrowthBook v0.7.0", func(flag string, u user) func() bool {
		attributes := growthbook.Attributes{"id": u.key}
		for name, v := range u.attributes {
			attributes[name] = v
		}
		child, err := client.WithAttributes(attributes)
		if err != nil {
			return func() bool { return false } // sharesOf reports it
		}
		return func() bool { return child.EvalFeature(ctx, flag).On }
	}}}, func() { _ = client.Close() }, nil
}
