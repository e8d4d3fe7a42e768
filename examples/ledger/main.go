// Ledger receives the entries of services, keeps them in SQLite or PostgreSQL, and shows what has
// changed:
//
//	LEDGER_TOKENS=shop=secret1,till=secret2 go run . -sqlite history.db
//	go run . -postgres "$DATABASE_URL"
//	curl 'http://127.0.0.1:8091/timeline?hours=24&service=shop&environment=production'
//
// Services send to it with history.NewReporter("http://127.0.0.1:8090/history", …), each with its
// own token. The timeline is on a second, loopback listener, because it must not be public.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/version/history"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv("LEDGER_TOKENS"), func(public, operators net.Addr) {
		fmt.Printf("POST http://%s/history\nGET  http://%s/timeline\n", public, operators)
	})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It calls ready when it accepts requests.
func run(ctx context.Context, args []string, tokens string, ready func(public, operators net.Addr)) error {
	flags := flag.NewFlagSet("ledger", flag.ContinueOnError)
	file := flags.String("sqlite", "", "`file` of an SQLite database")
	url := flags.String("postgres", "", "`address` of a PostgreSQL database")
	listen := flags.String("listen", "127.0.0.1:8090", "`address` that services report to")
	admin := flags.String("admin", "127.0.0.1:8091", "`address` that operators read from")
	if err := flags.Parse(args); err != nil {
		return err
	}
	store, err := open(*file, *url)
	if err != nil {
		return err
	}
	defer store.close()
	authorize, err := byToken(tokens)
	if err != nil {
		return err
	}
	collector, err := history.NewCollector(store, &history.CollectorOptions{Authorize: authorize})
	if err != nil {
		return err
	}
	public, operators := http.NewServeMux(), http.NewServeMux()
	public.Handle("/history", collector)
	operators.HandleFunc("GET /timeline", timeline(store))
	operators.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(collector.Stats())
	})
	return serve(ctx, ready, *listen, public, *admin, operators)
}

func serve(ctx context.Context, ready func(public, operators net.Addr), listen string, public http.Handler, admin string, operators http.Handler) error {
	var listeners [2]net.Listener
	for n, address := range []string{listen, admin} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		defer l.Close()
		listeners[n] = l
	}
	failed := make(chan error, 2)
	for n, h := range []http.Handler{public, operators} {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
		defer server.Close()
		go func() { failed <- server.Serve(listeners[n]) }()
	}
	ready(listeners[0].Addr(), listeners[1].Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// ledger is a store and its database.
type ledger struct {
	*history.SQLStore
	close func() error
}

// open opens the database of the flags.
func open(file, url string) (*ledger, error) {
	driver, source, dialect := "pgx", url, history.DialectPostgreSQL
	switch {
	case (file == "") == (url == ""):
		return nil, errors.New("name one database: -sqlite or -postgres")
	case file != "":
		driver, dialect = "sqlite", history.DialectSQLite
		source = "file:" + file + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	store, err := history.NewSQL(db, dialect, nil)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &ledger{store, db.Close}, nil
}

// byToken reads name=token pairs. It compares digests of tokens, so that the time of the
// comparison reveals nothing about them.
func byToken(pairs string) (func(*http.Request) (string, error), error) {
	digests := map[string][sha256.Size]byte{}
	for pair := range strings.SplitSeq(pairs, ",") {
		name, token, ok := strings.Cut(pair, "=")
		if !ok || name == "" || token == "" {
			return nil, errors.New("LEDGER_TOKENS must be name=token, separated by commas")
		}
		digests[name] = sha256.Sum256([]byte(token))
	}
	return func(r *http.Request) (who string, err error) {
		err = errors.New("an unknown token")
		token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		digest := sha256.Sum256([]byte(token))
		for name, d := range digests {
			if subtle.ConstantTimeCompare(d[:], digest[:]) == 1 && bears {
				who, err = name, nil
			}
		}
		return who, err
	}, nil
}

// timeline answers with the changes of the last hours, of one service or environment if the query
// names it, as text or Markdown.
func timeline(store history.Store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		hours, err := strconv.Atoi(r.FormValue("hours"))
		if err != nil || hours <= 0 {
			hours = 24
		}
		part := history.Only(store, history.Query{Service: r.FormValue("service"), Environment: r.FormValue("environment")})
		list, err := history.Timeline(r.Context(), part, time.Now().Add(-time.Duration(min(hours, 10_000))*time.Hour), time.Time{})
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case err != nil:
			http.Error(w, "the history cannot be read", http.StatusServiceUnavailable)
		case r.FormValue("format") == "markdown":
			w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
			_, _ = fmt.Fprint(w, list.Markdown())
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprintln(w, list)
		}
	}
}
