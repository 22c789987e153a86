package cloud_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/scaler/cloud"
)

func TestBucketTakesWhatIsThere(t *testing.T) {
	b := cloud.NewBucket(cloud.Limit{Rate: 2, Burst: 5}, start)
	for i := range 5 {
		if _, ok := b.TryTake(1, start); !ok {
			t.Fatalf("token %d of a full bucket of 5 is missing", i+1)
		}
	}
	wait, ok := b.TryTake(1, start)
	if ok || wait != 500*time.Millisecond {
		t.Errorf("an empty bucket: taken %t, wait %v; want a wait of 500ms", ok, wait)
	}
	if _, ok := b.TryTake(1, start.Add(wait)); !ok {
		t.Errorf("no token after the wait of %v", wait)
	}
}

func TestBucketGivesMoreThanItHoldsWhenFull(t *testing.T) {
	b := cloud.NewBucket(cloud.Limit{Rate: 10, Burst: 100}, start)
	if _, ok := b.TryTake(150, start); !ok {
		t.Error("a full bucket refused a batch larger than itself: it could never be granted")
	}
	if wait, ok := b.TryTake(1, start); ok || wait != 5100*time.Millisecond {
		t.Errorf("after 50 too many: taken %t, wait %v; want a wait of 5.1s", ok, wait)
	}
}

func TestBucketReservationsQueue(t *testing.T) {
	b := cloud.NewBucket(cloud.Limit{Rate: 1, Burst: 1}, start)
	for i, want := range []time.Duration{0, time.Second, 2 * time.Second} {
		if got := b.Reserve(1, start); got != want {
			t.Errorf("reservation %d waits %v, want %v", i, got, want)
		}
	}
	b.Return(1)
	if got := b.Reserve(1, start); got != 2*time.Second {
		t.Errorf("after one was given back the next waits %v, want 2s", got)
	}
}

// Whoever keeps to a bucket is never refused by another bucket of the same
// limit: ours and the provider's agree.
func TestBucketKeepsWithinAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := cloud.Limit{Rate: rapid.Float64Range(0.1, 50).Draw(t, "rate"), Burst: rapid.IntRange(1, 20).Draw(t, "burst")}
		ours, theirs := cloud.NewBucket(limit, start), cloud.NewBucket(limit, start)
		now := start
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 20), 1, 40).Draw(t, "asks") {
			n = min(n, limit.Burst)
			now = now.Add(ours.Reserve(n, now))
			if wait, ok := theirs.TryTake(n, now); !ok {
				t.Fatalf("refused for another %v", wait)
			}
		}
	})
}
