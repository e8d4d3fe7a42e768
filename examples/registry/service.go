package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// token is required by services to show all of their build information.
const token = "for-operators"

// serviceSource returns the source of a service that uses a module and serves its build
// information. A real service uses version.Handler for that.
func serviceSource(module, expression string) string {
	return fmt.Sprintf(`package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"

	%q
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer %s" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		info, _ := debug.ReadBuildInfo()
		w.Header().Set("Content-Type", "text/x-go-buildinfo; charset=utf-8")
		fmt.Fprint(w, info)
	})
	fmt.Println("http://"+l.Addr().String()+"/version", %s)
	go func() { log.Fatal(http.Serve(l, nil)) }()
	io.Copy(io.Discard, os.Stdin) // run until the parent process ends
}
`, module, token, expression)
}

// A service is a running process.
type service struct {
	url   string
	stdin io.Closer
	cmd   *exec.Cmd
}

func (s *service) stop() error {
	if err := s.stdin.Close(); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// get makes a service require a version, as its developers do.
func (s *stage) get(ctx context.Context, service, query string) error {
	text, err := s.goCommand(ctx, filepath.Join(s.dir, service), "get", query)
	if err != nil {
		return err
	}
	s.say("   %s$ go get %s", service, query)
	for line := range strings.Lines(text) {
		s.say("      %s", strings.TrimSpace(line))
	}
	return nil
}

// start builds a service and runs it instead of its old process.
func (s *stage) start(ctx context.Context, name string) error {
	binary := filepath.Join(s.dir, name, "service.exe") // Windows needs the extension, other systems ignore it
	if old := s.services[name]; old != nil {
		delete(s.services, name)
		if err := old.stop(); err != nil {
			return err
		}
	}
	if _, err := s.goCommand(ctx, filepath.Join(s.dir, name), "build", "-o", binary, "."); err != nil {
		return err
	}
	cmd := exec.Command(binary)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	service := &service{stdin: stdin, cmd: cmd}
	s.services[name] = service
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s does not start: %w", name, err)
	}
	url, price, _ := strings.Cut(strings.TrimSpace(line), " ")
	service.url = url
	s.say("   %s runs, and asks %s for a book", name, price)
	return nil
}

// goCommand runs a go command whose only proxy is the registry. It returns the output, which is also
// in the error.
func (s *stage) goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return strings.HasPrefix(name, "GO") && name != "GOCACHE" && name != "GOROOT" || name == "PWD" || name == "NETRC"
	})
	cmd.Env = append(
		cmd.Env,
		"GOPROXY="+s.url, "GOSUMDB="+s.public.key, "GONOSUMDB=corp.example",
		"GOPATH="+filepath.Join(s.dir, "gopath"), "GOMODCACHE="+filepath.Join(s.dir, "modcache"),
		"GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "GOWORK=off", "GOENV=off", "GOVCS=*:off", "NETRC="+os.DevNull,
	)
	out, err := cmd.CombinedOutput()
	text := string(bytes.TrimSpace(out))
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return text, nil
}
