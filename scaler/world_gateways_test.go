package scaler

import (
	"context"
	"maps"
	"slices"
	"time"

	"spillway/scaler/signal"
)

// gateways spread the load over what the registry showed a delay ago. A request
// takes a tenth of a second.
type gateways struct {
	w                   *world
	load                load
	delay               time.Duration
	expected, reporting int
	silent              bool // metrics are lost
	serving             []string
	shown               []shown
	inFlight            map[string]float64
	seconds             []signal.Second
	told                time.Time
	starved             int // seconds without a server
	announced           float64
}

// shown is what the registry showed at a time.
type shown struct {
	at      time.Time
	servers []string
}

// second is one second of traffic.
func (g *gateways) second() {
	now := g.w.clock.Now()
	g.follow(now)
	rate := g.load(now.Sub(g.w.begun))
	g.inFlight = map[string]float64{}
	for _, s := range g.serving {
		g.inFlight[s] = rate / float64(len(g.serving)) * 0.1
	}
	sec := signal.Second{At: now, Arrivals: rate, Completions: rate, InFlight: rate * 0.1, Reporting: g.reporting, Expected: g.expected}
	sec.P95 = 100 * time.Millisecond
	if len(g.serving) == 0 {
		sec.Completions, sec.Refused, sec.InFlight = 0, rate, 0
		g.starved++
	}
	if !g.silent {
		g.told = now
		g.seconds = append(g.seconds, sec)
		g.seconds = g.seconds[max(0, len(g.seconds)-120):]
	}
}

func (g *gateways) follow(now time.Time) {
	if !g.w.reg.down {
		var servers []string
		for _, id := range slices.Sorted(maps.Keys(g.w.reg.entries)) {
			if e := g.w.reg.entries[id]; g.w.reg.passing(e) && !e.draining {
				servers = append(servers, e.Address)
			}
		}
		g.shown = append(g.shown, shown{now, servers})
	}
	for len(g.shown) > 0 && now.Sub(g.shown[0].at) >= g.delay {
		g.serving = g.shown[0].servers
		g.shown = g.shown[1:]
	}
}

// mustNotUse fails the test if a server that is being taken away still gets
// requests, or has some in flight.
func (g *gateways) mustNotUse(address, why string) {
	if _, runs := g.w.engines.serves(address); !runs {
		return // it died by itself
	}
	if slices.Contains(g.serving, address) || g.inFlight[address] > 0 {
		g.w.fail("%s, and gateways still send it requests", why)
	}
}

func (g *gateways) Snapshot(upstream string, _ time.Duration) signal.Snapshot {
	now := g.w.clock.Now()
	s := signal.Snapshot{
		Upstream: upstream, Seconds: slices.Clone(g.seconds), Servers: map[string]signal.Server{}, Age: now.Sub(g.told),
		Reporting: g.reporting, Expected: g.expected, At: now,
	}
	if g.told.IsZero() {
		s.Reporting = 0
	}
	for _, a := range g.serving {
		s.Servers[a] = signal.Server{Address: a, InFlight: g.inFlight[a], Requests: g.inFlight[a] * 10, Serving: g.expected, Told: g.expected}
	}
	return s
}

func (g *gateways) Announce(_ context.Context, _ string, ordered float64, _ time.Time) error {
	g.announced = ordered
	return nil
}
