package main

import (
	"errors"
	"net/http"
	"time"

	"spillway/gateway/admin"
	"spillway/upsync"
)

// operate passes an operator's order on.
func (s *server) operate(name string, o admin.Order) (admin.Done, error) {
	r, err := s.syncer.Operate(name, upsync.Order{
		Action: upsync.Action(o.Action), Server: o.Server, Weight: o.Weight, TTL: o.TTL, By: o.By, Reason: o.Reason,
	})
	if err != nil {
		return admin.Done{}, refusal(err)
	}
	done := admin.Done{Upstream: name, Action: o.Action, Server: o.Server, Left: r.Left, SurvivesRestart: r.Durable}
	if !r.Until.IsZero() {
		done.Until = &r.Until
	}
	return done, nil
}

// refusal gives an error the status that a client can act on.
func refusal(err error) error {
	for _, r := range [...]struct {
		is     error
		status int
		word   string
	}{
		{upsync.ErrNoUpstream, http.StatusNotFound, "unknown_upstream"},
		{upsync.ErrNoServer, http.StatusNotFound, "unknown_server"},
		{upsync.ErrNoEarlier, http.StatusConflict, "no_earlier_set"},
		{upsync.ErrInvalid, http.StatusUnprocessableEntity, "invalid_order"},
	} {
		if errors.Is(err, r.is) {
			return &admin.Refusal{Status: r.status, Word: r.word, Detail: err.Error()}
		}
	}
	return err
}

// orders are the overrides of an upstream as the admin server shows them.
func (s *server) orders(name string) admin.Orders {
	st, ok := s.syncer.Status(name)
	out := admin.Orders{Servers: []admin.Standing{}}
	if !ok {
		return out
	}
	out.SurvivesRestart, out.Leaving, out.Flapping = st.Durable, st.Leaving, flapping(&st)
	for _, v := range st.Overrides.Servers {
		out.Servers = append(out.Servers, admin.Standing{Server: v.Server, Action: string(v.Action), Weight: v.Weight, Said: admin.Said(v.Word)})
	}
	if f := st.Overrides.Frozen; f != nil {
		out.Frozen = &admin.Freeze{RolledBack: f.RolledBack, Waiting: st.Waiting, Said: admin.Said(f.Word)}
	}
	return out
}

func flapping(st *upsync.Status) map[string]admin.Flapping {
	out := map[string]admin.Flapping{}
	for addr, p := range st.Flaps {
		f := admin.Flapping{Penalty: p.Value, Times: p.Flaps, Suppressed: p.Suppressed}
		if until := st.Reuse(addr); p.Suppressed {
			f.Until = &until
		}
		out[addr] = f
	}
	return out
}

// history is what was decided about an upstream.
func (s *server) history(name string) []admin.Event {
	var all []admin.Event
	for _, d := range s.syncer.Decisions(name) {
		e := admin.Event{
			Index: d.Index, At: d.At, Verdict: string(d.Outcome), Reason: d.Reason,
			Added: d.Added, Removed: d.Removed, Changed: d.Changed, Held: d.Held, Waiting: d.Waiting,
		}
		if !d.Answered.IsZero() && !d.Served.IsZero() {
			ms := float64(d.Served.Sub(d.Answered)) / float64(time.Millisecond)
			e.LatencyMS = &ms
		}
		all = append(all, e)
	}
	return all
}
