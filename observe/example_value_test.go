package observe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// A handler reads a database and the clock. The bundle of a failed request has both results,
// so the replay needs neither.
func ExampleValue() {
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
	obs, err := observe.New(&observe.Options{
		Log:      slog.DiscardHandler,
		Captures: store,
		Capture:  observe.CaptureOptions{Redact: &capture.Redaction{Values: []string{"now"}, JSON: []string{"$.Stock"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	type row struct {
		Buyer string
		Stock int
	}
	service := obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		item, err := observe.Value(r.Context(), "item", func(ctx context.Context) (row, error) {
			return row{"ann@shop.test", -1}, nil // db.QueryRowContext(ctx, …).Scan(…)
		})
		if err != nil {
			observe.Fail(r.Context(), err)
			return
		}
		now, _ := observe.Value(r.Context(), "now", func(context.Context) (time.Time, error) {
			return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), nil // time.Now()
		})
		if item.Stock < 0 {
			observe.Fail(r.Context(), fmt.Errorf("less than nothing since %v", now))
		}
	}))
	service.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := obs.Close(); err != nil { // which writes what waits
		fmt.Println(err)
		return
	}

	entries, err := fs.ReadDir(store, ".")
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := fs.ReadFile(store, entries[0].Name())
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle, err := capture.Parse(entries[0].Name(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	var item struct{ Stock int }
	for _, v := range bundle.Log.Details.Values {
		if v.Name == "item" {
			_ = json.Unmarshal(v.Result, &item)
			fmt.Println("item: stock", item.Stock, "and a buyer with another name")
		} else {
			fmt.Printf("%s: %s\n", v.Name, v.Result)
		}
	}
	// Output:
	// item: stock -1 and a buyer with another name
	// now: "2026-03-14T15:09:26Z"
}
