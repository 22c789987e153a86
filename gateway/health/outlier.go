package health

import (
	"fmt"
	"math"
	"slices"
	"time"

	"spillway/gateway/upstream"
)

// Reason is why a server was ejected.
type Reason uint8

const (
	none Reason = iota
	unreachable
	gatewayFailures
	serverErrors
	successRate
	latency
	reasons
)

func (r Reason) String() string {
	return [...]string{"", "unreachable", "gateway_failures", "server_errors", "success_rate", "latency"}[r]
}

// sample is how a server answered of late.
type sample struct {
	// requests and good are attempts and those that were answered by less
	// than 500, over about Outlier.Window.
	requests, good float64
	// answers is how many answers pace is the mean time of, over the last
	// seconds. stalled is for how long nothing was answered while requests
	// waited.
	answers       float64
	pace, stalled time.Duration
	inflight      int64
}

// judgement is what the comparison says of a server: none for most.
type judgement struct {
	reason Reason
	why    string
}

// outliers compares servers with each other and tells of each what speaks for
// its ejection.
func outliers(o *upstream.Outlier, peers []sample) []judgement {
	verdicts := make([]judgement, len(peers))
	bySuccess(o, peers, verdicts)
	byLatency(o, peers, verdicts)
	return verdicts
}

// bySuccess is Envoy's success rate ejection: below mean - factor*stdev of the
// rates of all servers that had enough requests.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier#success-rate
func bySuccess(o *upstream.Outlier, peers []sample, verdicts []judgement) {
	if o.SuccessFactor <= 0 {
		return
	}
	var rates []float64
	for _, p := range peers {
		if p.requests >= float64(o.SuccessVolume) {
			rates = append(rates, p.good/p.requests)
		}
	}
	if len(rates) < max(2, o.SuccessHosts) {
		return
	}
	mean, dev := meanAndDeviation(rates)
	limit := mean - o.SuccessFactor*dev
	for i, p := range peers {
		if rate := p.good / p.requests; p.requests >= float64(o.SuccessVolume) && rate < limit {
			verdicts[i] = judgement{successRate, fmt.Sprintf("%.1f%% of requests succeeded, %.1f%% at all servers", 100*rate, 100*mean)}
		}
	}
}

func meanAndDeviation(values []float64) (mean, dev float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		dev += (v - mean) * (v - mean) / float64(len(values))
	}
	return mean, math.Sqrt(dev)
}

const (
	// latencyAnswers is how many answers a mean must be of to be believed.
	latencyAnswers = 10
	// stalledRequests must wait at a server before silence is held against it:
	// one may be a long poll.
	stalledRequests = 3
)

// known reports whether the server's latency can be compared, and what it is:
// of a server that has gone silent, at least for how long it has.
func (p *sample) known() (time.Duration, bool) {
	d, ok := p.pace, p.answers >= latencyAnswers
	if p.inflight >= stalledRequests && p.stalled > d {
		return p.stalled, true
	}
	return d, ok
}

// byLatency compares each server with the median of the others, which one slow
// server, and also a slow minority, does not move (Leys et al., "Detecting
// outliers", 2013, on why a median and no mean).
func byLatency(o *upstream.Outlier, peers []sample, verdicts []judgement) {
	if o.LatencyFactor <= 0 {
		return
	}
	times := make([]time.Duration, 0, len(peers))
	for i := range peers {
		if d, ok := peers[i].known(); ok {
			times = append(times, d)
		}
	}
	if len(times) < 3 {
		return // of two, nobody knows which is the slow one
	}
	slices.Sort(times)
	for i := range peers {
		d, ok := peers[i].known()
		if !ok || verdicts[i].reason != none {
			continue
		}
		median := medianWithout(times, d)
		if float64(d) > o.LatencyFactor*float64(median) && d-median > o.LatencyMin {
			verdicts[i] = judgement{latency, fmt.Sprintf("answers take %s, those of the others %s", round(d), round(median))}
		}
	}
}

// medianWithout is the median of the sorted times without one that is d.
func medianWithout(times []time.Duration, d time.Duration) time.Duration {
	at, _ := slices.BinarySearch(times, d)
	n := len(times) - 1
	get := func(i int) time.Duration {
		if i >= at {
			i++
		}
		return times[i]
	}
	return (get((n-1)/2) + get(n/2)) / 2
}

// round is d as people like to read it.
func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// ejection is how often and until when a server is out.
//
//	in ---eject---> out ---time over (unreachable: probes succeed)---> in
//
// Each ejection is longer than the one before; each BaseTime in service takes
// one back.
type ejection struct {
	reason Reason
	count  int
	until  time.Time // zero: until probes succeed
	back   time.Time // when it came back
}

func (e *ejection) out() bool { return e.reason != none }

// begin ejects at now.
func (e ejection) begin(o *upstream.Outlier, why Reason, now time.Time) ejection {
	e = e.forgiven(o, now)
	e.count++
	e.reason = why
	e.until = time.Time{}
	if why != unreachable {
		e.until = now.Add(min(o.MaxTime, time.Duration(e.count)*o.BaseTime))
	}
	return e
}

// end lets the server back in at now.
func (e ejection) end(now time.Time) ejection {
	return ejection{count: e.count, back: now}
}

// forgiven takes back what the time in service has earned.
func (e ejection) forgiven(o *upstream.Outlier, now time.Time) ejection {
	if e.count > 0 && !e.out() && o.BaseTime > 0 {
		e.count = max(0, e.count-int(now.Sub(e.back)/o.BaseTime))
	}
	return e
}

// mayEject reports whether one more of n servers may be ejected when ejected
// are: not more than share, but always one, and never the only one.
func mayEject(n, ejected int, share float64) bool {
	return n > 1 && ejected < max(1, int(share*float64(n)))
}
