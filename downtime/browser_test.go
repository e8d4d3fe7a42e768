package downtime_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// A chromium is a headless Chromium, driven by the DevTools protocol over a pipe. One
// goroutine may use it.
type chromium struct {
	t    *testing.T
	to   *os.File
	from *os.File
	read *bufio.Reader
	last int
	heed []event // that were read while an answer was awaited
}

type event struct {
	SessionID string
	Method    string
	Params    json.RawMessage
}

// browse starts a browser, which ends with the test. Without one the test is skipped,
// but not where CI is true.
func browse(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	switch {
	case path != "" && runtime.GOOS != "windows": // whose processes inherit no pipes by number
	case os.Getenv("CI") == "true":
		t.Fatal("there is no Chromium: apt-get install chromium")
	default:
		t.Skip("there is no Chromium to look at pages with: apt-get install chromium")
	}
	// Chromium does not start as root with its sandbox. The other flags disable updates and accounts.
	args := []string{
		"--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-dev-shm-usage",
		"--user-data-dir=" + t.TempDir(), "about:blank",
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...)
	}
	hears, to, err := os.Pipe()
	require.NoError(t, err)
	from, says, err := os.Pipe()
	require.NoError(t, err)
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.ExtraFiles = []*os.File{hears, says} // 3 and 4, as the switch has it
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	require.NoError(t, hears.Close())
	require.NoError(t, says.Close())
	b := &chromium{t: t, to: to, from: from, read: bufio.NewReader(from)}
	t.Cleanup(func() {
		_, _ = io.WriteString(to, `{"id":1000000,"method":"Browser.close"}`+"\x00")
		_ = from.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, b.read); err != nil { // it writes until it ends
			_ = cmd.Process.Kill()
		}
		_ = to.Close()
		_ = cmd.Wait()
		_ = from.Close()
		if t.Failed() {
			t.Logf("the browser said:\n%s", &said)
		}
	})
	return b
}

// next reads a message: an answer, or an event. A page may reload itself only after 75 seconds, and the
// machine may be slow. The answer of a page that is left meanwhile has no result.
func (b *chromium) next() (id int, result json.RawMessage, e event) {
	b.t.Helper()
	require.NoError(b.t, b.from.SetReadDeadline(time.Now().Add(4*time.Minute)))
	message, err := b.read.ReadBytes(0)
	require.NoError(b.t, err)
	var m struct {
		event
		ID     int
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	require.NoError(b.t, json.Unmarshal(message[:len(message)-1], &m))
	if m.Error != nil && !strings.Contains(m.Error.Message, "navigated") && !strings.Contains(m.Error.Message, "context") {
		require.FailNow(b.t, m.Error.Message)
	}
	return m.ID, m.Result, m.event
}

func (b *chromium) call(session, method string, params, result any) {
	b.t.Helper()
	b.last++
	message := map[string]any{"id": b.last, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	text, err := json.Marshal(message)
	require.NoError(b.t, err)
	_, err = b.to.Write(append(text, 0))
	require.NoError(b.t, err)
	for {
		id, answer, e := b.next()
		if id != b.last {
			b.heed = append(b.heed, e)
			continue
		}
		if result != nil && answer != nil {
			require.NoError(b.t, json.Unmarshal(answer, result))
		}
		return
	}
}

// A tab shows one page as one reader has it.
type tab struct {
	*chromium
	session  string
	requests []string // that the page led to, whether or not they were let out
	faults   []string // what the console and the policy had to say
}

// A reader is who looks at a page.
type reader struct {
	zone     string
	dark     bool
	width    int // 0: 1000
	noScript bool
	still    bool // prefers reduced motion
}

func (b *chromium) tab(r reader) *tab {
	b.t.Helper()
	var target struct{ TargetID, SessionID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	p := &tab{chromium: b, session: target.SessionID}
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		p.do(domain+".enable", map[string]any{}, nil)
	}
	scheme, motion := "light", "no-preference"
	if r.dark {
		scheme = "dark"
	}
	if r.still {
		motion = "reduce"
	}
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{
		{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion},
	}}, nil)
	if r.zone != "" {
		p.do("Emulation.setTimezoneOverride", map[string]any{"timezoneId": r.zone}, nil)
	}
	width := r.width
	if width == 0 {
		width = 1000
	}
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false}, nil)
	p.do("Emulation.setScrollbarsHidden", map[string]any{"hidden": true}, nil)
	p.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": r.noScript}, nil)
	return p
}

func (p *tab) do(method string, params, result any) {
	p.t.Helper()
	p.call(p.session, method, params, result)
}

// open shows an address, and returns when it is loaded.
func (p *tab) open(url string) {
	p.t.Helper()
	p.do("Page.navigate", map[string]any{"url": url}, nil)
	p.loaded()
}

// hold keeps the page from loading itself anew, as one does that knows it is offline.
func (p *tab) hold() {
	p.t.Helper()
	p.do("Network.emulateNetworkConditions", map[string]any{
		"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
	}, nil)
}

// loaded waits for a page to be loaded.
func (p *tab) loaded() {
	p.t.Helper()
	for {
		events := p.heed
		p.heed = nil
		for i, e := range events {
			if p.note(e) {
				p.heed = events[i+1:]
				return
			}
		}
		_, _, e := p.next()
		p.heed = append(p.heed, e)
	}
}

// note takes notice of an event, and says whether a page is loaded by it.
func (p *tab) note(e event) bool {
	if e.SessionID != p.session {
		return false
	}
	var of struct {
		Request struct{ URL string }
		Entry   struct{ Level, Text, URL string }
	}
	require.NoError(p.t, json.Unmarshal(e.Params, &of))
	switch e.Method {
	case "Page.loadEventFired":
		return true
	case "Network.requestWillBeSent":
		p.requests = append(p.requests, of.Request.URL)
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled":
		p.faults = append(p.faults, string(e.Params))
	case "Log.entryAdded":
		if !strings.Contains(of.Entry.Text, "503 (Service Unavailable)") { // the refusal itself
			p.faults = append(p.faults, of.Entry.Level+": "+of.Entry.Text+" "+of.Entry.URL)
		}
	}
	return false
}

// eval is the value of an expression in the page, once it is there where it is a promise.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	var answer struct {
		Result           struct{ Value T }
		ExceptionDetails json.RawMessage
	}
	p.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	require.Empty(p.t, answer.ExceptionDetails, expression)
	return answer.Result.Value
}

// text is what the first element shows, "" when it is hidden; none at all is a failure.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, "document.querySelector("+strconv.Quote(selector)+").innerText")
}

// follow waits until the page, which reloads itself, shows the text in the first element.
func (p *tab) follow(selector, text string) {
	p.t.Helper()
	shown := `document.readyState === "complete" ? document.querySelector(` + strconv.Quote(selector) + `)?.innerText ?? "" : ""`
	for eval[string](p, shown) != text {
		p.loaded()
	}
}

// changed waits until the element shows something else, and returns it.
func (p *tab) changed(selector string) string {
	p.t.Helper()
	return eval[string](p, `new Promise((done) => {
		const of = document.querySelector(`+strconv.Quote(selector)+`), old = of.textContent;
		new MutationObserver(() => { if (of.textContent !== old) done(of.textContent); }).observe(of, {childList: true, subtree: true, characterData: true});
	})`)
}

// picture is the whole page. With go test -artifacts it is kept.
func (p *tab) picture(name string) image.Image {
	p.t.Helper()
	var answer struct{ Data []byte }
	p.do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &answer)
	require.NoError(p.t, os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), answer.Data, 0o600))
	picture, err := png.Decode(bytes.NewReader(answer.Data))
	require.NoError(p.t, err)
	return picture
}

// alone fails if the page has loaded another page or logged an error.
func (p *tab) alone(url string) {
	p.t.Helper()
	eval[int](p, "1") // earlier events come before its answer
	for _, e := range p.heed {
		p.note(e)
	}
	p.heed = nil
	for _, of := range p.requests {
		require.Equal(p.t, url, of)
	}
	require.NotEmpty(p.t, p.requests)
	require.Empty(p.t, p.faults)
}

// contrasts returns the texts with a contrast to their background below 4.5, the minimum of WCAG 2.2 at
// level AA.
const contrasts = `(() => {
	const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const rgb = (color) => {
		paint.clearRect(0, 0, 1, 1);
		paint.fillStyle = color;
		paint.fillRect(0, 0, 1, 1);
		return [...paint.getImageData(0, 0, 1, 1).data];
	};
	const light = (c) => {
		const [r, g, b] = c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c[3] === 255) return c;
			if (c[3] !== 0) throw new Error("half transparent");
		}
		return [255, 255, 255, 255];
	};
	const poor = [];
	for (const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walk.nextNode();) {
		const of = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || of.closest("script, style") || !of.checkVisibility()) continue;
		const [a, b] = [light(rgb(getComputedStyle(of).color)), light(behind(of))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(walk.currentNode.data.trim() + " " + (a + 0.05) / (b + 0.05));
	}
	return poor;
})()`

// outline gives what a page is to those who do not see it, and what is wrong with that.
const outline = `(() => {
	const wrong = [], all = (q) => [...document.querySelectorAll(q)];
	if (!document.documentElement.lang) wrong.push("no language");
	if (!document.title) wrong.push("no title");
	if (all("main").length !== 1) wrong.push("one main");
	if (all("h1").length !== 1) wrong.push("one h1");
	let level = 0;
	for (const h of all("h1, h2, h3, h4")) {
		if (+h.tagName[1] > level + 1) wrong.push("a level is left out before " + h.textContent);
		level = +h.tagName[1];
	}
	for (const s of all("section")) if (!document.getElementById(s.getAttribute("aria-labelledby"))) wrong.push("a section without name");
	for (const t of all("th")) if (!t.scope) wrong.push("a th without scope");
	for (const t of all("time")) if (isNaN(Date.parse(t.dateTime))) wrong.push("a time that is none: " + t.dateTime);
	for (const a of all("a")) if (!a.textContent.trim()) wrong.push("a link without text");
	for (const e of all("img, link, iframe, object")) wrong.push("not allowed: " + e.outerHTML);
	return wrong;
})()`

// site serves a handler on loopback, and notes what is asked for.
func site(t *testing.T, h http.Handler) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), paths...)
	}
}

// lightness is that of the corner of a picture, where nothing is but the ground.
func lightness(of image.Image) int {
	r, g, b, _ := of.At(2, 2).RGBA()
	return int((r + g + b) / 3 >> 8)
}

// shown is an instant as the script writes it for a reader.
func shown(t *testing.T, at time.Time, zone string) string {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	require.NoError(t, err)
	at = at.In(loc)
	_, offset := at.Zone()
	name := fmt.Sprintf("GMT%+d", offset/3600)
	if minutes := offset % 3600 / 60; minutes != 0 {
		name += fmt.Sprintf(":%02d", max(minutes, -minutes))
	}
	return at.Format("Monday 2 January 2006, 15:04 ") + name
}

// remains reads "Ends in 1 h 02 min 03 s".
func remains(t *testing.T, text string) time.Duration {
	t.Helper()
	of := regexp.MustCompile(`in (?:(\d+) days? )?(?:(\d+) h )?(?:(\d+) min ?)?(?:(\d+) s)?$`).FindStringSubmatch(strings.ReplaceAll(text, "\u00a0", " "))
	require.NotNil(t, of, "%q", text)
	var left time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if of[i+1] != "" {
			n, err := strconv.Atoi(of[i+1])
			require.NoError(t, err)
			left += time.Duration(n) * unit
		}
	}
	return left
}

// counts fails unless the element counts down to an instant, now and in a second.
func (p *tab) counts(selector string, to time.Time) {
	p.t.Helper()
	for _, look := range []func(string) string{p.text, p.changed} {
		before := time.Until(to)
		left := remains(p.t, look(selector))
		after := time.Until(to)
		require.LessOrEqual(p.t, left, before+30*time.Second, "what is shown is what was left, on a busy machine a while ago")
		require.GreaterOrEqual(p.t, left, after-time.Second)
	}
}

// readers are those for whom each page is looked at.
var readers = map[string]reader{
	"light":           {zone: "Asia/Tehran"},
	"dark":            {zone: "America/Caracas", dark: true},
	"narrow":          {zone: "Asia/Tehran", width: 320},
	"narrow and dark": {zone: "America/Caracas", width: 320, dark: true},
}

const longWord = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftshauptversammlung"

func TestRefusalInABrowser(t *testing.T) {
	t.Parallel()
	b := browse(t)
	now := time.Now().Truncate(time.Minute)
	end := now.Add(75 * time.Minute)
	g := open(t, downtime.Bytes("windows.yaml", []byte(`windows:
  - {id: orders-db-upgrade, title: Orders database upgrade, start: `+now.Add(-45*time.Minute).UTC().Format(time.RFC3339)+`, timezone: Europe/Madrid, duration: 2h, scope: {paths: ["/orders/**"]}, message: "Orders can be neither placed nor changed.\nThey are read again afterwards."}
  - {id: `+strings.Repeat("w", 100)+`, start: `+now.UTC().Format(time.RFC3339)+`, duration: 75m, mode: read-only, message: "`+longWord+` <script>alert(1)</script>"}
`)), &downtime.Options{Service: "Example shop", StatusURL: "https://status.example/"})
	url, asked := site(t, g.Handler(ok))
	for name, as := range readers {
		p := b.tab(as)
		p.open(url + "/orders/1")
		ground := lightness(p.picture("refusal, " + name))
		p.looksRight(as, url+"/orders/1", ground)
		p.counts(".countdown", end)
		require.Equal(t, shown(t, end, as.zone), p.text("dd time"))
	}
	for _, path := range asked() {
		require.Equal(t, "/orders/1", path)
	}

	p := b.tab(reader{noScript: true})
	p.open(url + "/orders/1")
	madrid, err := time.LoadLocation("Europe/Madrid")
	require.NoError(t, err)
	require.Equal(t, end.In(madrid).Format("Monday 2 January 2006, 15:04 Europe/Madrid (UTC-07:00)"), p.text("dd time"))
	require.Empty(t, p.text(".countdown"), "without script there is none")
	p.picture("refusal, without script")
	p.alone(url + "/orders/1")

	// A reader whose clock is wrong by hours.
	p = b.tab(reader{zone: "Asia/Tehran"})
	p.do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": "const now = Date.now; Date.now = () => now() + 5 * 3600e3"}, nil)
	p.open(url + "/orders/1")
	p.counts(".countdown", end)
}

// A page of a window that ends loads itself anew, and shows what was refused.
func TestRefusalEndsWithTheWindow(t *testing.T) {
	t.Parallel()
	b := browse(t)
	end := time.Now().Add(4 * time.Second).Truncate(time.Second)
	g := open(t, downtime.Bytes("windows.yaml", []byte(`windows:
  - {id: w, start: `+end.Add(-time.Hour).UTC().Format(time.RFC3339)+`, duration: 1h, overrun: reopen}
`)), &downtime.Options{RetryJitter: -1})
	url, _ := site(t, g.Handler(ok))
	p := b.tab(reader{})
	p.open(url + "/")
	p.follow("body", "ok")
	require.False(t, time.Now().Before(end))
}

// looksRight fails unless a page is fit for its reader.
func (p *tab) looksRight(as reader, url string, ground int) {
	p.t.Helper()
	require.Equal(p.t, eval[int](p, "innerWidth"), eval[int](p, "document.documentElement.scrollWidth"), "there is something to scroll to")
	require.Empty(p.t, eval[[]string](p, contrasts))
	require.Empty(p.t, eval[[]string](p, outline))
	if as.dark {
		require.Less(p.t, ground, 60)
	} else {
		require.Greater(p.t, ground, 200)
	}
	p.alone(url)
}

func TestStatusPageInABrowser(t *testing.T) {
	t.Parallel()
	b := browse(t)
	now := time.Now().Truncate(time.Minute)
	at := func(in time.Duration) string { return now.Add(in).UTC().Format(time.RFC3339) }
	end := now.Add(75 * time.Minute)
	g := open(t, downtime.Bytes("windows.yaml", []byte(`windows:
  - {id: orders-db-upgrade, title: Orders database upgrade, owner: team-orders, runbook: "https://runbooks.example/orders-db", start: `+at(-45*time.Minute)+`, timezone: Europe/Madrid, duration: 2h, rollback: 1h30m, cutoff: 5m, scope: {paths: ["/orders/**"], work: [import]}, message: "Orders can be neither placed nor changed.\nThey are read again afterwards."}
  - {id: catalogue, title: Move of the catalogue, start: `+at(-5*time.Minute)+`, duration: 5h, mode: read-only, timezone: America/New_York, message: Nothing new is published meanwhile.}
  - {id: mail, title: "`+longWord+` <script>alert(1)</script>", start: `+at(50*time.Hour)+`, duration: 1h, announce: 3d, timezone: Asia/Tokyo}
  - {id: unannounced, start: `+at(90*time.Hour)+`, duration: 1h, announce: 1h}
  - {id: past, title: Certificates, start: `+at(-5*time.Hour)+`, duration: 1h, timezone: Europe/Madrid}
`)), nil)
	_, err := g.Enter(t.Context(), downtime.Work{Name: "import"})
	require.Error(t, err)
	shop := status.Options{Service: "Example shop", URL: "https://status.example/"}
	pages := map[string]http.Handler{"public": users(t, g, shop), "operators": operators(t, g, shop)}
	for kind, h := range pages {
		for name, as := range readers {
			url, asked := site(t, h)
			p := b.tab(as)
			p.open(url + "/")
			p.hold()
			ground := lightness(p.picture(kind + " status, " + name))
			p.looksRight(as, url+"/", ground)
			p.counts(".countdown", end)
			require.Equal(t, shown(t, end, as.zone), p.text("dd + dt + dd time"))
			require.Contains(t, p.text("footer"), as.zone)
			require.Equal(t, kind == "operators", strings.Contains(p.text("main"), "unannounced"))
			for _, path := range asked() {
				require.Equal(t, "/", path)
			}
		}
	}

	url, _ := site(t, pages["public"])
	p := b.tab(reader{noScript: true, zone: "Asia/Tehran"})
	p.open(url + "/")
	madrid, err := time.LoadLocation("Europe/Madrid")
	require.NoError(t, err)
	require.Equal(t, end.In(madrid).Format("Monday 2 January 2006, 15:04 Europe/Madrid (UTC-07:00)"), p.text("dd + dt + dd time"))
	require.Empty(t, p.text(".countdown"), "without script there is none")
	p.picture("public status, without script")
	p.alone(url + "/")

	p = b.tab(reader{still: true, zone: "Asia/Tehran"})
	p.open(url + "/")
	p.hold()
	require.NotContains(t, p.text(".countdown"), "\u00a0s", "no seconds for those who prefer that nothing moves")

	// What the keyboard is on is seen.
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		p.do("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Tab", "windowsVirtualKeyCode": 9}, nil)
	}
	require.Equal(t, "A solid", eval[string](p, `document.activeElement.tagName + " " + getComputedStyle(document.activeElement).outlineStyle`))
}

// An open page is loaded anew when a window begins.
func TestStatusPageFollowsTheWindow(t *testing.T) {
	t.Parallel()
	b := browse(t)
	start := time.Now().Add(4 * time.Second).Truncate(time.Second)
	g := open(t, downtime.Bytes("windows.yaml", []byte(`windows:
  - {id: w, start: `+start.UTC().Format(time.RFC3339)+`, duration: 1h, announce: 1h}
`)), nil)
	url, _ := site(t, users(t, g, status.Options{}))
	p := b.tab(reader{})
	p.open(url + "/")
	p.follow(".verdict", "Maintenance in progress")
	require.False(t, time.Now().Before(start))
	p.alone(url + "/")
}
