package replay_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// divider has a bug behind a flag.
func divider(flags openfeature.IClient, fixed bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		people := 0
		if r.FormValue("people") != "" {
			_, _ = fmt.Sscan(r.FormValue("people"), &people)
		}
		if fixed && people == 0 {
			http.Error(w, "for whom?", http.StatusBadRequest)
			return
		}
		if flags.Boolean(r.Context(), "fair-shares", false, openfeature.EvaluationContext{}) {
			fmt.Fprintln(w, 100/people)
		}
	})
}

// A request fails in production. Its bundle is a test that fails in the same way on a
// desk, until the bug is fixed.
func Example() {
	folder, err := os.MkdirTemp("", "captures-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	// Production has the flag on.
	api := isolated.NewAPI()
	defer api.Shutdown(context.Background())
	err = api.SetProviderAndWait(context.Background(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"fair-shares": {State: memprovider.Enabled, DefaultVariant: "on", Variants: map[string]any{"on": true}},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := capture.NewDir(folder, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler, Captures: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	flags := api.NewClient()
	flags.AddHooks(obs.FlagHook())
	obs.Handler(divider(flags, false)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?people=0", nil))
	if err := obs.Close(); err != nil { // which writes what waits
		fmt.Println(err)
		return
	}
	bundles, err := filepath.Glob(filepath.Join(folder, "*.har"))
	if err != nil {
		fmt.Println(err)
		return
	}

	// The desk has no flags but those of the bundle.
	desk := func(o replay.Options, fixed bool) {
		t := &deskTest{}
		verdict := o.Run(t, bundles[0], func(c *replay.Case) http.Handler { return divider(c.FlagClient(), fixed) })
		fmt.Printf("fixed: %t, Status: %d, the verdict is %v, the test fails: %t\n", fixed, o.Status, verdict, t.failed)
	}
	desk(replay.Options{}, false)
	desk(replay.Options{}, true) // a 400 may also come from what redaction hid
	desk(replay.Options{Status: 400}, true)
	// Output:
	// fixed: false, Status: 0, the verdict is reproduced, the test fails: true
	// fixed: true, Status: 0, the verdict is inconclusive, the test fails: true
	// fixed: true, Status: 400, the verdict is fixed, the test fails: false
}

// deskTest stands for the *testing.T that a test has.
type deskTest struct {
	testing.TB
	failed bool
}

func (*deskTest) Helper()                     {}
func (*deskTest) Context() context.Context    { return context.Background() }
func (*deskTest) Logf(string, ...any)         {}
func (t *deskTest) Errorf(string, ...any)     { t.failed = true }
func (t *deskTest) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (t *deskTest) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// coupons has a bug that only one coupon shows.
func coupons(fixed bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("coupon") == "SPRING" && !fixed {
			panic("no such season")
		}
	})
}

// The coupon is hidden, so a request that does not fail proves nothing: the bug is still there.
// A redaction that keeps the coupon makes both outcomes proofs.
func ExampleVerdict() {
	for _, rules := range []*capture.Redaction{{}, {Fields: []string{"coupon"}}} {
		folder, err := os.MkdirTemp("", "captures-")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer os.RemoveAll(folder)
		store, err := capture.NewDir(folder, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler, Captures: store, Capture: observe.CaptureOptions{Redact: rules}})
		if err != nil {
			fmt.Println(err)
			return
		}
		obs.Handler(coupons(false)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?coupon=SPRING", nil))
		if err := obs.Close(); err != nil {
			fmt.Println(err)
			return
		}
		bundles, err := filepath.Glob(filepath.Join(folder, "*.har"))
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, fixed := range []bool{false, true} {
			verdict := replay.Run(&deskTest{}, bundles[0], func(*replay.Case) http.Handler { return coupons(fixed) })
			fmt.Printf("keeps %q, fixed: %t, the verdict is %v\n", rules.Fields, fixed, verdict)
		}
	}
	// Output:
	// keeps [], fixed: false, the verdict is inconclusive
	// keeps [], fixed: true, the verdict is inconclusive
	// keeps ["coupon"], fixed: false, the verdict is reproduced
	// keeps ["coupon"], fixed: true, the verdict is fixed
}

// In a test it is one call.
func ExampleRun() {
	_ = func(t *testing.T) {
		replay.Run(t, "testdata/case.har", func(c *replay.Case) http.Handler {
			return divider(c.FlagClient(), true)
		})
	}
}

// What redaction took away is put back, and the answer is compared with the recorded one.
func ExampleOptions_Run() {
	_ = func(t *testing.T) {
		replay.Options{
			Key:        []byte(os.Getenv("CAPTURE_KEY")),
			AsRecorded: true,
			Prepare:    func(r *http.Request) { r.Header.Set("Authorization", "Bearer of-the-test") },
			Ignore:     []string{"header Etag", "body $.items[*].id"},
		}.Run(t, "testdata/case.har", func(c *replay.Case) http.Handler {
			return divider(c.FlagClient(), true)
		})
	}
}
