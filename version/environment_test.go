package version_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
)

func TestEnvironmentAttributes(t *testing.T) {
	t.Parallel()
	for attributes, want := range map[string][2]string{
		"service.name=shop": {"shop", ""},
		" service.name = shop , deployment.environment.name=eu ":   {"shop", "eu"},
		"service.name=caf%C3%A9%2Cbar":                             {"café,bar", ""},
		"service.name=a+b":                                         {"a+b", ""},
		"service.name=a=b":                                         {"a=b", ""},
		"service.name=one,service.name=two":                        {"two", ""},
		"deployment.environment=old":                               {"", "old"},
		"deployment.environment=old,deployment.environment.name=n": {"", "n"},
		"service.name=":                                            {"", ""},
		"service.name=%zz":                                         {"%zz", ""},
		"nonsense,service.name=shop":                               {"shop", ""},
		",,=,=x":                                                   {"", ""},
		"service.name=sh%0aop%1b":                                  {"sh\uFFFDop\uFFFD", ""},
		"service.name=%ff":                                         {"\uFFFD", ""},
		"service.name=" + strings.Repeat("x", 1000):                {strings.Repeat("x", 256), ""},
	} {
		info := version.FromBuildInfo(nil, &version.Options{Getenv: env("OTEL_RESOURCE_ATTRIBUTES", attributes)})
		require.Equal(t, want, [2]string{info.Name, info.Environment}, attributes)
	}
}

// The name must be the one that the telemetry of the same process carries.
func TestEnvironmentAgreesWithOpenTelemetry(t *testing.T) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) // it logs malformed attributes
	for _, c := range [][2]string{
		{"", "service.name=shop"},
		{"store", "service.name=shop"},
		{" store ", ""},
		{"", "service.name=caf%C3%A9%2Cbar,x=y"},
		{"", "service.name=one,service.name=two"},
		{"", "nonsense,service.name=shop"},
		{"", "service.name=%zz"},
		{"", "service.name = a=b "},
		{"", "deployment.environment.name=eu%20west,service.name=x"},
	} {
		t.Setenv("OTEL_SERVICE_NAME", c[0])
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", c[1])
		res, _ := resource.New(t.Context(), resource.WithFromEnv()) // the error is about what it could not read
		want := map[string]string{}
		for _, kv := range res.Attributes() {
			want[string(kv.Key)] = kv.Value.AsString()
		}
		info := version.New(nil)
		require.Equal(t, want["service.name"], info.Name, c)
		require.Equal(t, want["deployment.environment.name"], info.Environment, c)
	}
}
