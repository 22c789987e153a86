package bench

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// upTo is a target that holds up to a rate.
func upTo(capacity float64) func(float64) (outcome, error) {
	return func(rate float64) (outcome, error) {
		if rate <= capacity {
			return holds, nil
		}
		return fails, nil
	}
}

func TestKneeIsFoundToThePrecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Float64Range(1, 1e6).Draw(t, "capacity")
		k := &knee{
			start: rapid.Float64Range(1, 1e6).Draw(t, "start"), limit: 2e6, precision: 0.02,
			probe: upTo(capacity), confirm: upTo(capacity),
		}
		rate, err := k.find()
		if capacity < 2 && rate == 0 {
			return // below what is tried
		}
		if err != nil || rate > capacity || rate < capacity/1.021 || k.why != limitTarget {
			t.Fatalf("found %g (%s), the capacity is %g: %v, %+v", rate, k.why, capacity, err, k.probes)
		}
		if len(k.probes) > 60 {
			t.Fatalf("%d probes", len(k.probes))
		}
	})
}

func TestKneeOfATargetWithoutLimit(t *testing.T) {
	k := &knee{start: 100, limit: 5000, precision: 0.02, probe: upTo(1e9), confirm: upTo(1e9)}
	if rate, err := k.find(); rate != 5000 || err != nil || k.why != limitMax {
		t.Errorf("found %g, %v, limited by %s", rate, err, k.why)
	}
}

func TestKneeOfADeadTarget(t *testing.T) {
	k := &knee{start: 100, limit: 5000, precision: 0.02, probe: upTo(0), confirm: upTo(0)}
	if rate, err := k.find(); rate != 0 || err != nil || k.why != limitTarget {
		t.Errorf("found %g, %v, limited by %s", rate, err, k.why)
	}
}

func TestKneeSaysWhenTheGeneratorWasTheLimit(t *testing.T) {
	probe := func(rate float64) (outcome, error) {
		if rate > 3000 {
			return unclear, nil
		}
		return holds, nil
	}
	k := &knee{start: 100, limit: 1e6, precision: 0.02, probe: probe, confirm: probe}
	if rate, _ := k.find(); rate > 3000 || rate < 2900 || k.why != limitGenerator {
		t.Errorf("found %g, limited by %s", rate, k.why)
	}
}

func TestKneeForgivesOneBadProbe(t *testing.T) {
	calls := 0
	probe := func(rate float64) (outcome, error) {
		if calls++; calls%2 == 1 {
			return fails, nil
		}
		return upTo(1000)(rate)
	}
	k := &knee{start: 100, limit: 1e6, precision: 0.02, probe: probe, confirm: upTo(1000)}
	if rate, _ := k.find(); math.Abs(rate-1000) > 21 {
		t.Errorf("found %g though every first probe fails", rate)
	}
}

func TestKneeIsLoweredUntilItIsConfirmed(t *testing.T) {
	k := &knee{start: 100, limit: 1e6, precision: 0.02, probe: upTo(1000), confirm: upTo(960)}
	if rate, _ := k.find(); rate > 960 || rate < 930 {
		t.Errorf("found %g, longer runs hold 960", rate)
	}
	k = &knee{start: 100, limit: 1e6, precision: 0.02, probe: upTo(1000), confirm: upTo(1)}
	if rate, _ := k.find(); rate != 0 {
		t.Errorf("found %g that no longer run holds", rate)
	}
	broken := errors.New("broken")
	k = &knee{start: 100, limit: 1e6, precision: 0.02, probe: func(float64) (outcome, error) { return 0, broken }}
	if _, err := k.find(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
