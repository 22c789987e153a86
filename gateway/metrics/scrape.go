package metrics

import (
	"strconv"
	"time"

	"spillway/gateway/upstream"
)

// loops reports what the loops count of themselves, summed over them but for
// the few numbers that show how even the load is.
func (s scrape) loops(all []*Loop) {
	sum := func(m metric, of func(*Loop) uint64, labels ...string) {
		var n uint64
		for _, l := range all {
			n += of(l)
		}
		s.count(m, n, labels...)
	}
	var active, open int64
	for i, l := range all {
		loop := strconv.Itoa(i)
		s.value(loopConnections, float64(l.Active.Load()), loop)
		s.count(loopBatches, l.Batches.Load(), loop)
		s.count(loopEvents, l.Events.Load(), loop)
		active += l.Active.Load()
		open += l.TunnelsActive.Load()
	}
	s.value(connections, float64(active))
	s.value(tunnels, float64(open))

	sum(connectionsAccepted, func(l *Loop) uint64 { return l.Accepted.Load() })
	sum(connectionsClosed, func(l *Loop) uint64 { return l.Closed.Load() })
	sum(connectionHandoffs, func(l *Loop) uint64 { return l.Handoffs.Load() })
	sum(acceptExhausted, func(l *Loop) uint64 { return l.EMFILE.Load() })
	sum(requestsCanceled, func(l *Loop) uint64 { return l.Canceled.Load() })
	sum(tunnelsOpened, func(l *Loop) uint64 { return l.TunnelsOpened.Load() })
	sum(receivedBytes, func(l *Loop) uint64 { return l.BytesIn.Load() })
	sum(sentBytes, func(l *Loop) uint64 { return l.BytesOut.Load() })
	sum(panics, func(l *Loop) uint64 { return l.Panics.Load() })
	for i, reason := range refusedNames() {
		sum(connectionsRefused, func(l *Loop) uint64 { return l.Refused[i].Load() }, reason)
	}
	for i, kind := range timeoutNames() {
		sum(clientTimeouts, func(l *Loop) uint64 { return l.Timeouts[i].Load() }, kind)
	}
	codes := merged{}
	local := merged{}
	for _, l := range all {
		codes.add(&l.BadRequests)
		local.add(&l.Responses)
	}
	s.codes(badRequests, codes)
	s.codes(localResponses, local)
}

// upstream reports one upstream, summed over the loops.
func (s scrape) upstream(name string, per []*Upstream) {
	u := make([]*Upstream, 0, len(per))
	for _, p := range per {
		if p != nil {
			u = append(u, p)
		}
	}
	sum := func(m metric, of func(*Upstream) *Counter, labels ...string) {
		var n uint64
		for _, p := range u {
			n += of(p).Load()
		}
		s.count(m, n, append([]string{name}, labels...)...)
	}
	sum(upstreamCanceled, func(p *Upstream) *Counter { return &p.Canceled })
	sum(upstreamOpened, func(p *Upstream) *Counter { return &p.Opened })
	sum(upstreamClosed, func(p *Upstream) *Counter { return &p.Closed })
	sum(upstreamReuses, func(p *Upstream) *Counter { return &p.Reused })
	sum(upstreamReceivedBytes, func(p *Upstream) *Counter { return &p.BytesIn })
	sum(upstreamSentBytes, func(p *Upstream) *Counter { return &p.BytesOut })
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.ConnectErrors }, "connect")
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.ConnectTimeouts }, "connect_timeout")
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.ReadTimeouts }, "read_timeout")
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.SendTimeouts }, "send_timeout")
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.Resets }, "reset")
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.Invalid }, "invalid")
	sum(upstreamErrors, func(p *Upstream) *Counter { return &p.NoServer }, "no_server")
	for i, reason := range retryNames() {
		sum(upstreamRetries, func(p *Upstream) *Counter { return &p.Retries[i] }, reason)
	}
	s.distributions(name, u)
}

// distributions reports what of an upstream is no plain sum of counters.
func (s scrape) distributions(name string, u []*Upstream) {
	codes := merged{}
	var total, overhead, server []*Histogram
	var active, idle int64
	for _, p := range u {
		codes.add(&p.Requests)
		total = append(total, &p.Duration)
		server = append(server, &p.UpstreamDuration)
		overhead = append(overhead, &p.Overhead)
		active += p.Active.Load()
		idle += p.Idle.Load()
	}
	s.codes(requests, codes, name)
	s.hist(requestDuration, total, name)
	s.hist(upstreamDuration, server, name)
	s.hist(gatewayOverhead, overhead, name)
	s.value(upstreamConnections, float64(active), name, "active")
	s.value(upstreamConnections, float64(idle), name, "idle")
}

// servers reports the servers of the snapshots that serve now. One that is
// gone from them has no series any more.
func (s scrape) servers(pools []*upstream.Pool, now int64) {
	for _, p := range pools {
		entries := p.Load().Entries
		for i := range entries {
			e := &entries[i]
			up := 1.0
			if why := e.Unavailable(&e.Spec, now); why != "" && why != "max_conns" {
				up = 0
			}
			s.held(p.Name, e)
			if latency := p.Settings().Tuning.Latency(e.Server, now); latency > 0 {
				s.value(serverLatency, latency.Seconds(), p.Name, e.Addr)
			}
			s.value(serverUp, up, p.Name, e.Addr)
			s.value(serverInflight, float64(e.Inflight.Load()), p.Name, e.Addr)
			s.value(serverWeight, float64(e.Spec.Weight), p.Name, e.Addr)
			s.value(serverFails, float64(e.Fails()), p.Name, e.Addr)
		}
	}
}

// held reports what is held against a server, which for most is nothing.
func (s scrape) held(pool string, e *upstream.Entry) {
	w := e.Standing()
	for _, reason := range []upstream.Standing{upstream.Unproven, upstream.Unhealthy, upstream.Ejected} {
		if w&reason != 0 {
			s.value(serverHeld, 1, pool, e.Addr, reason.String())
		}
	}
	if w.Share() < upstream.FullShare {
		s.value(serverShare, float64(w.Share())/upstream.FullShare, pool, e.Addr)
	}
}

func (s scrape) watched(upstream string, h HealthStatus) {
	panicking := 0.0
	if h.Panic {
		panicking = 1
	}
	s.value(upstreamPanic, panicking, upstream)
	s.count(probes, h.ProbesGood, upstream, "good")
	s.count(probes, h.ProbesBad, upstream, "bad")
	for reason, n := range h.Ejections {
		s.count(ejections, n, upstream, reason)
	}
}

func (s scrape) announced(upstream string, ordered float64, eta time.Time) {
	s.value(capacityOrdered, ordered, upstream)
	s.value(capacityETA, unixSeconds(eta), upstream)
}

// stateDump is the state an alert asks for: it always has a series.
const stateDump = "dump"

func (s scrape) sync(st *SyncStatus) {
	s.count(syncIndex, st.Index, st.Upstream)
	s.value(syncLastSuccess, unixSeconds(st.LastSuccess), st.Upstream)
	if st.Convergence != nil {
		s.hist(syncConvergence, []*Histogram{st.Convergence}, st.Upstream)
	}
	if st.Apply != nil {
		s.hist(syncApply, []*Histogram{st.Apply}, st.Upstream)
	}
	for reason, n := range st.Errors {
		s.count(syncErrors, n, st.Upstream, reason)
	}
	for verdict, n := range st.Decisions {
		s.count(syncDecisions, n, st.Upstream, verdict)
	}
	s.count(syncRejected, st.Rejected, st.Upstream)
	s.value(syncOverrides, float64(st.Overrides), st.Upstream)
	s.value(syncFlapping, float64(st.Flapping), st.Upstream)
	frozen := 0.0
	if st.Frozen {
		frozen = 1
	}
	s.value(syncFrozen, frozen, st.Upstream)
	s.value(syncSource, 1, st.Upstream, st.State)
	if st.State != stateDump {
		s.value(syncSource, 0, st.Upstream, stateDump)
	}
}

func (s scrape) config(st ConfigStatus) {
	ok := 0.0
	if st.OK {
		ok = 1
	}
	s.value(configReloadOK, ok)
	s.value(configReloadTime, unixSeconds(st.LastSuccess))
}

// unixSeconds is 0 for the zero time, which stands for never.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

// merged is a CodeCounts summed over loops.
type merged map[int]uint64

func (m merged) add(c *CodeCounts) {
	c.Each(func(code int, n uint64) { m[code] += n })
}

// codes reports counts by status; those that found no slot as "other".
func (s scrape) codes(m metric, counts merged, labels ...string) {
	for code, n := range counts {
		text := "other"
		if code != 0 {
			text = strconv.Itoa(code)
		}
		s.count(m, n, append(labels[:len(labels):len(labels)], text)...)
	}
}

func refusedNames() [refusedReasons]string {
	return [...]string{RefusedMaxConnections: "max_connections", RefusedPerAddress: "per_address"}
}

func timeoutNames() [timeoutKinds]string {
	return [...]string{
		TimeoutHeader: "header", TimeoutBody: "body", TimeoutIdle: "idle",
		TimeoutSend: "send", TimeoutTunnel: "tunnel", TimeoutLinger: "linger",
	}
}

func retryNames() [retryReasons]string {
	return [...]string{
		RetryError: "error", RetryTimeout: "timeout", RetryInvalid: "invalid",
		RetryStatus: "status", RetryStale: "stale",
	}
}
