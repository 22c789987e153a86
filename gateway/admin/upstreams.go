package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/gateway/upstream"
)

// summary is one upstream in the list.
type summary struct {
	Name     string `json:"name"`
	Source   string `json:"source"`
	Version  uint64 `json:"version"`
	Servers  int    `json:"servers"`
	Up       int    `json:"up"`
	Inflight int64  `json:"inflight"`
	Degraded string `json:"degraded,omitempty"`
}

// list is a page of upstreams; Total counts all that match the filter.
type list struct {
	Upstreams []summary `json:"upstreams"`
	Total     int       `json:"total"`
}

// detail is one upstream with all that is known of it.
type detail struct {
	Name    string `json:"name"`
	Balance string `json:"balance"`
	// Version, SnapshotSource, SnapshotIndex and SnapshotAt are of the
	// servers that serve now; Sync is of the source.
	Version        uint64     `json:"version"`
	SnapshotSource string     `json:"snapshot_source"`
	SnapshotIndex  uint64     `json:"snapshot_index"`
	SnapshotAt     *time.Time `json:"snapshot_at"`
	Degraded       string     `json:"degraded,omitempty"`
	Sync           syncDetail `json:"sync"`
	Capacity       *Capacity  `json:"capacity,omitempty"` // announced
	// Panic says that too few servers are admitted, so that all are.
	Panic     bool       `json:"panic,omitempty"`
	Overrides Orders     `json:"overrides"`
	Servers   []server   `json:"servers"`
	Decisions []Decision `json:"decisions"`
}

type syncDetail struct {
	Source          string     `json:"source"`
	Index           uint64     `json:"index"`
	WatchAgeSeconds float64    `json:"watch_age_seconds"`
	LastSuccess     *time.Time `json:"last_success"`
	LastError       string     `json:"last_error,omitempty"`
	LastErrorAt     *time.Time `json:"last_error_at,omitempty"`
	LastDecision    *Decision  `json:"last_decision"`
	Rejects         []Reject   `json:"rejects,omitempty"`
}

// server is one server of an upstream.
type server struct {
	Address    string `json:"address"`
	Host       string `json:"host,omitempty"` // the name the address was resolved from
	Weight     int    `json:"weight"`
	WeightFrom string `json:"weight_from"`
	// State is "up", "backup" (up, but only used when no other is), "down",
	// "unproven", "unhealthy", "ejected" (or several, joined by "+"), "failed"
	// or "max_conns"; Why explains it.
	State              string  `json:"state"`
	Why                string  `json:"why,omitempty"`
	Backup             bool    `json:"backup"`
	Inflight           int64   `json:"inflight"`
	LatencyMS          float64 `json:"latency_ms,omitempty"` // by peak_ewma, nothing if it is not known
	MaxConns           int     `json:"max_conns"`
	Fails              int     `json:"fails"`
	MaxFails           int     `json:"max_fails"`
	FailTimeoutSeconds float64 `json:"fail_timeout_seconds"`
	Health             *health `json:"health,omitempty"` // nil while nobody watches
	// Overrides are orders of operators about it. Flapping is what is held
	// against one that comes and goes, LeavesAt when one goes that its source
	// does not list any more.
	Overrides []Standing `json:"overrides,omitempty"`
	Flapping  *Flapping  `json:"flapping,omitempty"`
	LeavesAt  *time.Time `json:"leaves_at,omitempty"`
}

func (s *Server) upstreams(ctx *fasthttp.RequestCtx) {
	query := ctx.QueryArgs()
	limit, offset := query.GetUintOrZero("limit"), query.GetUintOrZero("offset")
	filter := strings.ToLower(string(query.Peek("filter")))
	out := list{Upstreams: []summary{}}
	now := s.views.now()
	for _, p := range s.views.pools() {
		if !strings.Contains(strings.ToLower(p.Name), filter) {
			continue
		}
		out.Total++
		if out.Total > offset && (limit == 0 || len(out.Upstreams) < limit) {
			out.Upstreams = append(out.Upstreams, s.summarise(p, now))
		}
	}
	reply(ctx, fasthttp.StatusOK, out)
}

func (s *Server) summarise(p *upstream.Pool, now int64) summary {
	snap, info := p.Load(), s.views.sync(p.Name)
	out := summary{
		Name: p.Name, Source: info.Source, Version: snap.Version,
		Servers: len(snap.Entries), Degraded: info.Degraded,
	}
	if out.Source == "" {
		out.Source = snap.Meta.Source
	}
	for i := range snap.Entries {
		e := &snap.Entries[i]
		out.Inflight += e.Inflight.Load()
		if e.Unavailable(&e.Spec, now) == "" {
			out.Up++
		}
	}
	return out
}

func (s *Server) upstream(ctx *fasthttp.RequestCtx) {
	name := strings.TrimPrefix(string(ctx.Path()), upstreamsPath)
	if p := s.pool(ctx, name); p != nil {
		reply(ctx, fasthttp.StatusOK, s.describe(p))
	}
}

// pool returns the upstream of that name, or nil after answering that there is
// none.
func (s *Server) pool(ctx *fasthttp.RequestCtx, name string) *upstream.Pool {
	for _, p := range s.views.pools() {
		if p.Name == name {
			return p
		}
	}
	fail(ctx, fasthttp.StatusNotFound, "unknown_upstream", fmt.Sprintf("there is no upstream %q", name))
	return nil
}

func (s *Server) describe(p *upstream.Pool) detail {
	snap, info := p.Load(), s.views.sync(p.Name)
	out := detail{
		Name: p.Name, Balance: p.Settings().Balance, Version: snap.Version,
		SnapshotSource: snap.Meta.Source, SnapshotIndex: snap.Meta.Index, SnapshotAt: known(snap.Meta.At),
		Degraded: info.Degraded, Sync: describeSync(info), Panic: snap.Panicking(),
		Servers: make([]server, 0, len(snap.Entries)), Decisions: []Decision{}, Overrides: s.views.orders(p.Name),
	}
	if out.Sync.Source == "" {
		out.Sync.Source = snap.Meta.Source
	}
	if s.views.Announced != nil {
		out.Capacity = s.views.Announced(p.Name)
	}
	now := s.views.now()
	for i := range snap.Entries {
		one := describeServer(&snap.Entries[i], now)
		one.LatencyMS = p.Settings().Tuning.Latency(snap.Entries[i].Server, now).Seconds() * 1000
		out.Overrides.of(&one, &snap.Entries[i].Spec)
		out.Servers = append(out.Servers, one)
	}
	if s.views.Decisions != nil {
		out.Decisions = append(out.Decisions, s.views.Decisions(p.Name)...)
	}
	return out
}

func describeSync(info SyncInfo) syncDetail {
	out := syncDetail{
		Source: info.Source, Index: info.Index, WatchAgeSeconds: info.WatchAge.Seconds(),
		LastSuccess: known(info.LastSuccess), LastError: info.LastError, LastErrorAt: known(info.LastErrorAt),
		Rejects: info.Rejects,
	}
	if info.LastDecision != (Decision{}) {
		out.LastDecision = &info.LastDecision
	}
	return out
}

func describeServer(e *upstream.Entry, now int64) server {
	spec := &e.Spec
	state, why := stateOf(e, now)
	return server{
		Address: e.Addr, Host: spec.Host, Weight: spec.Weight, WeightFrom: spec.WeightFrom,
		State: state, Why: why, Backup: spec.Backup,
		Inflight: e.Inflight.Load(), MaxConns: spec.MaxConns,
		Fails: e.Fails(), MaxFails: spec.MaxFails, FailTimeoutSeconds: spec.FailTimeout.Seconds(),
		Health: describeHealth(e.Server),
	}
}

// stateOf says whether a server gets requests at now, and why not.
func stateOf(e *upstream.Entry, now int64) (state, why string) {
	spec := &e.Spec
	switch state = e.Unavailable(spec, now); state {
	case "down":
		if spec.DownWhy != "" {
			return state, spec.DownWhy
		}
		return state, "marked down by its source"
	case "failed":
		return state, fmt.Sprintf("%d failures, at most %d within %s allowed", e.Fails(), spec.MaxFails-1, spec.FailTimeout)
	case "max_conns":
		return state, fmt.Sprintf("%d requests in flight, at most %d allowed", e.Inflight.Load(), spec.MaxConns)
	case "":
	default:
		return state, heldWhy(e.Server)
	}
	if spec.Backup {
		return "backup", "used only when no other server is available"
	}
	return "up", ""
}

// known returns nil for the zero time, which stands for never.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
