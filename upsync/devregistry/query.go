package devregistry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// query is what the parameters of a request ask for.
type query struct {
	values     url.Values
	dc         string
	index      uint64
	wait       time.Duration
	stale      bool
	consistent bool
	cached     bool
	pretty     bool
}

// Limits of a blocking query (Consul API documentation, "Blocking Queries").
const (
	waitDefault = 5 * time.Minute
	waitMax     = 10 * time.Minute
)

func (q *query) has(name string) bool { return q.values.Has(name) }

func parseQuery(req *http.Request) (query, error) {
	v := req.URL.Query()
	q := query{
		values: v, stale: v.Has("stale"), consistent: v.Has("consistent"),
		cached: v.Has("cached"), pretty: v.Has("pretty"),
		dc: v.Get("dc"),
	}
	if dc := v.Get("datacenter"); dc != "" {
		q.dc = dc
	}
	if err := q.parseStale(); err != nil {
		return q, err
	}
	return q, q.parseBlocking()
}

func (q *query) parseStale() error {
	if s := q.values.Get("max_stale"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			return badRequest("Invalid max_stale value %q", s)
		}
		q.stale = q.stale || d > 0
	}
	switch {
	case q.stale && q.consistent:
		return badRequest("Cannot specify ?stale with ?consistent, conflicting semantics.")
	case q.cached && q.consistent:
		return badRequest("Cannot specify ?cached with ?consistent, conflicting semantics.")
	}
	return nil
}

func (q *query) parseBlocking() (err error) {
	if s := q.values.Get("wait"); s != "" {
		if q.wait, err = time.ParseDuration(s); err != nil {
			return badRequest("Invalid wait time")
		}
	}
	if s := q.values.Get("index"); s != "" {
		if q.index, err = strconv.ParseUint(s, 10, 64); err != nil {
			return badRequest("Invalid index")
		}
	}
	return nil
}

// timeout is how long a query may wait: at most ten minutes, five if it does
// not say, and up to a sixteenth more.
func (q *query) timeout(jitter int) time.Duration {
	wait := q.wait
	switch {
	case wait > waitMax:
		wait = waitMax
	case wait <= 0:
		wait = waitDefault
	}
	if jitter > 0 {
		wait += rand.N(wait/time.Duration(jitter) + 1)
	}
	return wait
}

// meta is what an answer says of itself.
type meta struct {
	index uint64
	// found is false for a read that may go on waiting although the index
	// moved, because what it asks for still does not exist.
	found     bool
	filtered  bool
	streaming bool
	// consistency is shown by catalog and health only.
	consistency bool
}

// read runs a query under the read lock, again and again if it blocks, and
// writes the headers of its answer. fetch must copy what it keeps: the rows
// themselves are immutable.
//
//	read -> index > asked --------------------------------> answer
//	  ^  \-> else wait: topic written -> read
//	  |          first time not found counts as a change, later ones do not
//	  |          wait over, client gone or state replaced -> answer
func (c *call) read(t topic, fetch func(s *state) meta) {
	if c.query.index == 0 {
		c.r.mu.RLock()
		m := fetch(&c.r.state)
		c.r.mu.RUnlock()
		c.setMeta(m)
		return
	}
	c.setMeta(c.block(t, fetch))
}

func (c *call) block(t topic, fetch func(s *state) meta) meta {
	c.r.mu.RLock()
	wt := c.r.watch.add(t)
	m := fetch(&c.r.state)
	closed := c.r.closed
	c.r.mu.RUnlock()
	defer c.r.watch.remove(wt)
	asked, missing := c.query.index, !m.found
	if max(m.index, 1) > asked || closed {
		return m
	}
	ctx, cancel := c.deadline()
	defer cancel()
	c.r.log.blocked(c.w, +1)
	defer c.r.log.blocked(c.w, -1)
	for {
		select {
		case <-ctx.Done():
			return m
		case <-wt.wake:
		}
		c.r.mu.RLock()
		m = fetch(&c.r.state)
		c.r.mu.RUnlock()
		if !m.found && missing {
			asked = m.index
		}
		missing = !m.found
		if m.index > asked || c.r.watch.isAbandoned(wt) {
			return m
		}
	}
}

// deadline ends with the client, and with the wait on the registry's clock.
func (c *call) deadline() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.req.Context())
	stop := c.r.opts.Clock.AfterFunc(c.query.timeout(c.r.opts.WaitJitter), cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (c *call) setMeta(m meta) {
	h := c.w.Header()
	h.Set("X-Consul-Index", strconv.FormatUint(max(m.index, 1), 10))
	h.Set("X-Consul-Knownleader", strconv.FormatBool(!m.streaming))
	h.Set("X-Consul-Lastcontact", "0")
	backend := "blocking-query"
	if m.streaming {
		backend = "streaming"
	}
	h.Set("X-Consul-Query-Backend", backend)
	if m.consistency {
		h.Set("X-Consul-Effective-Consistency", c.query.consistency())
	}
	if m.filtered && c.acl.named {
		h.Set("X-Consul-Results-Filtered-By-ACLs", "true")
	}
	if c.query.cached {
		h.Set("X-Cache", "MISS")
	}
}

func (q *query) consistency() string {
	switch {
	case q.stale:
		return "stale"
	case q.consistent:
		return "consistent"
	}
	return "leader"
}
