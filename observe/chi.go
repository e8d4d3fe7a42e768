package observe

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
)

// chi keeps its route in a value of the request's context, and uses a value that is already
// there. Route puts one there, to read the route when the router has returned.
// The module of chi is not imported: the type is found by reflection, and the key when chi asks
// for it.

// A chiRouter makes such values for one router.
type chiRouter struct {
	value  reflect.Type // chi.Context
	routes reflect.Value
}

// newChiRouter returns nil if h is not a router of chi.
func newChiRouter(h http.Handler) *chiRouter {
	if h == nil {
		return nil
	}
	match, ok := reflect.TypeOf(h).MethodByName("Match")
	if !ok || match.Type.NumIn() != 4 {
		return nil
	}
	pointer := match.Type.In(1)
	if pointer.Kind() != reflect.Pointer || pointer.Elem().Name() != "Context" || !pointer.Implements(routePatterns) {
		return nil
	}
	return &chiRouter{value: pointer.Elem(), routes: reflect.ValueOf(h)}
}

type routePatterner interface{ RoutePattern() string }

var routePatterns = reflect.TypeFor[routePatterner]()

// with returns a copy of r that has a value for the router.
func (c *chiRouter) with(r *http.Request, st *state) *http.Request {
	if c == nil {
		return r
	}
	value := reflect.New(c.value)
	if field := value.Elem().FieldByName("Routes"); field.IsValid() && field.CanSet() && c.routes.Type().AssignableTo(field.Type()) {
		field.Set(c.routes)
	}
	return r.WithContext(&chiContext{Context: r.Context(), st: st, value: value.Interface()})
}

// A chiContext has a value for chi, unless a router outside has made one.
type chiContext struct {
	context.Context
	st    *state
	value any
}

func (c *chiContext) Value(key any) any {
	value := c.Context.Value(key)
	if value == nil {
		if known := c.st.obs.chiKey.Load(); known != nil && *known == key {
			return c.value
		}
	}
	return value
}

// chiPattern returns the pattern that chi has found in a request, or "".
func (st *state) chiPattern(ctx context.Context) (pattern string) {
	defer st.obs.counts.shield()
	key := st.obs.chiKey.Load()
	if key == nil {
		return ""
	}
	if found, ok := ctx.Value(*key).(routePatterner); ok {
		return found.RoutePattern()
	}
	return ""
}

// noteKey notes the key under which chi looks for its value.
func (o *core) noteKey(key any) {
	if o.chiKey.Load() != nil {
		return
	}
	if named, ok := key.(fmt.Stringer); ok && reflect.TypeOf(key).String() == "*chi.contextKey" && named.String() == "chi context value RouteContext" {
		known := key // so that only this one is allocated
		o.chiKey.Store(&known)
	}
}
