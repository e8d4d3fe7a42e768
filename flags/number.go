package flags

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/internal/document"
)

// maxExact is up to which integer, and down to its negative, a float64 tells every integer
// from its neighbours.
const maxExact = 1 << 53

// numberFault says why a float64 cannot hold a number; nil when it can.
func numberFault(n *document.Node) error {
	if n.Kind != document.Number || len(n.Text) <= 3 {
		return nil
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	switch {
	case err != nil:
		return fmt.Errorf("%s is beyond what a number can hold", document.Clip(n.Text))
	case math.Abs(f) >= maxExact && !strings.ContainsAny(n.Text, ".eE") && !isExact(n.Text):
		return &inexactError{n.Text}
	}
	return nil
}

// isExact says whether an integer is at most maxExact.
func isExact(text string) bool {
	i, err := strconv.ParseInt(text, 10, 64)
	return err == nil && -maxExact <= i && i <= maxExact
}

// An inexactError is an integer that a float64 cannot tell from its neighbours.
type inexactError struct{ text string }

func (e *inexactError) Error() string {
	return document.Clip(e.text) + " is an integer beyond 2^53, where numbers lose digits: write it as a string"
}

// eachNumber calls visit with the numbers below a node that a float64 cannot hold.
func eachNumber(n *document.Node, visit func(n *document.Node, err error)) {
	if n == nil {
		return
	}
	if err := numberFault(n); err != nil {
		visit(n, err)
	}
	for _, item := range n.Items {
		eachNumber(item, visit)
	}
}

// beyondFloat says whether a fault is that of a number that a float64 cannot hold at all.
func beyondFloat(err error) bool {
	inexact := (*inexactError)(nil)
	return err != nil && !errors.As(err, &inexact)
}
