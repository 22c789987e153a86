package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"spillway/scaler/ledger"
)

// The paces of a campaign. None of them decides anything.
const (
	retryAcquire = 500 * time.Millisecond // the lock is free and not given: lock delay
	retryConsul  = time.Second            // Consul does not answer
	watchWait    = time.Minute            // of one blocking query
)

// errTermOver says that a session has ended.
var errTermOver = errors.New("the session has ended")

// Run implements Elector. It returns nil when ctx has ended and the lead, if
// it was ours, has been given back.
func (c *Consul) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.term(ctx)
		c.note(func(c *Consul) { c.lease = lease{} })
		if ctx.Err() == nil {
			c.cfg.Log.Warn("election begins anew", "error", err)
			pause(ctx, retryConsul)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// term is one session's life.
type term struct {
	*Consul
	id    string
	asked time.Time // of the last renewal that was taken
}

// term opens a session and takes part with it until it or ctx ends.
func (c *Consul) term(ctx context.Context) error {
	t := &term{Consul: c}
	if err := t.open(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	locks := make(chan *api.KVPair)
	var watch sync.WaitGroup
	watch.Go(func() { t.watch(watching, locks) })
	err := t.serve(ctx, locks)
	stop()
	watch.Wait()
	t.close()
	return err
}

// open makes a session that nothing but its TTL and its owner ends: with the
// check of the agent's node, which is Consul's default, gossip that suspects the
// node would cost the lead.
func (t *term) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.TTL/3)
	defer cancel()
	asked := t.cfg.Now()
	id, _, err := t.session.CreateNoChecks(&api.SessionEntry{
		Name:      "spillway scaler " + t.cfg.Name,
		TTL:       t.cfg.TTL.String(),
		LockDelay: t.cfg.LockDelay,
		Behavior:  api.SessionBehaviorRelease,
	}, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("cannot open a session: %w", err)
	}
	t.id, t.asked = id, asked
	return nil
}

// close gives the lock back, which spares the next leader the lock delay, and
// ends the session. Neither has to succeed: the TTL does the rest.
func (t *term) close() {
	t.note(func(c *Consul) { c.lease = lease{} })
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.Margin)
	defer cancel()
	w := (&api.WriteOptions{}).WithContext(ctx)
	if _, _, err := t.kv.Release(&api.KVPair{Key: t.cfg.Key, Value: t.value(), Session: t.id}, w); err != nil {
		t.cfg.Log.Warn("cannot give the lock back", "error", err)
		return
	}
	if _, err := t.session.Destroy(t.id, w); err != nil {
		t.cfg.Log.Warn("cannot end the session", "error", err)
	}
}

// serve renews the session, and takes the lock when it is free.
func (t *term) serve(ctx context.Context, locks <-chan *api.KVPair) error {
	renew := time.NewTicker(t.cfg.TTL / 3)
	defer renew.Stop()
	try := stopped()
	defer try.Stop()
	overdue := stopped()
	defer overdue.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-renew.C:
			err = t.renew(ctx, try)
		case pair := <-locks:
			err = t.seen(ctx, pair, try)
		case <-try.C:
			err = t.acquire(ctx, try)
		case <-overdue.C:
		}
		if err != nil {
			return err
		}
		t.note(func(*Consul) {}) // the clock alone may have changed the state
		overdue.Reset(max(t.untilOverdue(), time.Millisecond))
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// untilOverdue is how long the lease lasts; an hour without one.
func (t *term) untilOverdue() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.lease.leads(t.cfg.Now()) {
		return time.Hour
	}
	return t.lease.until.Sub(t.cfg.Now())
}

// renew prolongs the session and with it the lease. An error other than the
// session's end is waited out: the lease runs out by itself. One that had run
// out begins again only if the lock was ours all the time.
func (t *term) renew(ctx context.Context, try *time.Timer) error {
	asked := t.cfg.Now()
	within, cancel := context.WithTimeout(ctx, min(t.cfg.TTL/3, t.untilOverdue()))
	defer cancel()
	entry, _, err := t.session.Renew(t.id, (&api.WriteOptions{}).WithContext(within))
	switch {
	case err != nil:
		t.cfg.Log.Warn("cannot renew the session", "error", err)
		return nil
	case entry == nil:
		return errTermOver
	}
	t.asked = asked
	if _, leads := t.Fence(); leads {
		t.note(func(c *Consul) { c.lease = c.lease.renewed(asked, c.cfg.TTL, c.cfg.Margin) })
		return nil
	}
	pair, _, err := t.read(within, 0, 0)
	if err != nil {
		return nil // the watch will tell
	}
	return t.seen(ctx, pair, try)
}

// seen judges the lock as it is now.
func (t *term) seen(ctx context.Context, pair *api.KVPair, try *time.Timer) error {
	switch {
	case pair == nil || pair.Session == "":
		t.note(func(c *Consul) { c.leader, c.lease = "", lease{} })
		return t.acquire(ctx, try)
	case pair.Session == t.id:
		t.hold(pair)
		return nil
	}
	try.Stop()
	held := false
	t.note(func(c *Consul) {
		held = c.lease.fence.Session != ""
		c.leader, c.lease = addressIn(pair.Value), lease{}
	})
	if held {
		return errors.New("somebody else took the lock")
	}
	return nil
}

// hold notes the lead that the lock proves.
func (t *term) hold(pair *api.KVPair) {
	fence := ledger.Fence{Key: t.cfg.Key, Session: t.id, Index: pair.LockIndex}
	t.note(func(c *Consul) {
		c.lease = lease{fence: fence}.renewed(t.asked, c.cfg.TTL, c.cfg.Margin)
		c.leader = c.cfg.Address
	})
}

// acquire asks for the lock and, if it was given, reads its index. While
// Consul's lock delay lasts a free lock is given to nobody: it is asked for
// again.
func (t *term) acquire(ctx context.Context, try *time.Timer) error {
	if !t.stands() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.TTL/3)
	defer cancel()
	try.Reset(retryAcquire)
	lock := &api.KVPair{Key: t.cfg.Key, Value: t.value(), Session: t.id}
	got, _, err := t.kv.Acquire(lock, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		if ledger.StatusOf(err) == 500 { // "invalid session": it has ended
			return fmt.Errorf("cannot take the lock: %w", err)
		}
		return nil
	}
	if !got {
		return nil
	}
	pair, _, err := t.read(ctx, 0, 0)
	if err == nil && pair != nil && pair.Session == t.id {
		try.Stop()
		t.hold(pair)
	}
	return nil
}

// stands tells that the candidate wants the lock.
func (t *term) stands() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.retired
}

// watch passes on the lock whenever it changed.
func (t *term) watch(ctx context.Context, locks chan<- *api.KVPair) {
	var index uint64
	for ctx.Err() == nil {
		// The client adds a grace of its own to the wait; a query that hangs
		// longer is on a dead connection.
		query, cancel := context.WithTimeout(ctx, watchWait+watchWait/4)
		pair, next, err := t.read(query, index, watchWait)
		cancel()
		if err != nil {
			index = 0
			pause(ctx, retryConsul)
			continue
		}
		if next == index {
			continue
		}
		index = next
		select {
		case <-ctx.Done():
		case locks <- pair:
		}
	}
}

// addressIn is the address a leader published; "" if it published none.
func addressIn(value []byte) string {
	var p published
	if json.Unmarshal(value, &p) != nil {
		return ""
	}
	return p.Address
}
