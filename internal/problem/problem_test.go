package problem_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/problem"
)

func answer(t *testing.T, method, accept string, p problem.Problem) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	w.Header().Set("Allow", "GET")
	problem.Write(w, r, p)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, p.Status, res.StatusCode)
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "Accept", res.Header.Get("Vary"))
	require.Equal(t, "GET", res.Header.Get("Allow"))
	return res, string(body)
}

func TestWrite(t *testing.T) {
	t.Parallel()
	p := problem.Problem{Status: 409, Detail: `a <b> & "c"`, Members: map[string]any{"rule": "gate", "list": []int{1}}}
	for _, c := range []struct{ accept, contentType, body string }{
		{"", "application/problem+json", `{"type":"about:blank","title":"Conflict","status":409,"detail":"a <b> & \"c\"","list":[1],"rule":"gate"}` + "\n"},
		{"application/json", "application/problem+json", `{"type":"about:blank","title":"Conflict","status":409,"detail":"a <b> & \"c\"","list":[1],"rule":"gate"}` + "\n"},
		{"text/plain", "text/plain; charset=utf-8", `a <b> & "c"` + "\n"},
		{
			"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8",
			`<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Conflict</title><h1>Conflict</h1><p>a &lt;b&gt; &amp; &#34;c&#34;</p>` + "\n",
		},
		{"image/png", "application/problem+json", `{"type":"about:blank","title":"Conflict","status":409,"detail":"a <b> & \"c\"","list":[1],"rule":"gate"}` + "\n"},
	} {
		res, body := answer(t, http.MethodGet, c.accept, p)
		require.Equal(t, c.contentType, res.Header.Get("Content-Type"), c.accept)
		require.Equal(t, c.body, body, c.accept)
		_, body = answer(t, http.MethodHead, c.accept, p)
		require.Empty(t, body)
	}
}

func TestTitlePageAndPlainFirst(t *testing.T) {
	t.Parallel()
	_, body := answer(t, http.MethodGet, "", problem.Problem{Status: 404})
	require.Equal(t, `{"type":"about:blank","title":"Not Found","status":404}`+"\n", body)
	_, body = answer(t, http.MethodGet, "text/plain", problem.Problem{Status: 404, Title: "No such window"})
	require.Equal(t, "No such window\n", body)
	_, body = answer(t, http.MethodGet, "text/html", problem.Problem{Status: 404, Page: []byte("own")})
	require.Equal(t, "own", body)

	plain := problem.Problem{Status: 404, Detail: "gone", PlainFirst: true}
	for accept, want := range map[string]string{"": "gone\n", "*/*": "gone\n", "text/html": "gone\n", "application/json": string(plain.JSON()), "application/problem+json, */*": string(plain.JSON())} {
		_, body = answer(t, http.MethodGet, accept, plain)
		require.Equal(t, want, body, accept)
	}
}
