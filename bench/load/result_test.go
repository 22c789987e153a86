package load

import (
	"strings"
	"testing"
	"time"

	"spillway/bench/hist"
)

// outOf makes the result of an open loop.
func outOf(sent, unsent uint64, lag, latency time.Duration, use Use) *Result {
	r := &Result{Open: true, Sent: sent, Unsent: unsent, Planned: float64(sent + unsent), Lag: new(hist.Histogram), Corrected: new(hist.Histogram), Workers: []Use{use}}
	r.Lag.RecordN(int64(lag), sent)
	r.Corrected.RecordN(int64(latency), sent+unsent)
	return r
}

func TestWhoWasTheLimit(t *testing.T) {
	const ms = time.Millisecond
	idle := Use{User: 2 * ms, System: 8 * ms, Busy: 0.01}
	for _, tt := range []struct {
		name   string
		result *Result
		maxLag time.Duration
		want   string // "" valid
	}{
		{"all well", outOf(5000, 0, 0, ms, idle), 0, ""},
		{"late, but by little", outOf(5000, 0, 1900*time.Microsecond, ms, idle), 0, ""},
		{"late", outOf(5000, 0, 3*ms, 4*ms, idle), 0, "lag p99"},
		{"late, against latencies that are far longer", outOf(5000, 0, 3*ms, time.Second, idle), 0, ""},
		{"later than what was asked for", outOf(5000, 0, ms, time.Second, idle), ms / 2, "above 500µs"},
		{"a slow target", outOf(500, 4500, 0, time.Second, idle), 0, ""},
		{"a dead target", outOf(1, 4999, 0, time.Second, idle), 0, ""},
		{"a busy loop", outOf(500, 4500, 0, time.Second, Use{Busy: 0.95}), 0, "95 % busy"},
		{"a busy loop that kept up", outOf(5000, 40, 0, ms, Use{Busy: 0.95}), 0, ""},
		{"more than any target could get", outOf(90_000, 910_000, 0, time.Second, Use{System: 450 * ms, Busy: 0.6}), 0, "about 200000/s"},
	} {
		got := strings.Join(tt.result.Invalid(tt.maxLag), "; ")
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	closed := outOf(5000, 0, time.Second, ms, idle)
	closed.Open = false
	if why := closed.Invalid(0); why != nil {
		t.Errorf("a closed loop has no plan to miss: %q", why)
	}
}
