package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"spillway/scaler/signal"
)

// What the scaler reads of real gateways: their traffic, that a server is out
// of rotation, capacity that is announced, and the trace for its replay.
func TestSignalsOfRealGatewaysReachTheScaler(t *testing.T) {
	t.Parallel()
	stays, goes := namedBackend(t, "stays"), namedBackend(t, "goes")
	trace := filepath.Join(t.TempDir(), "trace.jsonl")
	const config = `gateway: {trace: %q}
admin: {token: t}
upstreams: {web: {servers: [%q, %q]}}
routes: [{upstream: web}]
`
	one := serveConfig(t, fmt.Sprintf(config, trace, stays, goes))
	two := serveConfig(t, fmt.Sprintf(config, "", stays, goes))
	tr := startTraffic(t, one.addr)
	source := signal.NewGateways(signal.Options{
		Find: func(context.Context) ([]signal.Gateway, error) {
			return []signal.Gateway{{ID: "one", Admin: "http://" + one.admin}, {ID: "two", Admin: "http://" + two.admin}}, nil
		},
		Upstreams: []string{"web"}, Token: func() string { return "t" }, Timeout: 5 * time.Second,
	})
	eventually(t, "seconds of two gateways", func() error {
		source.Poll(t.Context())
		s := source.Snapshot("web", 10*time.Second)
		if n := len(s.Seconds); n < 2 || s.Coverage() != 1 || s.Seconds[n-1].Coverage() != 1 {
			return fmt.Errorf("%d seconds, coverage %g", n, s.Coverage())
		}
		if last := s.Seconds[len(s.Seconds)-1]; last.Arrivals == 0 || last.Completions == 0 || last.P95 <= 0 {
			return fmt.Errorf("found %+v", last)
		}
		if server := s.Servers[stays]; server.Serving != 2 || server.Told != 2 {
			return fmt.Errorf("found %+v", server)
		}
		return nil
	})
	if acked, _, known := source.Acked("web", goes, time.Now().Add(-patience)); acked || !known {
		t.Errorf("a server in rotation: acked %v, known %v", acked, known)
	}
	if err := source.Announce(t.Context(), "web", 3, time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}

	since := time.Now()
	for _, g := range []*sut{one, two} {
		writeFile(t, g.file, fmt.Sprintf(config, map[bool]string{true: trace}[g == one], stays, goes+" down"))
		g.signal(syscall.SIGHUP)
	}
	eventually(t, "acknowledgement", func() error {
		source.Poll(t.Context())
		if acked, inFlight, known := source.Acked("web", goes, since); !acked || !known || inFlight != 0 {
			return fmt.Errorf("acked %v, known %v, in flight %g", acked, known, inFlight)
		}
		return nil
	})
	one.notAsked("goes")
	tr.must(t, "a drain", 10)

	eventually(t, "trace", func() error {
		samples, err := readTraces([]string{trace}, "web")
		if err != nil {
			return err
		}
		for _, s := range samples {
			if s.Arrivals > 0 {
				return nil
			}
		}
		return errors.New("no arrivals")
	})
}
