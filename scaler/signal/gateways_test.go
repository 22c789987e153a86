package signal

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// whole checks that every second from the first to the last has the arrivals
// and the coverage that are expected.
func whole(t *testing.T, s Snapshot, arrivals float64, reporting, expected int) {
	t.Helper()
	if len(s.Seconds) == 0 {
		t.Fatalf("no seconds: %+v", s)
	}
	for i, sec := range s.Seconds {
		if i > 0 && sec.At.Sub(s.Seconds[i-1].At) != time.Second {
			t.Errorf("%v follows %v", sec.At, s.Seconds[i-1].At)
		}
		if sec.Arrivals != arrivals || sec.Reporting != reporting || sec.Expected != expected {
			t.Errorf("%v: %g arrivals of %d/%d gateways, want %g of %d/%d", sec.At, sec.Arrivals, sec.Reporting, sec.Expected, arrivals, reporting, expected)
		}
	}
}

func TestGatewaysAreAddedUp(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.run(20)
	s := w.source.Snapshot("web", 10*time.Second)
	whole(t, s, 30, 3, 3)
	if len(s.Seconds) != 10 || s.Coverage() != 1 || s.Age > time.Second {
		t.Errorf("%d seconds, coverage %g, age %v, want 10, 1 and less than a second", len(s.Seconds), s.Coverage(), s.Age)
	}
	last := s.Seconds[9]
	if last.Errors != 3 || last.Refused != 6 || last.InFlight != 9 || last.Completions != 30 || last.At.Unix() != w.now.Unix() {
		t.Errorf("newest second is %+v", last)
	}
	// All in bucket 10: from 25.6 to 51.2 ms.
	if last.P95 < 25600*time.Microsecond || last.P95 > 51200*time.Microsecond {
		t.Errorf("p95 is %v", last.P95)
	}
	if unknown := w.source.Snapshot("api", time.Minute); len(unknown.Seconds) != 0 || unknown.Expected != 3 {
		t.Errorf("an upstream nobody told of: %+v", unknown)
	}
}

func TestSilentGatewayLowersTheCoverageUntilItsSecondsComeIn(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.run(20)
	w.set(func() { w.gateways["b"].down = true })
	w.run(10)
	s := w.source.Snapshot("web", 5*time.Second)
	whole(t, s, 10, 1, 2)
	if s.Reporting != 1 || s.Expected != 2 || s.Coverage() != 0.5 {
		t.Errorf("%d of %d report, want 1 of 2", s.Reporting, s.Expected)
	}
	if _, silent := w.source.LastTold(); len(silent) != 1 || silent["b"] == nil {
		t.Errorf("silent are %v, want b", silent)
	}
	w.set(func() { w.gateways["b"].down = false })
	w.run(1)
	whole(t, w.source.Snapshot("web", 20*time.Second), 20, 2, 2)
}

func TestAllGatewaysSilentIsNoData(t *testing.T) {
	w := newWorld(t, "a")
	w.run(20)
	w.set(func() { w.gateways["a"].down = true })
	w.run(30)
	s := w.source.Snapshot("web", 10*time.Second)
	if s.Coverage() != 0 || s.Age < 29*time.Second {
		t.Errorf("coverage %g and age %v, want 0 and 30s", s.Coverage(), s.Age)
	}
}

// A gateway whose recorder stands still answers, and tells nothing new.
func TestGatewayThatTellsNothingNewDoesNotReport(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.run(20)
	w.set(func() { w.gateways["b"].from = 1 << 40 })
	w.run(20)
	if s := w.source.Snapshot("web", 5*time.Second); s.Reporting != 1 || s.Expected != 2 || s.Age > 3*time.Second {
		t.Errorf("%d of %d report, age %v, want 1 of 2", s.Reporting, s.Expected, s.Age)
	}
}

func TestGatewayThatLeftIsNotMissed(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.run(20)
	w.set(func() { w.gateways["b"].registered = false })
	w.run(10)
	s := w.source.Snapshot("web", 5*time.Second)
	whole(t, s, 10, 1, 1)
	if s.Coverage() != 1 {
		t.Errorf("coverage is %g, want 1", s.Coverage())
	}
	// What it told before stays.
	before := w.source.Snapshot("web", 30*time.Second).Seconds
	if first := before[2]; first.Arrivals != 20 || first.Coverage() != 1 {
		t.Errorf("while it was there: %+v", first)
	}
	w.set(func() { w.gateways["b"].registered = true })
	w.run(10)
	whole(t, w.source.Snapshot("web", 5*time.Second), 20, 2, 2)
}

func TestNewGatewayIsMissedOnlyAfterItsFirstSeconds(t *testing.T) {
	w := newWorld(t, "a")
	w.run(20)
	w.set(func() { w.add("b") })
	for range 8 {
		w.run(1)
		if s := w.source.Snapshot("web", 5*time.Second); s.Coverage() < 1 {
			t.Fatalf("coverage is %g while a gateway starts", s.Coverage())
		}
	}
	whole(t, w.source.Snapshot("web", 3*time.Second), 20, 2, 2)
	w.set(func() { w.add("deaf").down = true })
	w.run(8)
	if s := w.source.Snapshot("web", 5*time.Second); s.Coverage() == 1 {
		t.Error("a gateway that never told anything is not missed")
	}
}

func TestRestartedGatewayIsNotCountedTwice(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.run(20)
	w.set(func() {
		w.gateways["b"].from = w.now.Unix() + 1
	})
	w.run(20)
	whole(t, w.source.Snapshot("web", 30*time.Second), 20, 2, 2)
}

func TestClocksOfGatewaysAreAligned(t *testing.T) {
	for _, ahead := range []time.Duration{-3 * time.Hour, -1500 * time.Millisecond, 400 * time.Millisecond, 10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			w := newWorld(t, "a", "b")
			w.set(func() {
				b := w.gateways["b"]
				b.ahead, b.from = ahead, w.now.Add(ahead).Unix()+1
			})
			w.run(20)
			// A second may be cut at another place, by less than one.
			s := w.source.Snapshot("web", 10*time.Second)
			whole(t, s, 20, 2, 2)
			if off := w.now.Unix() - s.Seconds[len(s.Seconds)-1].At.Unix(); off < 0 || off > 2 {
				t.Errorf("the newest second is %d s old", off)
			}
		})
	}
}

func TestClockThatIsSetIsFollowed(t *testing.T) {
	w := newWorld(t, "a")
	w.run(20)
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		w.set(func() {
			a := w.gateways["a"]
			a.ahead, a.from = ahead, w.now.Add(ahead).Unix()-10
		})
		w.run(15)
		s := w.source.Snapshot("web", 5*time.Second)
		whole(t, s, 10, 1, 1)
		if s.Coverage() != 1 || s.Age > 3*time.Second {
			t.Errorf("set by %v: coverage %g, age %v", ahead, s.Coverage(), s.Age)
		}
	}
}

func TestOnlyNewSecondsAreAskedFor(t *testing.T) {
	w := newWorld(t, "a")
	w.source.opt.Upstreams = []string{"web", "api"}
	w.run(3)
	want := []string{"upstream=web&upstream=api"}
	for s := 1; s < 3; s++ {
		want = append(want, fmt.Sprintf("since=%d000&upstream=web&upstream=api", 1764000000+s))
	}
	if got := w.gateways["a"].asked; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if tokens := w.gateways["a"].tokens; len(tokens) != 1 || !tokens["Bearer secret"] {
		t.Errorf("tokens sent: %v", tokens)
	}
}

// A gateway that knows none of our upstreams reports that they have no traffic
// there.
func TestGatewayWithoutTheUpstreamCounts(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.set(func() { w.gateways["b"].upstreams = nil })
	w.run(20)
	whole(t, w.source.Snapshot("web", 10*time.Second), 10, 2, 2)
}

func TestLostRegistryKeepsTheLastGateways(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.run(10)
	w.set(func() {
		w.findErr = errConsul
		w.gateways["b"].registered = false
	})
	w.run(10)
	whole(t, w.source.Snapshot("web", 5*time.Second), 20, 2, 2)
}

func TestBadAnswersReportNothing(t *testing.T) {
	for name, set := range map[string]func(g *fakeGateway){
		"status":   func(g *fakeGateway) { g.status = http.StatusInternalServerError },
		"redirect": func(g *fakeGateway) { g.status = http.StatusFound },
		"no JSON":  func(g *fakeGateway) { g.body = "<html>" },
		"cut":      func(g *fakeGateway) { g.body = `{"now_ms":1764000000000,"upstreams":{` },
		"negative": func(g *fakeGateway) { g.rate = -1 },
		"no counts": func(g *fakeGateway) {
			g.body = `{"now_ms":1764000010000,"upstreams":{"web":{"seconds":[{"t":1764000010,"a":5}]}}}`
		},
		"of old": func(g *fakeGateway) {
			g.body = `{"now_ms":1764000010000,"upstreams":{"web":{"seconds":[{"t":1,"h":[]}]}}}`
		},
		"no time":    func(g *fakeGateway) { g.body = `{"upstreams":{}}` },
		"other JSON": func(g *fakeGateway) { g.body = `{"error":"read_token is missing"}` },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a")
			w.set(func() { set(w.gateways["a"]) })
			w.run(10)
			if s := w.source.Snapshot("web", 10*time.Second); s.Reporting != 0 || s.Coverage() != 0 || len(s.Seconds) != 0 {
				t.Errorf("found %+v", s)
			}
			if _, silent := w.source.LastTold(); silent["a"] == nil {
				t.Error("the gateway is not told to be silent")
			}
		})
	}
}

func TestServersAreKnownFromAllGateways(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.set(func() {
		w.gateways["a"].servers = map[string]serverAnswer{"10.0.0.1:80": {Serving: true, L: 2, C: 30}, "10.0.0.2:80": {L: 1}}
		w.gateways["b"].servers = map[string]serverAnswer{"10.0.0.1:80": {Serving: true, L: 3, C: 40}}
	})
	w.run(3)
	s := w.source.Snapshot("web", time.Second)
	if got, want := s.Servers["10.0.0.1:80"], (Server{"10.0.0.1:80", 5, 70, 2, 2}); got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
	if got, want := s.Servers["10.0.0.2:80"], (Server{"10.0.0.2:80", 1, 0, 0, 1}); got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

// The whole of what a drain rests on.
func TestDrainIsAcknowledgedByEveryGatewayAfterwards(t *testing.T) {
	const addr = "10.0.0.1:80"
	w := newWorld(t, "a", "b")
	serving := func(name string, yes bool, inFlight float64) {
		w.set(func() {
			w.gateways[name].servers = map[string]serverAnswer{addr: {Serving: yes, L: inFlight}}
		})
	}
	check := func(what string, acked bool, inFlight float64, known bool, since time.Time) {
		t.Helper()
		if a, l, k := w.source.Acked("web", addr, since); a != acked || l != inFlight || k != known {
			t.Errorf("%s: acked %v, in flight %g, known %v, want %v, %g, %v", what, a, l, k, acked, inFlight, known)
		}
	}
	serving("a", true, 4)
	serving("b", true, 2)
	check("before the first round", false, -1, false, w.now)
	w.run(5)
	check("both serve", false, 6, true, w.now.Add(-time.Second))
	since := w.now
	check("nobody has told since", false, -1, false, since)
	serving("a", false, 4)
	w.set(func() { w.gateways["b"].down = true })
	w.run(1)
	check("one has not told", false, 4, false, since)
	w.set(func() { w.gateways["b"].down = false })
	w.run(1)
	check("one serves still", false, 6, true, since)
	serving("b", false, 1)
	w.run(1)
	check("none serves", true, 5, true, since)
	w.set(func() { w.gateways["a"].servers = nil })
	serving("b", false, 0)
	w.run(1)
	check("gone from one", true, 0, true, since)
	w.set(func() { w.add("c") })
	w.run(1)
	check("a new gateway is asked too", false, 0, false, w.now.Add(-time.Second))
	w.run(1)
	check("and has told", true, 0, true, since)
	w.set(func() {
		for _, g := range w.gateways {
			g.registered = false
		}
	})
	w.run(2)
	check("without gateways nothing is known", false, -1, false, since)
}

func TestCapacityIsAnnouncedToAll(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.run(1)
	eta := time.UnixMilli(1764000090500)
	if err := w.source.Announce(context.Background(), "web/1", 2.5, eta); err != nil {
		t.Fatal(err)
	}
	if err := w.source.Announce(context.Background(), "web", 0, time.Time{}); err != nil {
		t.Fatal(err)
	}
	want := "/api/v1/upstreams/web/1/capacity {\"ordered\":2.5,\"eta_ms\":1764000090500}\n/api/v1/upstreams/web/capacity {\"ordered\":0,\"eta_ms\":0}"
	for name, g := range w.gateways {
		if got := strings.Join(g.posted, "\n"); got != want {
			t.Errorf("%s got %s, want %s", name, got, want)
		}
	}
	w.set(func() {
		w.gateways["a"].status = http.StatusNotFound // has no such upstream
		w.gateways["b"].status = http.StatusForbidden
	})
	err := w.source.Announce(context.Background(), "web", 1, eta)
	if err == nil || strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `cannot announce to gateway "b": answered 403`) {
		t.Errorf("found error %v, want that b refused", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	w := newWorld(t, "a")
	w.source.opt.Interval = time.Millisecond
	ignore := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.source.Run(ctx)
		close(done)
	}()
	for len(w.asked("a")) == 0 {
		select {
		case <-done:
			t.Fatal("Run ended by itself")
		default:
		}
	}
	cancel()
	<-done
	w.source.caller.client.CloseIdleConnections()
	w.gateways["a"].server.Close()
	goleak.VerifyNone(t, ignore)
}

func (w *world) asked(name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gateways[name].asked
}
