package leader

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	"spillway/scaler/ledger"
)

// The defaults keep the tests short; with -ttl 10s -lockdelay 5s the takeover is
// that of production.
var (
	ttl       = flag.Duration("ttl", 2*time.Second, "session TTL of the tests")
	lockDelay = flag.Duration("lockdelay", time.Second, "lock delay of the tests")
)

func TestOneOfTwoLeadsAndTheOtherKnowsWhere(t *testing.T) {
	t.Parallel()
	c := useAgent(t)
	first := c.run("10.0.0.1:1")
	s := first.until("the first leads", leads)
	if s.Fence.Key != t.Name() || s.Fence.Session == "" || s.Fence.Index == 0 || s.Leader != "10.0.0.1:1" {
		t.Errorf("state of the leader: %+v", s)
	}
	second := c.run("10.0.0.2:2")
	if s := second.until("the second knows the leader", func(s State) bool { return s.Leader != "" }); s.Leading || s.Leader != "10.0.0.1:1" {
		t.Errorf("state of the follower: %+v", s)
	}
	if err := first.Verify(t.Context()); err != nil {
		t.Errorf("the leader cannot verify: %v", err)
	}
	if err := second.Verify(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the follower verifies: %v", err)
	}

	resigned := time.Now()
	first.stop()
	second.until("the second leads", leads)
	took := time.Since(resigned)
	t.Logf("takeover after a resignation: %v", took.Round(time.Millisecond))
	if took >= *lockDelay {
		t.Errorf("a resignation cost the lock delay: %v", took)
	}
	if s := first.State(); s.Leading || s.Fence != (ledger.Fence{}) {
		t.Errorf("who resigned says %+v", s)
	}
}

func TestSessionHasNoChecks(t *testing.T) {
	t.Parallel()
	c := useAgent(t)
	s := c.run("a").until("leads", leads)
	info, _, err := c.api.Session().Info(s.Fence.Session, nil)
	if err != nil || info == nil {
		t.Fatal(info, err)
	}
	if len(info.Checks)+len(info.NodeChecks)+len(info.ServiceChecks) > 0 {
		t.Errorf("the lead depends on checks: %+v", info)
	}
	if info.LockDelay != *lockDelay || info.TTL != ttl.String() {
		t.Errorf("lock delay %v, TTL %v", info.LockDelay, info.TTL)
	}
}

func TestSessionDestroyedBehindItsBack(t *testing.T) {
	t.Parallel()
	c := useAgent(t)
	r := c.run("a")
	store := ledger.NewConsul(c.api, "ledger/"+t.Name())
	old := r.until("leads", leads).Fence
	if _, err := store.Commit(t.Context(), old, []ledger.Op{{Key: "x", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.api.Session().Destroy(old.Session, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("Verify after the session was destroyed: %v", err)
	}
	if _, err := store.Commit(t.Context(), old, []ledger.Op{{Key: "y"}}); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("a write under the old fence: %v", err)
	}
	r.until("no longer leads", follows)
	next := r.until("leads again", leads).Fence
	if next == old || next.Index <= old.Index {
		t.Errorf("fence %+v after %+v", next, old)
	}
	if _, err := store.Commit(t.Context(), next, []ledger.Op{{Key: "y"}}); err != nil {
		t.Errorf("a write under the new fence: %v", err)
	}
}

func TestStepsDownWhileConsulIsFrozen(t *testing.T) {
	t.Parallel()
	c := startAgent(t)
	r := c.run("a")
	r.until("leads", leads)
	c.freeze()
	defer c.unfreeze()
	frozen := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), *ttl/10)
	defer cancel()
	if err := r.Verify(ctx); err == nil || errors.Is(err, ledger.ErrFenced) {
		t.Errorf("Verify without an answer: %v", err)
	}
	r.until("stepped down", follows)
	if took := time.Since(frozen); took > *ttl {
		t.Errorf("stepped down %v after the last renewal at the latest, when its session could have ended", took)
	}
	if err := r.Verify(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("Verify after stepping down: %v", err)
	}
	c.unfreeze()
	r.until("leads again", leads)
}

func TestRemoveLeavesNoLock(t *testing.T) {
	t.Parallel()
	c := useAgent(t)
	r := c.run("a")
	r.until("leads", leads)
	if err := r.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.State(); s.Leading || s.Leader != "" {
		t.Errorf("after the end: %+v", s)
	}
	if err := r.Remove(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("removed again: %v", err)
	}
	<-time.After(*ttl / 2) // a renewal later, at which a candidate would stand again
	for _, when := range []string{"while it runs", "when it has ended"} {
		if pair, _, err := c.api.KV().Get(t.Name(), nil); err != nil || pair != nil {
			t.Errorf("%s: lock %+v, %v", when, pair, err)
		}
		r.stop()
	}
}
