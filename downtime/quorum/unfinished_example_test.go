package quorum_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// One replica drains a window, starts its work and dies. Replicas that start after the planned
// end hold the window closed all the same, until one of them completes the work.
func ExampleFiles_unfinishedWork() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "quorum")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler)
	start := time.Now().Add(-10 * time.Minute)
	replica := func(name string, duration time.Duration) (g *downtime.Guard, end func()) {
		windows := fmt.Appendf(nil, "windows: [{id: orders-db, start: %s, duration: %v, scope: {work: [import]}}]",
			start.UTC().Format(time.RFC3339), duration)
		q, err := quorum.Files(dir, &quorum.Options{Name: name, Logger: quiet})
		if err != nil {
			panic(err)
		}
		g, err = downtime.Open(ctx, downtime.Bytes("windows.yaml", windows), &downtime.Options{Quorum: q, Logger: quiet})
		if err != nil {
			panic(err)
		}
		return g, func() { _ = g.Close(); _ = q.Close() }
	}
	a, endA := replica("a", time.Hour)
	rep, err := a.Drain(ctx, "orders-db")
	fmt.Println(rep, err)
	endA() // it dies before its work has ended

	// In the documents of b and c the window has ended, as if time had passed.
	b, endB := replica("b", 5*time.Minute)
	defer endB()
	c, endC := replica("c", 5*time.Minute)
	defer endC()
	for _, g := range []*downtime.Guard{b, c} {
		_, err := g.Enter(ctx, downtime.Work{Name: "import"})
		rep, _ := g.Report("orders-db")
		fmt.Println("admitted:", err == nil, rep.Phase, rep.Unfinished)
	}
	if _, err := c.Complete("orders-db"); err != nil { // the work was taken up again, and has ended
		fmt.Println(err)
	}
	for _, g := range []*downtime.Guard{b, c} {
		leave, err := g.EnterWait(ctx, downtime.Work{Name: "import"})
		leave()
		fmt.Println("admitted:", err == nil)
	}
	// Output:
	// orders-db: quiet <nil>
	// admitted: false overrun true
	// admitted: false overrun true
	// admitted: true
	// admitted: true
}
