package observe_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}

// seen is what a span says of a request: client.address, client.port, url.scheme,
// server.address and server.port.
func seen(t *testing.T, peer string, trusted []netip.Prefix, header ...string) []string {
	t.Helper()
	k := newRig(t, func(o *observe.Options) { o.TrustedProxies = trusted })
	r := httptest.NewRequest("GET", "http://inside.example:8080/", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	before := r.Header.Clone()
	k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.Equal(t, []string{peer, "inside.example:8080"}, []string{r.RemoteAddr, r.Host}, "the application's request stays as it is")
		require.Equal(t, before, r.Header)
	})).ServeHTTP(httptest.NewRecorder(), r)
	span := k.span()
	for point := range k.points(serverDuration) {
		require.Contains(t, point, "url.scheme="+attr(span, "url.scheme"))
	}
	var all []string
	for _, key := range []string{"client.address", "client.port", "url.scheme", "server.address", "server.port"} {
		all = append(all, attr(span, key))
	}
	return all
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	const inside = "http inside.example 8080"
	for name, c := range map[string]struct {
		peer   string
		header []string
		want   string // fields; "-" means that one is missing
	}{
		"no header":                   {"10.0.0.1:99", nil, "10.0.0.1 99 " + inside},
		"a stranger":                  {"192.0.2.9:99", []string{"X-Forwarded-For", "1.1.1.1", "X-Forwarded-Proto", "https", "Forwarded", "for=1.1.1.1;proto=https;host=evil"}, "192.0.2.9 99 " + inside},
		"a socket":                    {"@", []string{"X-Forwarded-For", "1.1.1.1"}, "- - " + inside},
		"one proxy":                   {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "Shop.example"}, "192.0.2.1 - https shop.example -"},
		"with ports":                  {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1:1234", "X-Forwarded-Host", "shop.example:8443"}, "192.0.2.1 1234 http shop.example 8443"},
		"X-Forwarded-Port":            {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Port", "443", "X-Forwarded-Proto", "HTTPS"}, "192.0.2.1 - https inside.example 443"},
		"IPv6":                        {"[2001:db8:1::1]:99", []string{"X-Forwarded-For", "2001:db8::7"}, "2001:db8::7 - " + inside},
		"IPv6 with a port":            {"10.0.0.1:99", []string{"X-Forwarded-For", "[2001:db8::7]:5"}, "2001:db8::7 5 " + inside},
		"IPv4 as IPv6":                {"[::ffff:10.0.0.1]:99", []string{"X-Forwarded-For", "::ffff:192.0.2.1"}, "192.0.2.1 - " + inside},
		"two proxies":                 {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1, 10.0.0.2", "X-Forwarded-Proto", "https, http", "X-Forwarded-Host", "shop.example,inner"}, "192.0.2.1 - https shop.example -"},
		"two proxies, one sets":       {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1, 10.0.0.2", "X-Forwarded-Proto", "https"}, "192.0.2.1 - https inside.example 8080"},
		"an invention":                {"10.0.0.1:99", []string{"X-Forwarded-For", "1.1.1.1, 10.9.9.9, 192.0.2.1", "X-Forwarded-Proto", "https, https, http"}, "192.0.2.1 - " + inside},
		"an invention on its own":     {"10.0.0.1:99", []string{"X-Forwarded-For", "1.1.1.1", "X-Forwarded-For", "192.0.2.1"}, "192.0.2.1 - " + inside},
		"all are proxies":             {"10.0.0.1:99", []string{"X-Forwarded-For", "10.0.0.3, 10.0.0.2"}, "10.0.0.3 - " + inside},
		"no address":                  {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1, <script>"}, "10.0.0.1 99 " + inside},
		"empty elements":              {"10.0.0.1:99", []string{"X-Forwarded-For", " , 192.0.2.1,, ", "X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "a b"}, "192.0.2.1 - " + inside},
		"a scheme only":               {"10.0.0.1:99", []string{"X-Forwarded-Proto", "https"}, "10.0.0.1 99 https inside.example 8080"},
		"Forwarded":                   {"10.0.0.1:99", []string{"Forwarded", `for=192.0.2.1;proto=https;by=10.0.0.1;host=shop.example`}, "192.0.2.1 - https shop.example -"},
		"Forwarded, quoted":           {"10.0.0.1:99", []string{"Forwarded", `For="[2001:db8::7]:4711"; Proto="https"; Host="shop.example:8443"`}, "2001:db8::7 4711 https shop.example 8443"},
		"Forwarded, escaped":          {"10.0.0.1:99", []string{"Forwarded", `for="1\92.0.2.1";x="a,\"b;for=1.1.1.1"`}, "192.0.2.1 - " + inside},
		"Forwarded, two proxies":      {"10.0.0.1:99", []string{"Forwarded", `for=192.0.2.1;proto=https;host=shop.example, for=10.0.0.2;proto=http;host=inner`}, "192.0.2.1 - https shop.example -"},
		"Forwarded, two lines":        {"10.0.0.1:99", []string{"Forwarded", `for=1.1.1.1;proto=https`, "Forwarded", "for=192.0.2.1;proto=http"}, "192.0.2.1 - " + inside},
		"Forwarded, an open quote":    {"10.0.0.1:99", []string{"Forwarded", `for=1.1.1.1;x=", for="[2001:db8::7]"`}, "2001:db8::7 - " + inside},
		"Forwarded, a quote at last":  {"10.0.0.1:99", []string{"Forwarded", `for=192.0.2.1, for="`}, "10.0.0.1 99 " + inside},
		"Forwarded, obfuscated":       {"10.0.0.1:99", []string{"Forwarded", `for=1.1.1.1, for=_gazonk;proto=https`}, "_gazonk - https inside.example 8080"},
		"Forwarded, obfuscated port":  {"10.0.0.1:99", []string{"Forwarded", `for="192.0.2.1:_p", for=10.0.0.2`}, "192.0.2.1 - " + inside},
		"Forwarded, unknown":          {"10.0.0.1:99", []string{"Forwarded", `for=unknown;host=shop.example`}, "- - http shop.example -"},
		"Forwarded, without for":      {"10.0.0.1:99", []string{"Forwarded", `proto=https`}, "- - https inside.example 8080"},
		"Forwarded, twice the same":   {"10.0.0.1:99", []string{"Forwarded", `for=192.0.2.1;for=1.1.1.1`}, "10.0.0.1 99 " + inside},
		"Forwarded, nonsense":         {"10.0.0.1:99", []string{"Forwarded", `for=192.0.2.1;;=x`}, "10.0.0.1 99 " + inside},
		"both agree":                  {"10.0.0.1:99", []string{"Forwarded", "for=192.0.2.1;proto=https", "X-Forwarded-For", "192.0.2.1"}, "192.0.2.1 - https inside.example 8080"},
		"both do not agree":           {"10.0.0.1:99", []string{"Forwarded", "for=1.1.1.1;proto=https", "X-Forwarded-For", "192.0.2.1"}, "10.0.0.1 99 " + inside},
		"a host that is too long":     {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host", strings.Repeat("a", 256)}, "192.0.2.1 - " + inside},
		"a host with a port too many": {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host", "a:b:1"}, "192.0.2.1 - " + inside},
		"an address as a host":        {"10.0.0.1:99", []string{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host", "[2001:db8::1]:81"}, "192.0.2.1 - http 2001:db8::1 81"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := strings.Fields(c.want)
			for i := range want {
				want[i] = strings.TrimPrefix(want[i], "-")
			}
			require.Equal(t, want, seen(t, c.peer, proxies, c.header...))
		})
	}
}

// Without trusted proxies the client is the peer.
func TestNoTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, trusted := range [][]netip.Prefix{nil, {}} {
		got := seen(t, "10.0.0.1:99", trusted, "X-Forwarded-For", "1.1.1.1", "Forwarded", "for=1.1.1.1")
		require.Equal(t, "10.0.0.1", got[0])
	}
	_, err := observe.New(&observe.Options{TrustedProxies: []netip.Prefix{{}}})
	require.ErrorContains(t, err, "Options.TrustedProxies[0]")
}

// A hop too many, or an endless element, is not read.
func TestForwardedIsBounded(t *testing.T) {
	t.Parallel()
	require.Equal(t, "10.1.1.1", seen(t, "10.0.0.1:99", proxies, "X-Forwarded-For", "192.0.2.1"+strings.Repeat(", 10.1.1.1", 1000))[0])
	require.Equal(t, "10.0.0.1", seen(t, "10.0.0.1:99", proxies, "Forwarded", `for=192.0.2.1;x="`+strings.Repeat(",", 1<<20)+`"`)[0])
}

func TestNetworkPeer(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "[2001:db8::1]:4711"
	k.obs.Handler(handler(200)).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, []string{"2001:db8::1", "4711"}, []string{attr(k.span(), "network.peer.address"), attr(k.span(), "network.peer.port")})
}

// FuzzForwarded: whatever the headers are, the client is the peer, or what a proxy may have
// said, and never what stands before the first address that is not trusted.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"", "192.0.2.1", `for="[2001:db8::1]:80";proto=https;host="a\"b"`, `for=_x;by="`, "10.0.0.2, unknown", `",";=`, "for=10.0.0.2:_p,for=1.2.3.4", "[::1]:x",
	} {
		f.Add(s, s, s, s)
	}
	opts := noopOptions()
	opts.TrustedProxies = proxies
	f.Fuzz(func(t *testing.T, forwarded, xfor, proto, host string) {
		h := http.Header{"Forwarded": {forwarded}, "X-Forwarded-For": {xfor}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "X-Forwarded-Port": {proto}}
		for _, drop := range []string{"Forwarded", "X-Forwarded-For", ""} {
			h := h.Clone()
			delete(h, drop)
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: h}
			client, port, server := observe.Forwarded(opts, r)
			require.Less(t, len(client), 256)
			require.NotContains(t, client, " ")
			require.LessOrEqual(t, len(server), 255)
			require.GreaterOrEqual(t, port, 0)

			// What a trusted proxy adds decides, whatever came before.
			if drop != "" {
				h.Add("Forwarded", "for=192.0.2.7")
				h.Add("X-Forwarded-For", "192.0.2.7")
				if drop == "Forwarded" {
					delete(h, drop)
				} else {
					delete(h, "X-Forwarded-For")
				}
				client, _, _ = observe.Forwarded(opts, r)
				require.Equal(t, "192.0.2.7", client)
				for name, added := range map[string]string{"Forwarded": `, for="[2001:db8::7]"`, "X-Forwarded-For": ", 2001:db8::7"} {
					if line := h[name]; len(line) > 0 {
						h[name] = []string{strings.Join(line, ",") + added}
					}
				}
				client, _, _ = observe.Forwarded(opts, r)
				require.Equal(t, "2001:db8::7", client)
			}
		}
	})
}
