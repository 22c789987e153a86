package devregistry

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

// quiet keeps the labels of the registries out of the test's output.
var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
