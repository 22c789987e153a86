package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Handler takes what a watch sees. Its functions are called one at a time, on
// the goroutine of Watch, and may be nil except for Apply.
type Handler struct {
	// Apply is called with each set that differs from the last one for which
	// Apply returned nil. After an error the index stays, and the set is read
	// again.
	Apply func(*Answer) error
	// Unchanged is called when a read showed what is known already.
	Unchanged func(Observation)
	// InDoubt reports whether what is in use is not what the registry last
	// said. While it is, reads block for half a second only, later longer: a
	// registry that lost its data, or our right to it, does not say when it
	// has it back. Nil is never.
	InDoubt func() bool
	// Failed is called for each read that failed, with the reason as a short
	// word for counting (see Reason).
	Failed func(reason string, err error)
}

// watch is one blocking-query loop.
//
//	        +-------------------- answer: apply, then keep its index ---+
//	        v                                                           |
//	start: read at once ----> block on the index ---- deadline: same ---+
//	        ^                        |
//	        |  index went back,      | error: keep data and index
//	        |  other address         v
//	        +------------------- wait (see fail)
type watch struct {
	c   *Client
	q   Query
	h   Handler
	dec decoder

	pace pace
	// early tells whether a time is before the read under way should end; nil
	// if that does not block.
	early func(at time.Time) bool
	// moved says the last answer was news, away that the watch paused after it:
	// what happened meanwhile nobody told it.
	moved, away bool

	index  uint64 // of the committed set, 0 before the first
	block  bool   // the next read may block on index
	life   context.Context
	after  bool      // the next answer is the first after a failure
	fails  int       // in a row
	insist time.Time // when the leader may be asked again
	// leader asks for the next read to go to the leader.
	leader  bool
	doubts  int // reads in a row that ended in doubt
	polling bool
	settled bool   // an answer was committed
	path    string // and query that stays the same
}

// Watch follows q until ctx ends. Client.Run must be running.
func (c *Client) Watch(ctx context.Context, q Query, h Handler) {
	c.watches.Add(1)
	defer c.watches.Add(-1)
	w := &watch{c: c, q: q, h: h, dec: q.decoder(&c.cfg), pace: pace{rate: float64(c.cfg.Reads)}}
	w.path = w.query()
	defer w.setPolling(false)
	for ctx.Err() == nil {
		err := w.once(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			w.fail(ctx, err)
		default:
			w.fails = 0
		}
	}
}

// query is what stays the same in the URL of every read.
func (w *watch) query() string {
	v := w.q.values()
	cfg := &w.c.cfg
	for name, value := range map[string]string{"dc": cmp.Or(w.q.Datacenter, cfg.Datacenter), "ns": cfg.Namespace, "partition": cfg.Partition} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return w.q.path() + "?" + strings.TrimSuffix(v.Encode(), "=")
}

// once does one read: pace, pick an address and a socket, ask, decode, apply,
// and commit the index last.
func (w *watch) once(ctx context.Context) error {
	paused := w.pace.take(w.c.env.Now())
	sleep(ctx, paused)
	w.away = paused > 0 && w.moved
	ep, life, err := w.address(ctx)
	if err != nil {
		return err
	}
	if life != w.life {
		w.after = w.after || w.life != nil
		w.block, w.life = false, life
	}
	release, err := w.socket(ctx)
	if err != nil {
		return err
	}
	defer release()
	return w.read(ctx, ep)
}

// address waits until an address is up. After an outage the watches are
// spread over a moment.
func (w *watch) address(ctx context.Context) (*endpoint, context.Context, error) {
	late := time.After(w.c.timing.probe)
	for {
		ep, life, open := w.c.reach.pick()
		if ep != nil {
			if w.life != nil && w.life.Err() != nil && life != w.life {
				sleep(ctx, time.Duration(w.c.env.Rand()*float64(w.c.timing.release)))
			}
			return ep, life, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-open:
		case <-late:
			w.tellLate()
		}
	}
}

// tellLate reports why an outage goes on. It may have begun between two reads
// of this watch, whose own next read would only fail when it is over; or with
// an error that says less than the probes do, such as a connection reset.
func (w *watch) tellLate() {
	if w.h.Failed != nil {
		w.h.Failed("unreachable", fmt.Errorf("no address of consul answers: %w", w.c.reach.why()))
	}
}

// socket claims room for the next read and decides whether it blocks. A watch
// without room polls, at a pace all that poll share.
func (w *watch) socket(ctx context.Context) (release func(), err error) {
	s := w.c.sockets
	if w.block {
		if s.block(w.c.env.Now()) {
			w.setPolling(false)
			return s.unblock, nil
		}
		w.setPolling(true)
		every := max(w.c.timing.poll, time.Duration(s.pollers(0))*time.Second/pollRate)
		sleep(ctx, time.Duration((0.9+0.2*w.c.env.Rand())*float64(every)))
	}
	if !s.poll(ctx) {
		return nil, ctx.Err()
	}
	return s.unpoll, nil
}

func (w *watch) setPolling(on bool) {
	if on == w.polling {
		return
	}
	w.polling = on
	if on {
		w.c.sockets.pollers(1)
	} else {
		w.c.sockets.pollers(-1)
	}
}

// read asks ep and handles the answer.
func (w *watch) read(ctx context.Context, ep *endpoint) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(w.life, func() { cancel(errGone) })
	defer stop()

	w.early = nil
	blocking := w.block && !w.polling
	limit, url := w.c.timing.answer, w.url(ep, 0)
	if blocking {
		wait := w.wait()
		limit = wait + wait/16 + w.c.timing.slack
		url = w.url(ep, wait)
		asked := w.c.env.Now()
		w.early = func(at time.Time) bool { return at.Sub(asked) < wait } // Consul waits that long at least
	}
	deadline := time.AfterFunc(limit, func() { cancel(errNoAnswer) })
	defer deadline.Stop()
	resp, err := w.get(ctx, ep, url)
	if err != nil {
		return w.unreachable(ctx, ep, err)
	}
	deadline.Stop()
	defer resp.Body.Close()
	return w.answer(ctx, cancel, ep, resp)
}

var (
	errGone     = errors.New("the address went down")
	errNoAnswer = errors.New("no answer before the deadline")
	errSlow     = errors.New("the answer comes too slowly")
)

// In doubt a watch reads twice a second for about a minute, so that it follows
// within a second once the registry is itself again, and then ever more
// rarely, down to every half minute.
const (
	doubtWait      = 500 * time.Millisecond
	doubtPatience  = 120 // reads
	doubtDoublings = 6
)

// wait is the time to block, varied so that watches do not expire together.
func (w *watch) wait() time.Duration {
	d := w.c.cfg.Wait
	if w.away { // a restore in the pause would be seen at the end only
		d = min(d, doubtWait)
	}
	if w.doubts > 0 {
		d = min(d, doubtWait<<max(0, min(w.doubts-doubtPatience, doubtDoublings)))
	}
	return min(time.Duration((0.9+0.2*w.c.env.Rand())*float64(d)), 10*time.Minute)
}

// url completes the query of one read; wait 0 does not block.
func (w *watch) url(ep *endpoint, wait time.Duration) string {
	u := ep.base + w.path
	switch {
	case w.leader && w.c.cfg.Consistency == Stale: // once, from the leader
	case w.c.cfg.Consistency == Stale:
		u += "&stale"
	case w.c.cfg.Consistency == Consistent:
		u += "&consistent"
	}
	if wait > 0 {
		u += "&index=" + strconv.FormatUint(w.index, 10) + "&wait=" + strconv.FormatInt(wait.Milliseconds(), 10) + "ms"
	}
	return strings.Replace(u, "?&", "?", 1)
}

func (w *watch) get(ctx context.Context, ep *endpoint, url string) (*http.Response, error) {
	_, hc, err := ep.clients()
	if err != nil {
		w.c.complain("tls", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if token := w.c.currentToken(); token != "" {
		req.Header.Set("X-Consul-Token", token)
	}
	return hc.Do(req)
}

// unreachable handles a request that got no answer: the address is suspected,
// unless the fault is in the request.
func (w *watch) unreachable(ctx context.Context, ep *endpoint, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return cause // the watch ends, that says nothing about the address
	} else if cause != nil {
		err = cause
	}
	var redirect *redirectError
	if errors.As(err, &redirect) {
		return &readError{"redirect", err}
	}
	w.c.reach.suspect(ep, w.life, err)
	return &readError{"unreachable", fmt.Errorf("cannot read from %s: %w", ep.name, err)}
}

// answer handles an answer whose head arrived.
func (w *watch) answer(ctx context.Context, cancel context.CancelCauseFunc, ep *endpoint, resp *http.Response) error {
	at := w.c.env.Now()
	obs := observe(resp.Header, w.c.cfg.MaxStale)
	obs.At, obs.Address = at, ep.name
	obs.Reconnected = w.after || !w.settled
	obs.Backward = obs.Index < w.index
	w.askLeader(&obs)

	changed, err := w.decode(ctx, cancel, resp)
	took := w.c.env.Now().Sub(at)
	if err != nil {
		return err
	}
	a := &Answer{Observation: obs, Decoding: took}
	if changed || !w.settled {
		if w.dec.fillAnswer(a); w.h.Apply(a) != nil {
			return &readError{"apply", errors.New("the set was not applied")}
		}
		w.dec.commit()
	} else if w.h.Unchanged != nil {
		w.h.Unchanged(obs)
	}
	w.moved = changed || obs.Index != w.index
	w.countDoubt(changed)
	w.commit(&obs, resp.Header.Get("X-Consul-Index"))
	return nil
}

func (w *watch) countDoubt(changed bool) {
	switch {
	case w.h.InDoubt == nil || !w.h.InDoubt():
		w.doubts = 0
	case changed:
		w.doubts = 1
	default:
		w.doubts++
	}
}

// commit keeps the index of a set that was applied. An index that went back
// starts over at 0, so the next read does not block. Nor does it after a
// blocking read that came back early with nothing new, under the index it was
// given: so Consul lets go when a snapshot is restored, with an answer from
// before, and would block on that index until the new ones caught up with it.
func (w *watch) commit(obs *Observation, header string) {
	w.after, w.settled = false, true
	letGo := !w.moved && w.early != nil && w.early(obs.At) && obs.Index == w.index
	w.index, w.block = obs.Index, !obs.Backward && !letGo
	if obs.Index == 1 && header != "1" {
		// A registry that gives no index answers at once for ever.
		w.pace.reads = min(w.pace.reads, 0) - 4
	}
}

// askLeader makes the read after a stale one go to the leader, once in ten
// seconds at most: under overload that is the dearer read.
func (w *watch) askLeader(obs *Observation) {
	w.leader = false
	if obs.TooStale && w.c.cfg.Consistency == Stale && obs.At.After(w.insist) {
		w.leader, w.block = true, false
		w.insist = obs.At.Add(time.Duration((5 + 10*w.c.env.Rand()) * float64(time.Second)))
	}
}
