package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.yaml.in/yaml/v3"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/version"
)

// running is the service in this process.
type running struct {
	urls     map[string]string // by the name of the listener
	exporter exporter
	stop     context.CancelFunc
	done     chan error
}

func start(t *testing.T, o options) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{urls: map[string]string{}, stop: stop, done: make(chan error, 1)}
	ready := make(chan bool)
	o.addr, o.probes, o.operators, o.documents = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "."
	o.exporter, o.grace = &r.exporter, time.Minute
	o.listening = func(name string, addr net.Addr) {
		if r.urls[name] = "http://" + addr.String(); name == "service" {
			close(ready)
		}
	}
	go func() { r.done <- serve(ctx, o) }()
	select {
	case <-ready:
	case err := <-r.done:
		require.NoError(t, err)
		t.Fatal("the service ended")
	}
	t.Cleanup(stop)
	return r
}

// ask sends a request on a connection of its own.
func ask(t *testing.T, method, url string) (status int, err error) {
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// TestOrderOfShutdown checks the five steps that serve documents.
func TestOrderOfShutdown(t *testing.T) {
	begun, finish := make(chan bool), make(chan bool)
	draining, drained := make(chan bool), make(chan bool)
	r := start(t, options{
		order: func(http.ResponseWriter, *http.Request) {
			close(begun)
			<-finish
		},
		wait: func(context.Context, time.Duration) {
			close(draining)
			<-drained
		},
	})
	require.Equal(t, 200, answers(t, "GET", r.urls["probes"]+"/readyz"))
	type answer struct {
		status int
		err    error
	}
	slow := make(chan answer, 1)
	go func() {
		status, err := ask(t, "POST", r.urls["service"]+"/orders/test")
		slow <- answer{status, err}
	}()
	<-begun

	r.stop()
	<-draining
	require.Equal(t, 503, answers(t, "GET", r.urls["probes"]+"/readyz"), "1: the pod leaves the load balancers")
	require.Equal(t, 200, answers(t, "GET", r.urls["probes"]+"/livez"))
	require.Equal(t, 200, answers(t, "POST", r.urls["service"]+"/orders?user=ada"), "1: requests that still arrive are served")

	close(drained)
	require.Eventually(t, func() bool {
		_, err := ask(t, "POST", r.urls["service"]+"/orders")
		return err != nil
	}, time.Minute, time.Millisecond, "2: the listener closes")
	require.False(t, r.exporter.isClosed(), "4: telemetry waits for the last request")
	require.Equal(t, 503, answers(t, "GET", r.urls["probes"]+"/readyz"), "5: the probes are still there")
	require.Equal(t, 200, answers(t, "GET", r.urls["operators"]+"/maintenance/"))
	require.Empty(t, r.done)

	close(finish)
	require.Equal(t, answer{200, nil}, <-slow, "2: a request in progress may end")
	require.NoError(t, <-r.done)
	require.True(t, r.exporter.isClosed())
	require.Contains(t, r.exporter.names, "POST /orders/test", "4: its span is exported")
	_, err := ask(t, "GET", r.urls["probes"]+"/readyz")
	require.Error(t, err, "5")
}

func answers(t *testing.T, method, url string) int {
	t.Helper()
	status, err := ask(t, method, url)
	require.NoError(t, err)
	return status
}

type exporter struct {
	mu     sync.Mutex
	names  []string
	closed bool
}

func (e *exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range spans {
		e.names = append(e.names, s.Name())
	}
	return nil
}

func (e *exporter) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

func (e *exporter) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

type metadata struct{ Name string }

type manifest struct {
	Kind     string
	Metadata metadata
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Replicas int
		Selector yaml.Node // a Deployment has matchLabels in it
		Ports    []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				Containers                    []container
				Volumes                       []struct {
					Name      string
					ConfigMap metadata `yaml:"configMap"`
				}
			}
		}
	}
}

type container struct {
	Image string
	Args  []string
	Env   []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	VolumeMounts   []struct {
		Name, SubPath string
		MountPath     string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// manifests reads manifests.yaml, by kind.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	data, err := os.ReadFile("manifests.yaml")
	require.NoError(t, err)
	all := map[string]manifest{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var m manifest
		err := decoder.Decode(&m)
		if err == io.EOF {
			require.Len(t, all, 3)
			return all
		}
		require.NoError(t, err)
		all[m.Kind] = m
	}
}

func TestManifestsFitTheProgram(t *testing.T) {
	all := manifests(t)
	pod := all["Deployment"].Spec.Template
	require.Len(t, pod.Spec.Containers, 1)
	c := pod.Spec.Containers[0]
	o, err := parse(c.Args)
	require.NoError(t, err)

	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = ":" + strconv.Itoa(p.ContainerPort)
	}
	require.Equal(t, map[string]string{"http": o.addr, "probes": o.probes}, ports)
	require.Equal(t, []struct {
		TargetPort string `yaml:"targetPort"`
	}{{"http"}}, all["Service"].Spec.Ports)
	require.Greater(t, all["Deployment"].Spec.Replicas, 1)
	require.Greater(t, time.Duration(pod.Spec.TerminationGracePeriodSeconds)*time.Second, o.drain+o.grace+6*time.Second, "Kubernetes waits long enough")

	r := start(t, options{})
	for _, p := range []probe{c.LivenessProbe, c.ReadinessProbe} {
		require.Equal(t, "probes", p.HTTPGet.Port)
		require.Equal(t, 200, answers(t, "GET", r.urls["probes"]+p.HTTPGet.Path))
	}

	// The ConfigMap is where the program reads its documents.
	require.Len(t, c.VolumeMounts, 1)
	require.Equal(t, o.documents, c.VolumeMounts[0].MountPath)
	require.Empty(t, c.VolumeMounts[0].SubPath, "files of a subPath are never updated")
	require.Len(t, pod.Spec.Volumes, 1)
	require.Equal(t, c.VolumeMounts[0].Name, pod.Spec.Volumes[0].Name)
	require.Equal(t, all["ConfigMap"].Metadata.Name, pod.Spec.Volumes[0].ConfigMap.Name)
	for name, text := range all["ConfigMap"].Data {
		file, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(file), ""), text)
	}
	require.Len(t, all["ConfigMap"].Data, 2)
	require.Empty(t, flags.Lint("flags.yaml", []byte(all["ConfigMap"].Data["flags.yaml"]), giftWrap))
	_, err = schedule.Parse("windows.yaml", []byte(all["ConfigMap"].Data["windows.yaml"]))
	require.NoError(t, err)

	// Selectors match the pods.
	var labels struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	selector := all["Deployment"].Spec.Selector
	require.NoError(t, selector.Decode(&labels))
	require.Equal(t, pod.Metadata.Labels, labels.MatchLabels)
	var selected map[string]string
	selector = all["Service"].Spec.Selector
	require.NoError(t, selector.Decode(&selected))
	require.Equal(t, pod.Metadata.Labels, selected)
}

// The identity of the program comes from the environment in the manifest.
func TestManifestsGiveTheIdentity(t *testing.T) {
	t.Parallel()
	c := manifests(t)["Deployment"].Spec.Template.Spec.Containers[0]
	fields := map[string]string{"metadata.name": "orders-7d4b9c-x2x", "metadata.namespace": "shop"}
	env := map[string]string{}
	for _, e := range c.Env {
		if path := e.ValueFrom.FieldRef.FieldPath; path != "" {
			require.Contains(t, fields, path)
			e.Value = fields[path]
		}
		env[e.Name] = os.Expand(strings.NewReplacer("$(", "${", ")", "}").Replace(e.Value), func(name string) string { // variables above it
			require.Contains(t, env, name)
			return env[name]
		})
	}
	info := version.New(&version.Options{Getenv: func(key string) string { return env[key] }})
	require.Equal(t, "orders", info.Name)
	require.Equal(t, "production", info.Environment)
	_, tag, _ := strings.Cut(c.Image, ":")
	require.Equal(t, tag, info.Version)
	require.Empty(t, info.Conflicts)
	require.Contains(t, env["OTEL_RESOURCE_ATTRIBUTES"], "k8s.pod.name=orders-7d4b9c-x2x,k8s.namespace.name=shop")
}
