package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// TestNobodyWritesByDefault: without Authorize, reads are allowed and writes are forbidden.
func TestNobodyWritesByDefault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, registry.Dir(dir), quiet()), http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	opts := quiet()
	opts.Authorize = nil
	reg := open(t, registry.Dir(dir), opts)
	for _, request := range writes {
		method, path, _ := strings.Cut(request, " ")
		w := ask(reg, method, path, strings.NewReader("x"))
		require.Equal(t, http.StatusForbidden, w.Code, request)
		require.Contains(t, w.Body.String(), "this registry is read-only", request)
		require.Equal(t, "close", w.Header().Get("Connection"), "%s: or the rest of the body is waited for", request)
	}
	require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/list").Code)
}

// writes are all requests other than reads of modules.
var writes = []string{
	"PUT /corp.example/lib/@v/v1.0.0.zip", "PUT /corp.example/lib/@v/v1.0.1.zip?override=x",
	"PUT /corp.example/lib/@channel/stable?version=v1.0.0&reason=x", "DELETE /corp.example/lib/@channel/stable?reason=x",
	"PUT /corp.example/lib/@yank/v1.0.0?reason=x", "DELETE /corp.example/lib/@yank/v1.0.0?reason=x",
	"PUT /corp.example/lib/@block/v1.0.0?reason=x", "DELETE /corp.example/lib/@block/v1.0.0?reason=x",
	"GET /corp.example/lib/@channels", "GET /corp.example/lib/@record/v1.0.0",
}

// TestActions: the hook gets the action of the request, and is called before anything else
// happens.
func TestActions(t *testing.T) {
	t.Parallel()
	var asked []registry.Action
	reg := fresh(t, func(o *registry.Options) {
		o.Authorize = func(_ *http.Request, a registry.Action) (string, error) {
			asked = append(asked, a)
			if a.Op == registry.OpPublish {
				return "", nil
			}
			return "", registry.ErrForbidden
		}
	})
	for _, request := range append([]string{
		"GET /corp.example/lib/@v/list", "HEAD /corp.example/lib/@latest", "GET /corp.example/lib/@v/v1.0.0.info", "GET /corp.example/lib/@v/v1.0.0.zip", "GET /corp.example/lib/@v/stable.info",
	}, writes...) {
		method, path, _ := strings.Cut(request, " ")
		w := ask(reg, method, path, strings.NewReader("x"))
		if request == "PUT /corp.example/lib/@v/v1.0.0.zip" {
			require.Equal(t, http.StatusUnprocessableEntity, w.Code)
			continue
		}
		require.Equal(t, http.StatusForbidden, w.Code, request)
	}
	const path = "corp.example/lib"
	require.Equal(t, []registry.Action{
		{Op: registry.OpRead, Module: path},
		{Op: registry.OpRead, Module: path},
		{Op: registry.OpRead, Module: path, Version: "v1.0.0"},
		{Op: registry.OpRead, Module: path, Version: "v1.0.0"},
		{Op: registry.OpRead, Module: path, Channel: "stable"},
		{Op: registry.OpPublish, Module: path, Version: "v1.0.0"},
		{Op: registry.OpPublish, Module: path, Version: "v1.0.1"},
		{Op: registry.OpOverride, Module: path, Version: "v1.0.1"},
		{Op: registry.OpSetChannel, Module: path, Version: "v1.0.0", Channel: "stable"},
		{Op: registry.OpSetChannel, Module: path, Channel: "stable"},
		{Op: registry.OpYank, Module: path, Version: "v1.0.0"},
		{Op: registry.OpYank, Module: path, Version: "v1.0.0"},
		{Op: registry.OpBlock, Module: path, Version: "v1.0.0"},
		{Op: registry.OpBlock, Module: path, Version: "v1.0.0"},
		{Op: registry.OpInspect, Module: path},
		{Op: registry.OpInspect, Module: path, Version: "v1.0.0"},
	}, asked)

	// The hook is not called for invalid paths and for modules that are not private.
	asked = nil
	for _, path := range []string{"/x", "/other.example/lib/@v/list", "/corp.example/lib/@v/x.y"} {
		require.Equal(t, http.StatusNotFound, get(reg, path).Code)
	}
	require.Empty(t, asked)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	readOnly := registry.User{Name: "ada", Secret: "a:b", May: registry.ReadOnly}
	boss := registry.User{Name: "boss", Secret: "t0ken", May: registry.Everything}
	reader := registry.User{Name: "reader", Secret: "r"}
	nobody := registry.User{Name: "nobody"}
	basic := func(name, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, secret) }
	}
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	for _, c := range []struct {
		hook   func(*http.Request, registry.Action) (string, error)
		with   func(*http.Request)
		method string
		want   int
		detail string
	}{
		{registry.Basic(readOnly, boss), func(*http.Request) {}, "GET", 401, "credentials are needed"},
		{registry.Basic(readOnly, boss), basic("ada", "a:b"), "GET", 404, ""},
		{registry.Basic(readOnly, boss), basic("ada", "a:b"), "PUT", 403, "forbidden: no permission to yank"},
		{registry.Basic(readOnly, boss), basic("boss", "t0ken"), "PUT", 404, ""},
		{registry.Basic(readOnly, boss), basic("ada", "t0ken"), "GET", 401, "the name, password or token is wrong"},
		{registry.Basic(readOnly, boss), basic("ADA", "a:b"), "GET", 401, "the name, password or token is wrong"},
		{registry.Basic(readOnly, boss), basic("adaa:b", ""), "GET", 401, "the name, password or token is wrong"},
		{registry.Basic(readOnly, boss), header("Bearer t0ken"), "GET", 401, "credentials are needed"},
		{registry.Basic(readOnly, boss), header("Basic x"), "GET", 401, "credentials are needed"},
		{registry.Basic(reader), basic("reader", "r"), "GET", 404, ""},
		{registry.Basic(reader), basic("reader", "r"), "PUT", 403, "forbidden: no permission to yank"},
		{registry.Bearer(reader), header("Bearer r"), "GET", 404, ""},
		{registry.Bearer(reader), header("Bearer r"), "PUT", 403, "forbidden: no permission to yank"},
		{registry.Basic(nobody), basic("nobody", ""), "GET", 401, "the name, password or token is wrong"},
		{registry.Basic(), basic("", ""), "GET", 401, "the name, password or token is wrong"},
		{registry.Bearer(readOnly, boss), header("Bearer t0ken"), "PUT", 404, ""},
		{registry.Bearer(readOnly, boss), header("bearer  t0ken "), "PUT", 404, ""},
		{registry.Bearer(readOnly, boss), header("Bearer a:b"), "PUT", 403, "forbidden"},
		{registry.Bearer(readOnly, boss), header("Bearer T0ken"), "GET", 401, "the name, password or token is wrong"},
		{registry.Bearer(readOnly, boss), header("Bearer"), "GET", 401, "the name, password or token is wrong"},
		{registry.Bearer(nobody), header("Bearer "), "GET", 401, "the name, password or token is wrong"},
		{registry.Bearer(readOnly, boss), basic("boss", "t0ken"), "GET", 401, "credentials are needed"},
		{registry.AnyOf(registry.Basic(readOnly), registry.Bearer(boss)), header("Bearer t0ken"), "PUT", 404, ""},
		{registry.AnyOf(registry.Basic(readOnly), registry.Bearer(boss)), basic("ada", "a:b"), "GET", 404, ""},
		{registry.AnyOf(registry.Basic(readOnly), registry.Bearer(boss)), basic("ada", "a:b"), "PUT", 403, "forbidden"},
		{registry.AnyOf(registry.Basic(readOnly), registry.Bearer(boss)), basic("ada", "x"), "GET", 401, "the name, password or token is wrong"},
		{registry.AnyOf(), basic("ada", "x"), "GET", 401, "credentials are needed"},
		{hook(fmt.Errorf("%w: it is the wrong day", registry.ErrForbidden)), header(""), "GET", 403, "forbidden: it is the wrong day"},
		{hook(errors.New("ldap at 10.0.0.1 says no")), header(""), "GET", 403, "not allowed"},
	} {
		reg := fresh(t, func(o *registry.Options) { o.Authorize = c.hook })
		path := "/corp.example/lib/@v/list"
		if c.method == http.MethodPut {
			path = "/corp.example/lib/@yank/v1.0.0?reason=x"
		}
		r := httptest.NewRequest(c.method, path, nil)
		c.with(r)
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		require.Equal(t, c.want, w.Code, "%v %v: %s", c.method, r.Header, w.Body)
		require.Contains(t, w.Body.String(), c.detail)
		require.NotContains(t, w.Body.String(), "ldap")
		if c.want == http.StatusUnauthorized {
			require.Equal(t, []string{`Basic realm="modules", charset="UTF-8"`, `Bearer realm="modules"`}, w.Header().Values("WWW-Authenticate"))
		}
	}
}

func hook(err error) func(*http.Request, registry.Action) (string, error) {
	return func(*http.Request, registry.Action) (string, error) { return "", err }
}

// TestUserWithoutMay: a user without May may only read.
func TestUserWithoutMay(t *testing.T) {
	t.Parallel()
	user := registry.User{Name: "ada", Secret: "a"}
	reg := fresh(t, func(o *registry.Options) { o.Authorize = registry.Basic(user) })
	for _, request := range writes {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(method, path, strings.NewReader("x"))
		r.SetBasicAuth("ada", "a")
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		require.Equal(t, http.StatusForbidden, w.Code, request)
		require.Contains(t, w.Body.String(), "forbidden: no permission to", request)
	}
	for op, allowed := range map[registry.Op]bool{registry.OpRead: true, registry.OpPublish: false, "": false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("ada", "a")
		who, err := registry.Basic(user)(r, registry.Action{Op: op})
		require.Equal(t, "ada", who)
		require.Equal(t, allowed, err == nil, op)
	}
}
