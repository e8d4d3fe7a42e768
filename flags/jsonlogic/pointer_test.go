package jsonlogic_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

func TestPointerThatPointsToItself(t *testing.T) {
	t.Parallel()
	var self any
	self = &self
	var one any = map[string]any{"b": "c"}
	for rule, want := range map[string]any{`{"var":"self"}`: nil, `{"var":"self.a"}`: nil, `{"var":"one.b"}`: "c"} {
		r, err := jsonlogic.Compile([]byte(rule), nil)
		require.NoError(t, err)
		got, err := r.Eval(map[string]any{"self": self, "one": &one})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
