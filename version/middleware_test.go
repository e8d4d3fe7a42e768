package version_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestMiddlewareTellsTheSpan(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	ctx, span := provider.Tracer("test").Start(t.Context(), "GET /")
	w := httptest.NewRecorder()
	version.Middleware(shop(), nil)(nothing).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	span.End()
	require.Equal(t, []attribute.KeyValue{
		attribute.String("service.name", "shop"),
		attribute.String("service.version", "v1.4.2"),
		attribute.String("vcs.ref.head.revision", revisionA),
		attribute.String("deployment.environment.name", "production"),
	}, spans.Ended()[0].Attributes())
	require.Empty(t, w.Header(), "no header unless one is named")
}

func TestMiddlewareHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		info version.Info
		opts *version.MiddlewareOptions
		want http.Header
	}{
		{shop(), nil, http.Header{}},
		{shop(), &version.MiddlewareOptions{}, http.Header{}},
		{shop(), &version.MiddlewareOptions{Header: "x-version"}, http.Header{"X-Version": {"v1.4.2"}}},
		{version.Info{}, &version.MiddlewareOptions{Header: "X-Version"}, http.Header{}},
		{version.Info{Version: "v1\r\nX-Evil: 1"}, &version.MiddlewareOptions{Header: "X-Version"}, http.Header{"X-Version": {"v1-X-Evil-1"}}},
		{shop(), &version.MiddlewareOptions{Header: "X Version\r\n"}, http.Header{}},
	} {
		w := httptest.NewRecorder()
		version.Middleware(c.info, c.opts)(nothing).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, c.want, w.Header())
	}
}

func TestMiddlewareWithoutSpanAllocatesNothing(t *testing.T) {
	h := version.Middleware(shop(), nil)(nothing)
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}

func TestAttributesLeaveOutWhatIsUnknown(t *testing.T) {
	t.Parallel()
	require.Empty(t, version.Info{}.Attributes())
	require.Equal(t, []attribute.KeyValue{attribute.String("service.version", "v1")}, version.Info{Version: "v1"}.Attributes())
	require.Equal(t, []attribute.KeyValue{attribute.String("service.name", "a\uFFFDb")}, version.Info{Name: "a\nb"}.Attributes())
}
