package cloud_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

func presets() map[string]sim.Provider {
	return map[string]sim.Provider{"ec2": sim.EC2(), "ali": sim.Aliyun(), "het": sim.Hetzner(), "ope": sim.OpenStack()}
}

func simOf(p sim.Provider, clock cloud.Clock, faults ...sim.Fault) *sim.Cloud {
	return sim.New(p, sim.Options{Clock: clock, Seed: 1, Faults: faults})
}

// order is a request for n machines under the order id.
func order(id string, o cloud.Offering, n int) cloud.CreateRequest {
	r := request(n)
	r.Type, r.Zone, r.Spot = o.Type, o.Zone, o.Spot
	r.Token = cloud.Token("test", "web", 1, o.Zone, len(id), 0) + id
	r.Tags = map[string]string{cloud.TagCluster: "test", cloud.TagOrder: id}
	for i := range r.Names {
		r.Names[i] = fmt.Sprintf("%s-%d", id, i)
	}
	return r
}

// buyer orders as the scaler does, and forgets everything between two tries but
// the order itself: attempt and zone change only after a definite refusal.
type buyer struct {
	account *sim.Cloud
	clock   *sim.Clock
	options cloud.Options
	giveUp  func(context.CancelFunc) // may cancel a call under way
	zones   []cloud.Offering

	id      string
	count   int
	attempt int
	open    bool // sent, and no definite answer yet
}

func (b *buyer) request() cloud.CreateRequest {
	r := order(b.id, b.zones[b.attempt%len(b.zones)], b.count)
	r.Token = cloud.Token("test", "web", 1, r.Zone, 1, b.attempt)
	return r
}

// try makes one call with a new stack, as after a restart. It reports whether
// the order is bound.
func (b *buyer) try(t *rapid.T) bool {
	d := cloud.Wrap(b.account, b.options)
	can := d.Describe()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.giveUp(cancel)
	if b.open && !can.ClientToken && !can.UniqueNames {
		return b.look(ctx, d, can)
	}
	b.open = true
	made, err := d.Create(ctx, b.request())
	if hosts := b.account.Hosts(); len(hosts) > b.count {
		t.Fatalf("%d machines for an order of %d", len(hosts), b.count)
	}
	switch cloud.KindOf(err) {
	case cloud.NoCapacity, cloud.Quota:
		b.open = false
		b.attempt++
	case cloud.Transient, cloud.RateLimited:
		b.open = b.open && err == nil
	case cloud.Invalid, cloud.Auth, cloud.NotFound, cloud.DryRun:
		t.Fatalf("a correct request was refused: %v", err)
	}
	return err == nil && len(made) > 0
}

// look settles an order by List alone, after what List may hide is shown.
func (b *buyer) look(ctx context.Context, d cloud.Driver, can cloud.Description) bool {
	b.clock.Advance(can.ListLag)
	found, err := d.List(ctx, map[string]string{cloud.TagOrder: b.id})
	if err == nil {
		b.open = false
	}
	return len(found) > 0
}

// Whatever the cloud throws and whenever the scaler is stopped, one order never
// has more machines than it asked for, and it gets some in the end.
func TestWrapNeverBuysMoreThanAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newClock()
		name := rapid.SampledFrom([]string{"ec2", "ali", "het", "ope"}).Draw(t, "provider")
		p := presets()[name]
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "dice"), 1))
		b := &buyer{clock: clock, id: "web-1-1", count: rapid.IntRange(1, p.MaxBatch).Draw(t, "count")}
		b.zones = slices.DeleteFunc(slices.Clone(p.Offerings), func(o cloud.Offering) bool { return o.Type != "small" || o.Spot })
		b.options = cloud.Options{
			Random: dice.Float64, MaxWait: time.Minute,
			Resolve: cloud.ResolveOptions{Within: time.Duration(rapid.SampledFrom([]int{0, 10, 60, 600}).Draw(t, "within")) * time.Second},
		}
		b.options.Clock, b.giveUp = drawCancel(t, clock, dice)
		b.account = sim.New(p, sim.Options{Clock: b.options.Clock, Seed: rapid.Uint64().Draw(t, "seed"), Faults: drawFaults(t, p)})
		bound := false
		for range 40 {
			if bound = b.try(t); bound {
				break
			}
			clock.Advance(time.Duration(dice.IntN(90)) * time.Second)
		}
		// Once more, as a scaler does that died before it wrote down the answer.
		if p.ClientToken || p.UniqueNames {
			b.try(t)
		}
		if !bound {
			t.Fatalf("the order is not bound after 40 tries")
		}
	})
}

// drawFaults is a script of finite faults. A request that is delivered twice
// makes doubles where the cloud itself knows neither token nor name: that is
// no caller's doing.
func drawFaults(t *rapid.T, p sim.Provider) []sim.Fault {
	kinds := slices.DeleteFunc(sim.Faults(), func(k sim.FaultKind) bool {
		return k == sim.Duplicate && !p.ClientToken && !p.UniqueNames
	})
	var script []sim.Fault
	for range rapid.IntRange(0, 6).Draw(t, "faults") {
		script = append(script, sim.Fault{
			Kind:  rapid.SampledFrom(kinds).Draw(t, "kind"),
			Nth:   rapid.IntRange(1, 4).Draw(t, "nth"),
			Times: rapid.IntRange(1, 3).Draw(t, "times"),
			For:   5 * time.Minute,
		})
	}
	return script
}

// drawCancel is a clock on which a third of the calls are given up while they
// are under way: some wait of theirs, or of the cloud's own, ends the context.
func drawCancel(t *rapid.T, clock *sim.Clock, dice *rand.Rand) (cloud.Clock, func(context.CancelFunc)) {
	if !rapid.Bool().Draw(t, "cancels") {
		return clock.Moving(), func(context.CancelFunc) {}
	}
	var cancel context.CancelFunc
	left := -1
	hooked := clock.Moving()
	hooked.Sleep = func(ctx context.Context, d time.Duration) error {
		if left--; left == 0 {
			cancel()
		}
		return clock.Sleep(ctx, d)
	}
	return hooked, func(c context.CancelFunc) {
		cancel, left = c, -1
		if dice.IntN(3) == 0 {
			left = 1 + dice.IntN(4)
		}
	}
}
