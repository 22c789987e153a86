//go:build !race

package load

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestStallIsSeen is the reason for all the care: a server that stands still
// keeps a closed loop waiting, which then hardly sees it.
func TestStallIsSeen(t *testing.T) {
	const stall = 400 * time.Millisecond
	begin := time.Now()
	var stalled atomic.Bool
	var until atomic.Int64
	addr := serve(t, always(func(*http.Request) string {
		if time.Since(begin) > 300*time.Millisecond && !stalled.Swap(true) {
			until.Store(int64(time.Since(begin) + stall))
		}
		if wait := until.Load() - int64(time.Since(begin)); wait > 0 {
			<-time.After(time.Duration(wait))
		}
		return ok
	}))
	res := do(t, Config{Addr: addr, Connections: 4, Curve: Constant(1000, 1500*time.Millisecond)})
	if p99 := time.Duration(res.Corrected.Quantile(0.99)); p99 < stall*8/10 {
		t.Errorf("corrected p99 %v, but the server stood still for %v: a quarter of the requests fell due then", p99, stall)
	}
	if p99 := time.Duration(res.Raw.Quantile(0.99)); p99 > stall/2 {
		t.Errorf("raw p99 %v: only four requests were in flight", p99)
	}
	if res.Answered+res.Unsent != 1500 || res.Corrected.Count() != 1500 {
		t.Errorf("%d answered, %d not sent, %d latencies, want 1500 in all", res.Answered, res.Unsent, res.Corrected.Count())
	}
	if lag := time.Duration(res.Lag.Quantile(0.9)); lag > stall/4 {
		t.Errorf("generator lag p90 %v: the stall was the target's", lag)
	}
}

func TestRateChangesWhileRunning(t *testing.T) {
	addr := serve(t, fixed(ok))
	control := new(Control)
	if err := control.SetRate(5); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v before the run", err)
	}
	seconds := 0
	cfg := Config{Addr: addr, Connections: 4, Curve: Constant(200, 2*time.Second), Progress: func(s Second) {
		if s.Index == 0 {
			if err := control.SetRate(2000); err != nil {
				t.Error(err)
			}
		}
		seconds++
	}}
	res, err := Do(context.Background(), cfg, control)
	if err != nil {
		t.Fatal(err)
	}
	if seconds != 2 || res.Sent < 1200 || res.Sent > 2300 || res.Planned < 600 {
		t.Errorf("%d sent in %d seconds, planned %g/s; want about 200 and then 2000", res.Sent, seconds, res.Planned)
	}
	if err := control.SetRate(-1); err == nil {
		t.Error("a rate below 0 was taken")
	}
}

func TestTLSSeesAStall(t *testing.T) {
	const stall = 300 * time.Millisecond
	begin := time.Now()
	addr, trust := serveTLS(t, func(http.ResponseWriter, *http.Request) {
		if at := time.Since(begin); at > 200*time.Millisecond && at < 200*time.Millisecond+stall {
			<-time.After(200*time.Millisecond + stall - at)
		}
	})
	res := do(t, Config{Addr: addr, TLS: trust, Connections: 2, Curve: Constant(300, time.Second)})
	if p99 := time.Duration(res.Corrected.Quantile(0.95)); p99 < stall/3 || res.Answered+res.Unsent != 300 {
		t.Errorf("p95 %v with a stall of %v; %d answered; %s", p99, stall, res.Answered, strings.Join(res.Invalid(time.Second), ","))
	}
}
