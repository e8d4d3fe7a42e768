package downtime_test

import (
	"testing"
	_ "time/tzdata" // the zones are tested wherever the tests run

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
