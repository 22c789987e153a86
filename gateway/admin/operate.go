package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/gateway/upstream"
)

// actions are what can be done to an upstream or to one of its servers, each a
// path of its own behind the upstream's.
var actions = [...]string{"drain", "ready", "maint", "weight", "freeze", "unfreeze", "rollback"}

// Order is what an operator wants done.
type Order struct {
	// Action is "drain", "ready", "maint" or "weight" (of a server), "freeze",
	// "unfreeze" or "rollback" (of the upstream).
	Action string
	Server string
	Weight int
	// TTL is how long it holds, 0 is the default.
	TTL time.Duration
	// By is who asks, as they say; Reason why.
	By, Reason string
}

// Done is what came of an order.
type Done struct {
	Upstream string `json:"upstream"`
	Action   string `json:"action"`
	Server   string `json:"server,omitempty"`
	// Until is when it ends by itself; nil if it ended something.
	Until *time.Time `json:"until"`
	// Left is how many servers get requests now.
	Left int `json:"servers_left"`
	// SurvivesRestart says that it was written beside the upstream's dump.
	SurvivesRestart bool `json:"survives_restart"`
}

// Refusal is an order that was not carried out, and why.
type Refusal struct {
	Status int    // of HTTP: 404, 409 or 422
	Word   string // for programs
	Detail string // for people: what is allowed
}

func (r *Refusal) Error() string { return r.Detail }

// orderBody is what a client sends.
type orderBody struct {
	Server string `json:"server"`
	Weight int    `json:"weight"`
	TTL    string `json:"ttl"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// order carries out what is behind an upstream's path.
func (s *Server) order(ctx *fasthttp.RequestCtx) {
	name, action := cutAction(string(ctx.Path()))
	if s.pool(ctx, name) == nil {
		return
	}
	if s.views.Operate == nil {
		fail(ctx, fasthttp.StatusNotImplemented, "no_orders", "this gateway takes no orders")
		return
	}
	o, err := readOrder(ctx.PostBody())
	o.Action = action
	if err != nil {
		fail(ctx, fasthttp.StatusBadRequest, "bad_order", err.Error())
		s.noteOrder(ctx, name, o, err)
		return
	}
	done, err := s.views.Operate(name, o)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		fail(ctx, refusal.Status, refusal.Word, refusal.Detail)
	case err != nil:
		fail(ctx, fasthttp.StatusInternalServerError, "failed", err.Error())
	default:
		reply(ctx, fasthttp.StatusOK, done)
	}
	s.noteOrder(ctx, name, o, err)
}

// cutAction splits "/api/v1/upstreams/web/drain".
func cutAction(path string) (name, action string) {
	rest := strings.TrimPrefix(path, upstreamsPath)
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return rest, ""
	}
	return rest[:i], rest[i+1:]
}

// isOrder reports whether something is done at a path.
func isOrder(path string) bool {
	name, action := cutAction(path)
	return strings.HasPrefix(path, upstreamsPath) && name != "" && slices.Contains(actions[:], action)
}

// readOrder reads the body, which may be empty.
func readOrder(body []byte) (Order, error) {
	const want = `want {"server":"IP:PORT","weight":N,"ttl":"1h","by":"WHO","reason":"WHY"}, of which each may be missing`
	var in orderBody
	if len(bytes.TrimSpace(body)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return Order{}, fmt.Errorf("cannot read the body: %w: %s", err, want)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return Order{}, errors.New("there is more behind the object: " + want)
		}
	}
	o := Order{Server: in.Server, Weight: in.Weight, By: in.By, Reason: in.Reason}
	if in.TTL == "" {
		return o, nil
	}
	ttl, err := time.ParseDuration(in.TTL)
	if err != nil || ttl <= 0 {
		return o, fmt.Errorf("ttl is %q, want a time above 0 such as 30m or 1h", in.TTL)
	}
	o.TTL = ttl
	return o, nil
}

// noteOrder writes the audit line of an order.
func (s *Server) noteOrder(ctx *fasthttp.RequestCtx, name string, o Order, err error) {
	attrs := []any{
		"action", o.Action, "upstream", name, "server", o.Server, "weight", o.Weight, "ttl", o.TTL.String(),
		"by", o.By, "reason", o.Reason, "from", ctx.RemoteAddr().String(), "status", ctx.Response.StatusCode(),
	}
	if err != nil {
		s.log.Warn("order refused", append(attrs, "error", err)...)
		return
	}
	s.log.Info("order", attrs...)
}

// noteRefused writes the audit line of a write without its token.
func (s *Server) noteRefused(ctx *fasthttp.RequestCtx) {
	s.log.Warn("write refused", "path", string(ctx.Path()), "from", ctx.RemoteAddr().String(), "status", ctx.Response.StatusCode())
}

// Orders are what operators said of an upstream and what else lies between its
// source and its servers.
type Orders struct {
	Servers []Standing `json:"servers"`
	Frozen  *Freeze    `json:"frozen,omitempty"`
	// SurvivesRestart says that they are kept beside the upstream's dump.
	SurvivesRestart bool `json:"survives_restart"`
	// Leaving are servers that the source does not list any more and until
	// when they serve; Flapping is what is held against servers that come and
	// go, by address as listed.
	Leaving  map[string]time.Time `json:"-"`
	Flapping map[string]Flapping  `json:"-"`
}

// Standing is one order about a server that still holds.
type Standing struct {
	Server string `json:"server"`
	Action string `json:"action"`
	Weight int    `json:"weight,omitempty"`
	Said
}

// Freeze is an order to keep the set of servers.
type Freeze struct {
	RolledBack bool `json:"rolled_back"`
	// Waiting says that the source gave another set meanwhile.
	Waiting bool `json:"update_waits"`
	Said
}

// Said is who gave an order, why, and until when it holds.
type Said struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// Flapping is what is held against a server that comes and goes.
type Flapping struct {
	Penalty    float64    `json:"penalty"`
	Times      int        `json:"times"`
	Suppressed bool       `json:"suppressed"`
	Until      *time.Time `json:"until,omitempty"` // while suppressed
}

func (v *Views) orders(name string) Orders {
	if v.Orders == nil {
		return Orders{}
	}
	return v.Orders(name)
}

// of adds to a server what orders say of it.
func (o *Orders) of(out *server, spec *upstream.Spec) {
	name := spec.Addr
	if spec.Host != "" {
		name = spec.Host + spec.Addr[strings.LastIndexByte(spec.Addr, ':'):]
	}
	for _, v := range o.Servers {
		if v.Server == spec.Addr || v.Server == name {
			out.Overrides = append(out.Overrides, v)
		}
	}
	if f, ok := o.Flapping[name]; ok {
		out.Flapping = &f
	}
	if until, ok := o.Leaving[name]; ok {
		out.LeavesAt = &until
	}
}

// history answers with the last decisions about an upstream, in full.
func (s *Server) history(ctx *fasthttp.RequestCtx) {
	name := strings.TrimSuffix(strings.TrimPrefix(string(ctx.Path()), upstreamsPath), historyPath)
	if s.pool(ctx, name) == nil {
		return
	}
	out := struct {
		Upstream  string  `json:"upstream"`
		Decisions []Event `json:"decisions"`
	}{name, []Event{}}
	if s.views.History != nil {
		out.Decisions = append(out.Decisions, s.views.History(name)...)
	}
	reply(ctx, fasthttp.StatusOK, out)
}

// Event is one decision with what it changed.
type Event struct {
	Index   uint64    `json:"index"`
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason"`
	Added   []string  `json:"added,omitempty"`
	Removed []string  `json:"removed,omitempty"`
	Changed []string  `json:"changed,omitempty"`
	Held    []string  `json:"held,omitempty"`
	// Waiting is how many servers an update would add and remove that waits for
	// the end of a freeze.
	Waiting int `json:"waiting,omitempty"`
	// LatencyMS is from the head of the source's answer until the last event
	// loop served from the set; nil if nothing changed, no answer led to it, or
	// a loop does not yet.
	LatencyMS *float64 `json:"latency_ms,omitempty"`
}
