package history_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// TestInstance takes names from environment variables. It is not parallel, because all tests
// share them.
func TestInstance(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, c := range []struct{ attributes, pod, given, instance, region, cluster string }{
		{"service.instance.id=id-1,k8s.pod.name=pod-1,cloud.region=eu-west-1,k8s.cluster.name=blue", "pod-2", "", "id-1", "eu-west-1", "blue"},
		{"k8s.pod.name=pod-1", "pod-2", "", "pod-1", "", ""},
		{"service.instance.id= ,k8s.pod.name=", "pod-2", "", "pod-2", "", ""},
		{"", "", "", host, "", ""},
		{"service.instance.id=id%201", "", "", "id 1", "", ""},
		{"service.instance.id=id-1", "pod-2", "mine", "mine", "", ""},
	} {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", c.attributes)
		t.Setenv("POD_NAME", c.pod)
		m := &memory{}
		require.NoError(t, history.Record(t.Context(), m, build("v1.0.0"), history.Deployment{Instance: c.given}))
		e := m.all()[0]
		require.Equal(t, []string{c.instance, c.region, c.cluster}, []string{e.Instance, e.Region, e.Cluster}, c.attributes)
	}
}

// TestRegions has one environment in two regions whose versions differ for days. That is not a
// rolling update.
func TestRegions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := fileIn(t, nil)
		record := func(region, cluster, release string) {
			require.NoError(t, history.Record(t.Context(), s, build(release), history.Deployment{Environment: "production", Region: region, Cluster: cluster, Instance: "shop-0"}))
			time.Sleep(time.Hour)
		}
		record("eu", "", "v1.0.0")
		record("us", "", "v1.0.0")
		record("us", "blue", "v1.0.0")
		record("eu", "", "v1.1.0")
		time.Sleep(72 * time.Hour)
		record("us", "", "v1.1.0")
		require.Equal(t, []string{"first v1.0.0", "first v1.0.0", "first v1.0.0", "update v1.0.0→v1.1.0", "update v1.0.0→v1.1.0"}, moves(t, s))
		running, err := history.Current(t.Context(), s)
		require.NoError(t, err)
		list := []string{}
		for _, r := range running {
			list = append(list, r.Region+" "+r.Cluster+" "+r.Info.Version)
		}
		require.Equal(t, []string{"eu  v1.1.0", "us  v1.1.0", "us blue v1.0.0"}, list)
		text := timeline(t, s).String()
		require.Contains(t, text, "shop (production, eu): v1.0.0 → v1.1.0")
		require.Contains(t, text, "shop (production, us, blue): v1.0.0, seen for the first time")
		require.NotContains(t, text, "both")
	})
}
