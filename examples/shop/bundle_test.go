package main

import (
	"log/slog"
	"net/http"
	"os"
	"testing"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// TestBundle replays a request that failed in the shop. SHOP_BUNDLE is the path of its bundle, which
// the tour prints. The test fails as long as the shop has the bug.
func TestBundle(t *testing.T) {
	bundle := os.Getenv("SHOP_BUNDLE")
	if bundle == "" {
		t.Skip("SHOP_BUNDLE is empty; go run ./examples/shop -tour makes a bundle and prints how to replay it")
	}
	replay.Run(t, bundle, func(c *replay.Case) http.Handler {
		store := &storefront{flags: c.FlagClient(), prices: "http://prices.example", client: c.HTTPClient(), log: slog.New(slog.DiscardHandler), carts: map[string][]string{}}
		return observe.Route(store.routes())
	})
}
