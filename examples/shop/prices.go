package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
)

// A price is the price and weight of an item.
type price struct {
	Cents int `json:"cents"`
	Grams int `json:"grams"` // that have to be shipped
}

// newPrices is the second service. It is observed like the first, so that one trace shows both. It
// refuses storefronts that are too old.
func newPrices(info version.Info, obs *observe.Observer, peers *compat.Policy) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices", func(w http.ResponseWriter, r *http.Request) {
		obs.Logger().DebugContext(r.Context(), "sending the prices")
		writeJSON(w, http.StatusOK, map[string]price{
			"coffee":    {Cents: 1290, Grams: 500},
			"tea":       {Cents: 890, Grams: 100},
			"cup":       {Cents: 1450, Grams: 350},
			"gift-card": {Cents: 2000, Grams: 0},
		})
	})
	return obs.Handler(version.Middleware(info, nil)(compat.Require(peers)(observe.Route(mux))))
}

func fetchPrices(r *http.Request, client *http.Client, url string) (map[string]price, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url+"/prices", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the price service answered %s", resp.Status)
	}
	var prices map[string]price
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&prices); err != nil {
		return nil, errors.Join(errors.New("reading the response of the price service"), err)
	}
	return prices, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}
