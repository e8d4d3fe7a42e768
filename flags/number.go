package flags

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/internal/document"
)

// maxExact bounds the integers that a float64 holds exactly, in both directions.
const maxExact = 1 << 53

// numberFault explains why a float64 cannot hold a number. It returns nil when it can.
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

func isExact(text string) bool {
	i, err := strconv.ParseInt(text, 10, 64)
	return err == nil && -maxExact <= i && i <= maxExact
}

// An inexactError is about an integer that loses digits in a float64.
type inexactError struct{ text string }

func (e *inexactError) Error() string {
	return document.Clip(e.text) + " is an integer beyond 2^53, where numbers lose digits: write it as a string"
}

// eachNumber visits the numbers below a node that a float64 cannot hold.
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

// beyondFloat reports whether an error of numberFault is about a number outside a float64's range.
func beyondFloat(err error) bool {
	inexact := (*inexactError)(nil)
	return err != nil && !errors.As(err, &inexact)
}
