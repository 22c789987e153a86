package bench

import (
	"os"
	"testing"
)

// TestMain lets the test binary stand in for `spillway bench`, which some verbs
// start again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "bench" {
		os.Exit(Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
