package downtime_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
)

// After Drain has reported a window quiet, its work is unfinished. An edit that would open the
// window is held back then, and is an event and a problem. actual.end opens it.
func ExampleGuard_Drain_heldBackEdit() {
	dir, err := os.MkdirTemp("", "windows")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "windows.yaml")
	start := time.Now().Add(-time.Minute)
	edit := func(more string) {
		doc := fmt.Sprintf("windows:\n  - {id: orders-db, start: %s, duration: 1h, scope: {work: [import]}%s}\n", start.UTC().Format(time.RFC3339), more)
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			fmt.Println(err)
		}
	}
	edit("")
	g, err := downtime.Open(context.Background(), downtime.File(path), &downtime.Options{
		Poll: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	if _, err := g.Drain(context.Background(), "orders-db"); err != nil {
		fmt.Println(err)
		return
	}

	edit(", mode: announce") // somebody thinks that the window can be opened so
	for e := range g.Events(context.Background()) {
		if e.Kind == downtime.EventProblem {
			fmt.Println(e)
			break
		}
	}
	leave, err := g.Enter(context.Background(), downtime.Work{Name: "import"})
	leave()
	fmt.Println("admitted:", err == nil)

	edit(fmt.Sprintf(", actual: {end: %s}", time.Now().UTC().Format(time.RFC3339)))
	leave, err = g.EnterWait(context.Background(), downtime.Work{Name: "import"})
	leave()
	fmt.Println("admitted:", err == nil)
	fmt.Println("problems:", len(g.Problems()))
	// Output:
	// window "orders-db": mode: the edit is held back, because the work of the window is unfinished: to open it, set actual.end or call Complete
	// admitted: false
	// admitted: true
	// problems: 0
}
