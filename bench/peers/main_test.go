package peers

import (
	"os"
	"testing"
)

// TestMain lets the test binary stand in for `spillway bench peers`, because a
// run starts itself for the backend and our own proxies. It also makes the test
// binary a way to run the comparison before there is any other:
// go test -c ./bench/peers && ./peers.test bench peers --rounds 1
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "peers" {
		os.Exit(Command(os.Args[3:], os.Stdout, os.Stderr))
	}
	// The race detector keeps a process for a second after its end, and a run
	// waits for many.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}
