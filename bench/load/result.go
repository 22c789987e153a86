package load

import (
	"fmt"
	"time"

	"spillway/bench/hist"
)

// Result is what a run has measured, warm-up left out.
type Result struct {
	Corrected *hist.Histogram // from the planned time to the end of the answer
	Raw       *hist.Histogram // from sending to the end of the answer
	Lag       *hist.Histogram // sending behind the plan, by our own fault
	Connect   *hist.Histogram // TCP handshakes, and TLS ones

	Sent     uint64 // requests
	Answered uint64 // complete responses, expected or not
	Unsent   uint64 // planned, but no connection came free before the end
	Errors   map[string]uint64
	Status   map[int]uint64

	Connections uint64        // opened, those before the start included
	Received    uint64        // bytes, those of the warm-up included
	Elapsed     time.Duration // measured
	Planned     float64       // requests a second; 0 in a closed loop
	Achieved    float64       // answers a second
	Timeline    []Second
	Workers     []Use
	Open        bool // an open loop
}

// Use is what one lane had of the processor while it sent.
type Use struct {
	User, System time.Duration
	Waited       time.Duration // ready to run while others ran
	Busy         float64       // share of the time that was used or waited for
}

// ErrorTotal is the number of failed requests, and of connections that failed
// without a request.
func (r *Result) ErrorTotal() uint64 {
	var sum uint64
	for _, n := range r.Errors {
		sum += n
	}
	return sum
}

// result merges what the workers found.
func (r *run) result() *Result {
	out := &Result{
		Corrected: new(hist.Histogram), Raw: new(hist.Histogram), Lag: new(hist.Histogram), Connect: new(hist.Histogram),
		Errors: map[string]uint64{}, Status: map[int]uint64{}, Timeline: r.collector.done, Open: r.cfg.Curve != nil,
	}
	var last, end int64
	for _, w := range r.workers {
		m := w.measured()
		out.add(m.rec)
		last = max(last, m.lastAnswer)
		end = max(end, m.rec.ended)
		out.Workers = append(out.Workers, m.share(r.origin))
	}
	begin := r.origin + int64(r.cfg.Warmup)
	if !out.Open {
		end = max(end, last) // the last answers were waited for
	}
	out.Elapsed = time.Duration(max(end-begin, 1))
	if out.Open {
		upTo := r.cfg.Warmup + out.Elapsed
		out.Planned = (r.curve.Hits(upTo) - r.curve.Hits(r.cfg.Warmup)) / out.Elapsed.Seconds()
	}
	out.Achieved = float64(out.Answered) / out.Elapsed.Seconds()
	return out
}

func (r *Result) add(rec *recorder) {
	r.Corrected.Merge(&rec.corrected)
	r.Raw.Merge(&rec.raw)
	r.Lag.Merge(&rec.lag)
	r.Connect.Merge(&rec.connect)
	r.Sent += rec.sent
	r.Answered += rec.answered
	r.Unsent += rec.unsent
	r.Connections += rec.opened
	r.Received += rec.received
	for k, n := range rec.kinds {
		if n > 0 {
			r.Errors[Kind(k).String()] += n
		}
	}
	for code, n := range rec.status {
		if n > 0 {
			r.Status[code] += n
		}
	}
}

func (m *measure) share(origin int64) Use {
	wall := time.Duration(max(m.rec.ended-origin, 1))
	u := Use{User: m.use.user, System: m.use.system, Waited: m.use.waited}
	u.Busy = float64(u.User+u.System+u.Waited) / float64(wall)
	return u
}

// The rules by which a run is invalid.
const (
	// lagFloor is a lag that is never held against a run.
	lagFloor = 2 * time.Millisecond
	// lagShare is how much of the p99 latency may be our own lag.
	lagShare = 0.1
	// rateShare is how much of the planned requests must have been sent.
	rateShare = 0.99
	// busyShare is how busy a lane is that is itself the limit.
	busyShare = 0.9
	// dearest is the most processor time that a request is taken to need: with
	// few requests it is mostly timers that were measured.
	dearest = 50 * time.Microsecond
)

// Invalid says why the run measures the generator and not the target; nothing
// if it does not. maxLag bounds the p99 of the lag; 0: 2 ms or a tenth of the
// p99 latency, whichever is more.
//
// Requests that were not sent because every connection waited for an answer are
// the target's doing and no reason, unless we were busy ourselves or could not
// have sent that many to any target.
func (r *Result) Invalid(maxLag time.Duration) []string {
	if !r.Open {
		return nil
	}
	var why []string
	if maxLag == 0 {
		maxLag = max(lagFloor, time.Duration(lagShare*float64(r.Corrected.Quantile(0.99))))
	}
	if lag := time.Duration(r.Lag.Quantile(0.99)); lag > maxLag {
		why = append(why, fmt.Sprintf("generator lag p99 is %v, above %v", lag.Round(time.Microsecond), maxLag.Round(time.Microsecond)))
	}
	share := float64(r.Sent) / max(float64(r.Sent+r.Unsent), 1)
	if share >= rateShare {
		return why
	}
	if busy := r.busiest(); busy > busyShare {
		why = append(why, fmt.Sprintf("%.1f %% of the planned requests were sent while a generator loop was %.0f %% busy", 100*share, 100*busy))
	} else if most := r.capacity(); most < r.Planned {
		why = append(why, fmt.Sprintf("%.1f %% of the planned requests were sent; the generator can send about %.0f/s here to any target", 100*share, most))
	}
	return why
}

func (r *Result) busiest() float64 {
	busy := 0.0
	for _, u := range r.Workers {
		busy = max(busy, u.Busy)
	}
	return busy
}

// capacity estimates how many requests a second the workers could send if they
// did nothing but that, by what a request has cost.
func (r *Result) capacity() float64 {
	var used time.Duration
	for _, u := range r.Workers {
		used += u.User + u.System
	}
	cost := float64(dearest)
	if r.Sent > 0 {
		cost = min(cost, float64(used)/float64(r.Sent))
	}
	return float64(len(r.Workers)) * 1e9 / max(cost, 1)
}

// setRate changes the schedule from now on, for all workers.
func (r *run) setRate(rate float64) {
	now := time.Duration(max(r.clock()-r.origin, 0))
	r.steer.Lock()
	defer r.steer.Unlock()
	r.curve = r.curve.Then(now, rate)
	c := r.curve
	for _, w := range r.workers {
		w.post(func() { w.follow(c) })
	}
}
