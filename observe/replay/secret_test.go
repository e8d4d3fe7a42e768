package replay_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// leaky is a service that carries what it is sent everywhere: into logs, outbound calls,
// flags, values, its answer, and the panic or error that it ends with.
type leaky struct {
	flags  openfeature.IClient
	client *http.Client
	log    *slog.Logger
	row    string // what its database says
	end    string
}

func (l *leaky) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /people/{id}/orders", l.serve)
	return observe.Route(mux)
}

func (l *leaky) serve(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var order struct {
		Mail  string            `json:"mail"`
		Token string            `json:"token"`
		Extra map[string]string `json:"extra"`
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &order); err != nil {
		http.Error(w, "no order", http.StatusBadRequest)
		return
	}
	id, session := r.PathValue("id"), ""
	if c, err := r.Cookie("session"); err == nil {
		session = c.Value
	}
	// What was the same is the same, or the order is refused.
	if r.FormValue("as") != id || r.Header.Get("X-Session") != session {
		http.Error(w, "not yours", http.StatusForbidden)
		return
	}
	l.log.DebugContext(ctx, "order of "+id, "token", order.Token, "order", order, slog.Group("who", "mail", order.Mail))
	l.log.WarnContext(ctx, fmt.Sprintf("got %q", order.Token))
	row, err := observe.Value(ctx, "row", func(context.Context) (map[string]string, error) {
		return map[string]string{"id": id, "secret": l.row}, nil
	})
	if err != nil || row["id"] != id {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	_, _ = observe.Value(ctx, "broken", func(context.Context) (int, error) { return 0, errors.New("cannot read " + l.row) })
	notice := l.flags.String(ctx, "notice", "", openfeature.NewEvaluationContext(order.Mail, map[string]any{"id": id}))
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://others.test/people/"+url.PathEscape(id)+"?q="+url.QueryEscape(order.Token), strings.NewReader(string(body)))
	req.Header.Set("Authorization", "Bearer "+order.Token)
	req.Header.Set("X-Notice", base64.StdEncoding.EncodeToString([]byte(notice)))
	resp, err := l.client.Do(req)
	if err != nil {
		observe.Fail(ctx, fmt.Errorf("calling for %s: %w", id, err))
		return
	}
	answer, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	w.Header().Set("X-Answer", hex.EncodeToString(answer))
	w.Header().Set("Set-Cookie", "session="+session)
	w.Header().Set("Location", "/people/"+url.PathEscape(id))
	switch l.end {
	case "panic":
		panic(fmt.Sprintf("no order for %s with %q", id, order.Token))
	case "panic with an error":
		panic(fmt.Errorf("order %v", order))
	case "panic of the runtime":
		_ = []int(nil)[len(row)]
	case "fail":
		observe.Fail(ctx, &url.Error{Op: "order", URL: "http://x/" + order.Token, Err: errors.New(order.Mail)})
	case "status":
		w.WriteHeader(http.StatusBadGateway)
	case "fixed":
		return
	}
	_, _ = fmt.Fprintf(w, "%s %s %s %s", id, order.Token, row["secret"], answer)
}

// Wherever a secret comes in, and wherever the service carries it, it is not on the disk;
// and the bundle fails on the desk as the request did in production.
func TestPlantedSecretsNeverReachTheDiskAndTheReplayWorks(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(19, 84))
	ends := []string{"panic", "panic with an error", "panic of the runtime", "fail", "status"}
	for i := range testsize.Pick(10, 100, 1000) {
		secret := plantable(random)
		at := func() string {
			forms := writings(secret)
			if random.IntN(3) == 0 {
				return "harmless"
			}
			return forms[random.IntN(len(forms))]
		}
		end := ends[i%len(ends)]
		id, session, mail, token, row, notice, others := at(), base64.RawURLEncoding.EncodeToString([]byte(at())), at()+"@mail.test", at(), at(), at(), at()

		dir := t.TempDir()
		rules := capture.Redaction{Key: key, Words: i%2 == 0}
		obs, err := observe.New(&observe.Options{
			Log: slog.DiscardHandler, Captures: newDir(t, dir, nil), Capture: observe.CaptureOptions{Redact: &rules},
		})
		require.NoError(t, err)
		api := isolated.NewAPI()
		require.NoError(t, api.SetProviderAndWait(t.Context(), memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
			"notice": {State: memprovider.Enabled, DefaultVariant: "all", Variants: map[string]any{"all": notice}},
		})))
		flags := api.NewClient()
		flags.AddHooks(obs.FlagHook())
		production := &leaky{flags: flags, log: obs.Logger(), row: row, end: end, client: &http.Client{Transport: obs.Transport(local{
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Secret", base64.StdEncoding.EncodeToString([]byte(others)))
				_ = json.NewEncoder(w).Encode(map[string]any{"list": []string{others}, others + "@x.test": 1})
			}),
		})}}
		body, err := json.Marshal(map[string]any{"mail": mail, "token": token, "extra": map[string]string{token + "4711": mail}})
		require.NoError(t, err)
		r := httptest.NewRequest("POST", "http://shop.test/people/"+url.PathEscape(id)+"/orders?as="+url.QueryEscape(id)+"&"+url.QueryEscape(at()), strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Cookie", "session="+session)
		r.Header.Set("X-Session", session)
		r.SetBasicAuth("ann", token)
		w := httptest.NewRecorder()
		obs.Handler(production.routes()).ServeHTTP(w, r)
		require.NoError(t, obs.Close())
		require.NoError(t, api.Shutdown(context.Background()))
		require.NotContains(t, []int{400, 403, 404}, w.Code)

		files, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		disk, err := os.ReadFile(files[0])
		require.NoError(t, err)
		for _, form := range writings(secret) {
			if j := strings.Index(strings.ToLower(string(disk)), strings.ToLower(form)); j >= 0 {
				require.Failf(t, "a secret is on the disk", "%q in …%s…", form, disk[max(0, j-80):min(len(disk), j+len(form)+80)])
			}
		}

		desk := func(end string) func(*replay.Case) http.Handler {
			return func(c *replay.Case) http.Handler {
				return (&leaky{flags: c.FlagClient(), client: c.HTTPClient(), log: slog.New(slog.DiscardHandler), end: end}).routes()
			}
		}
		for _, o := range []replay.Options{{Strict: true}, {Strict: true, Key: key}} {
			d := play(t, o, files[0], desk(end))
			require.Len(t, d.errors, 1, d.said())
			require.Contains(t, d.errors[0], "fails as it did then", "secret %q", secret)
			require.Empty(t, play(t, o, files[0], desk("fixed")).errors)
		}
	}
}

// plantable is a secret that stands nowhere by chance.
func plantable(r *rand.Rand) string {
	pick := func(alphabet []rune, n int) string {
		s := make([]rune, n)
		for i := range s {
			s[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(s)
	}
	switch r.IntN(4) {
	case 0:
		return pick([]rune("0123456789"), 12)
	case 1:
		return pick([]rune("abcdefghijklmnopqrstuvwxyz"), 12)
	case 2:
		return pick([]rune("ABCDEFabcdef0123456789 !\"§$%&/()=?'<>\\;:,.-_#+*~äöüß漢字"), 16) + "7x7"
	}
	return "s3cr3t-" + pick([]rune("0123456789abcdefghijklmnop"), 10)
}

func writings(s string) []string {
	inJSON, _ := json.Marshal(s)
	return []string{
		s, url.QueryEscape(s), url.PathEscape(s), string(inJSON[1 : len(inJSON)-1]), base64.StdEncoding.EncodeToString([]byte(s)),
		base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)),
	}
}
