package scaler

import (
	"time"

	"spillway/scaler/policy"
	"spillway/scaler/signal"
)

// signalWindow is how much traffic a decision sees, at least.
const signalWindow = 120 * time.Second

// window is how much traffic the app's policy looks at.
func (a *App) window() time.Duration {
	return max(signalWindow, a.Policy.Slow+10*time.Second, a.Policy.Trend+10*time.Second)
}

// policyMemory is what a policy must know of the past of one app.
type policyMemory struct {
	Memory policy.Memory
}

// decide asks the policy of every app for its size.
func (d *draft) decide() map[string]policy.Decision {
	all := map[string]policy.Decision{}
	for n := range d.set.Apps {
		a := &d.set.Apps[n]
		o := d.observation(a)
		mem := d.policyMemory(a.Name)
		decision, next := policy.Evaluate(&a.Policy, o, mem.Memory, d.now)
		mem.Memory = next
		d.holdSize(a, &decision)
		if d.ending() {
			decision.Want, decision.Winner = 0, "down"
		}
		d.mem.last[a.Name] = decision
		all[a.Name] = decision
	}
	return all
}

// holdSize keeps the size that was wanted last while there are no signals: what
// fails meanwhile is replaced.
func (d *draft) holdSize(a *App, decision *policy.Decision) {
	if decision.Winner != policy.RuleHold {
		return
	}
	last, ok := d.mem.last[a.Name]
	if ring, stored := d.book.decisions.get(a.Name); !ok && stored && len(ring.Whys) > 0 {
		last, ok = ring.Whys[len(ring.Whys)-1].Decision, true
	}
	if ok && last.Want > decision.Want {
		decision.Want = min(last.Want, a.Policy.Max)
	}
}

// policyMemory is the app's, from the ledger after a start.
func (d *draft) policyMemory(app string) *policyMemory {
	if m := d.mem.policy[app]; m != nil {
		return m
	}
	stored, _ := d.book.policy.get(app)
	d.mem.policy[app] = &stored
	return &stored
}

// observation gathers what the policy of an app decides by.
func (d *draft) observation(a *App) policy.Observation {
	t, snap := d.tallies[a.Name], d.signals[a.Name]
	spentHour, spentDay := d.spent(a)
	o := policy.Observation{
		Seconds: seconds(&snap), Coverage: coverage(snap.Reporting, snap.Expected), Age: snap.Age,
		Ready: t.ready + t.moving, Booting: t.booting + d.mem.pending[a.Name], Draining: t.draining,
		Lead: d.lead(a), SpentHour: spentHour, SpentDay: spentDay, Rate: d.rate(a),
		PriceUnit: d.leastPrice(a), QuotaUnits: d.quotaUnits(a), Paused: a.Paused,
	}
	if n := t.healthy + t.unhealthy; n > 0 {
		o.Unhealthy = float64(t.unhealthy) / float64(n)
	}
	if rec, ok := d.book.apps.get(a.Name); ok {
		d.override(&o, &rec)
	}
	if all, ok := d.book.apps.get(everyApp); ok && all.Paused && d.now.Before(all.Until) {
		o.Paused = true
	}
	if o.QuotaUnits >= 0 {
		o.QuotaUnits += d.freeIn(a)
	}
	return o
}

// everyApp is the key of orders that hold for all apps.
const everyApp = "*"

func (d *draft) override(o *policy.Observation, rec *appRecord) {
	if !d.now.Before(rec.Until) {
		return
	}
	o.Manual, o.ManualUntil = rec.Manual, rec.Until
	o.Paused = o.Paused || rec.Paused
}

// freeIn is the room on machines of the app's pools that are there already.
func (d *draft) freeIn(a *App) (units float64) {
	for n := range a.Pools {
		ap := &a.Pools[n]
		d.hosts(ap.Machines)
		for _, h := range d.ready[ap.Machines] {
			units += float64(min(fits(h, a, ap), 1<<20)) * d.unit(a, ap)
		}
		for _, h := range d.coming[ap.Machines] {
			units += float64(min(fits(h, a, ap), 1<<20)) * d.unit(a, ap)
		}
	}
	return max(0, units-d.mem.pending[a.Name])
}

func coverage(reporting, expected int) float64 {
	if expected == 0 {
		return 0
	}
	return float64(reporting) / float64(expected)
}

// seconds turns the gateways' seconds into the policy's.
func seconds(s *signal.Snapshot) []policy.Second {
	all := make([]policy.Second, 0, len(s.Seconds))
	for n := range s.Seconds {
		sec := &s.Seconds[n]
		all = append(all, policy.Second{
			At: sec.At, Arrivals: sec.Arrivals, Completions: sec.Completions, Errors: sec.Errors, InFlight: sec.InFlight,
			P95: sec.P95, Coverage: sec.Coverage(),
		})
	}
	return all
}

// resize acts on the decisions: first what every app is short of, in the
// order of the settings, then what is too much.
func (d *draft) resize(decisions map[string]policy.Decision) {
	for n := range d.set.Apps {
		a := &d.set.Apps[n]
		if !d.paused(a) {
			d.grow(a, decisions[a.Name].Want)
		}
	}
	if !d.ending() {
		d.reserves()
	}
	for n := range d.set.Apps {
		a := &d.set.Apps[n]
		if d.paused(a) || !d.maySettle(a) {
			continue
		}
		d.shrink(a, decisions[a.Name].Want)
		d.move(a, decisions[a.Name].Want)
	}
	d.release()
}

// paused reports whether nothing of the app is to be changed.
func (d *draft) paused(a *App) bool {
	if d.ending() {
		return false
	}
	for _, key := range []string{a.Name, everyApp} {
		if rec, ok := d.book.apps.get(key); ok && rec.Paused && d.now.Before(rec.Until) {
			return true
		}
	}
	return a.Paused
}

// maySettle reports whether enough was observed since the start to make an app
// smaller: its registry service, and the providers of its pools.
func (d *draft) maySettle(a *App) bool {
	if !d.settledService(a.Service) {
		return false
	}
	for n := range a.Pools {
		p := d.set.pool(a.Pools[n].Machines)
		if p == nil {
			continue
		}
		for _, provider := range p.Providers {
			if d.about[provider].Name != "" && !d.settledFor(provider) && d.holds(a, provider) {
				return false
			}
		}
	}
	return true
}

// holds reports whether the app has instances on machines of a provider.
func (d *draft) holds(a *App, provider string) bool {
	for _, id := range d.tallies[a.Name].kept {
		i, _ := d.book.instances.get(id)
		if m, ok := d.book.machines.get(i.Machine); ok && m.Provider == provider {
			return true
		}
	}
	return false
}

// ending reports whether everything is to be given back.
func (v *view) ending() bool {
	_, ok := v.book.nodes.get(nodeDown)
	return ok
}

// nodeDown is the key of the order to end the cluster.
const nodeDown = "cluster:down"
