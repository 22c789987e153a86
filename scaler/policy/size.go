package policy

import (
	"fmt"
	"math"
	"time"
)

// offered is the load in units: how many would be busy all the time. By
// Little's law (J. D. C. Little, "A Proof for the Queuing Formula L = λW",
// Operations Research 9, 1961) a rate λ at the target latency W keeps λW
// requests under way, and a unit serves Concurrency of them. The target stands
// for the latency, not what is measured: that grows when capacity is short,
// and the size would follow the queue.
func (p *Policy) offered(rate float64) float64 {
	return rate * p.Target.Seconds() / p.Concurrency
}

// linear is the size at which an offered load uses the share Utilization.
func (p *Policy) linear(load float64) float64 { return load / p.Utilization }

// staffed is the size by square-root staffing (S. Halfin and W. Whitt,
// "Heavy-Traffic Limits for Queues with Many Exponential Servers", Operations
// Research 29, 1981): what fluctuates is the square root of the load.
func (p *Policy) staffed(load float64) float64 { return load + p.Beta*math.Sqrt(load) }

// size is what a rate needs.
func (p *Policy) size(rate float64) float64 {
	load := p.offered(rate)
	return max(p.linear(load), p.staffed(load))
}

// WaitProbability is the share of requests that find every unit busy under
// square-root staffing with this beta: 1/(1 + βΦ(β)/φ(β)), Φ and φ the normal
// distribution and its density (Halfin and Whitt, 1981, proposition 1). It is 1
// at 0, 0.22 at 1 and 0.027 at 2.
func WaitProbability(beta float64) float64 {
	if beta <= 0 {
		return 1
	}
	distribution := (1 + math.Erf(beta/math.Sqrt2)) / 2
	density := math.Exp(-beta*beta/2) / math.Sqrt(2*math.Pi)
	return 1 / (1 + beta*distribution/density)
}

// byLoad are the candidates that follow from the traffic.
func (p *Policy) byLoad(t traffic, lead time.Duration) []Candidate {
	rate := max(t.fast, t.slow)
	load := p.offered(rate)
	list := []Candidate{
		{RuleReactive, p.linear(load), fmt.Sprintf("%.4g requests/s keep %.3g units busy, used to %.0f %%", rate, load, 100*p.Utilization)},
		{RuleStaffing, p.staffed(load), fmt.Sprintf("%.3g busy units and %.3g times their root: %.2g %% wait", load, p.Beta, 100*WaitProbability(p.Beta))},
	}
	if t.trend > 0 && p.GrowthCap > 1 {
		ahead := min(t.fast+t.trend*lead.Seconds(), t.fast*p.GrowthCap)
		list = append(list, Candidate{RuleForecast, p.size(ahead), fmt.Sprintf("%.4g requests/s in %v, growing by %.3g/s", ahead, lead.Round(time.Second), t.trend)})
	}
	return list
}

// full reports whether what is ready has more requests under way than it is
// meant to have.
func (p *Policy) full(t traffic, ready float64) bool {
	return ready > 0 && t.inFlight/ready > p.Concurrency*p.Utilization
}

// slow reports whether the latency is over the target.
func (p *Policy) slow(t traffic) bool { return t.p95 > p.Target }

// byLatency asks for more when the target is missed because what is ready is
// full, which means that Concurrency is set too high. It waits until what was
// on its way has settled and been measured, and asks at most for a half more
// than is ready, after a futile addition for little more: requests that wait are
// no measure of the capacity that is missing.
func (p *Policy) byLatency(t traffic, o *Observation, m *Memory) (Candidate, bool) {
	if !p.slow(t) || !p.full(t, o.Ready) || m.At.Sub(m.Booted) < p.Settle || m.Else.measuring() {
		return Candidate{}, false
	}
	need := t.inFlight / (p.Concurrency * p.Utilization)
	more := max(1, o.Ready/2)
	if m.Else.Futile > 0 {
		more = 1.2 * addition * o.Ready
	}
	capped := min(need, o.Ready+more)
	return Candidate{RuleLatency, capped, fmt.Sprintf("p95 %v is over %v with %.3g requests on each unit", t.p95.Round(time.Millisecond), p.Target, t.inFlight/o.Ready)}, true
}

// headroom is what is kept free on top of a size that the load asks for.
func (p *Policy) headroom(size float64) float64 { return max(size*p.SpareShare, p.SpareUnits) }
