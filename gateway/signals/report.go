package signals

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"spillway/gateway/upstream"
)

// Query says what a report is about.
type Query struct {
	// Since leaves out seconds that ended at or before it, in Unix
	// milliseconds; 0 leaves out none.
	Since int64
	// Upstreams are the names asked for, none is all.
	Upstreams []string
}

func (q *Query) wants(name string) bool {
	return len(q.Upstreams) == 0 || slices.Contains(q.Upstreams, name)
}

// member is what is known of one server.
type member struct {
	server  *upstream.Server
	serving bool
}

// view is one upstream in a report.
type view struct {
	snapshots []*upstream.Snapshot // that loops pick from
	members   []member
	index     uint64
	seconds   []Second
	answers   map[string]uint64 // of the newest second
}

// Report returns the answer to GET /api/v1/signals.
//
// The servers are what a scaler's drain rests on: serving is false only if no
// loop can pick the server any more, and what it has in flight is read after
// that. now_ms is read before: everything told of servers was so at some time
// after it.
func (r *Recorder) Report(ctx context.Context, q Query) ([]byte, error) {
	now := r.opt.Now().UnixMilli()
	adopted, err := r.opt.Adopted(ctx, q.wants)
	if err != nil {
		return nil, err
	}
	views := map[string]*view{}
	for i := range adopted {
		a := &adopted[i]
		viewOf(views, a.Pool.Name).adopt(a)
	}
	r.fill(views, adopted, &q)
	return r.render(now, views), nil
}

func viewOf(views map[string]*view, name string) *view {
	v := views[name]
	if v == nil {
		v = &view{index: math.MaxUint64}
		views[name] = v
	}
	return v
}

// adopt adds what one loop picks from. A server that one loop has is in use,
// whatever the others have.
func (v *view) adopt(a *Adoption) {
	v.index = min(v.index, appliedIndex(a))
	if slices.Contains(v.snapshots, a.Snapshot) {
		return
	}
	v.snapshots = append(v.snapshots, a.Snapshot)
	for i := range a.Snapshot.Entries {
		e := &a.Snapshot.Entries[i]
		v.members = append(v.members, member{e.Server, !e.Spec.Down})
	}
}

// appliedIndex is the registry's index of the list a loop picks from. A list
// that was read again without a change is in the pool alone.
func appliedIndex(a *Adoption) uint64 {
	if now := a.Pool.Load(); now.Version == a.Snapshot.Version {
		return now.Meta.Index
	}
	return a.Snapshot.Meta.Index
}

// fill copies what was recorded. It is short, because who applies a change
// waits for the same lock.
func (r *Recorder) fill(views map[string]*view, adopted []Adoption, q *Query) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range adopted {
		r.members.refresh(adopted[i].Pool)
	}
	for i := range r.members.left {
		if l := &r.members.left[i]; q.wants(l.upstream) {
			v := viewOf(views, l.upstream)
			v.members = append(v.members, member{server: l.server})
		}
	}
	for name := range r.series {
		if q.wants(name) {
			viewOf(views, name)
		}
	}
	for name, v := range views {
		s := r.series[name]
		v.seconds = r.secondsOf(s, q.Since)
		if s != nil && s.newest == r.last {
			v.answers = s.answers
		}
	}
}

// secondsOf copies every second after since that was recorded, also those
// without traffic: a reader has to tell silence from not knowing. mu is held.
func (r *Recorder) secondsOf(s *series, since int64) []Second {
	first := max(r.from, r.last-Window+1, since/1000+1)
	if r.last == 0 || first > r.last {
		return nil
	}
	all := make([]Second, 0, r.last-first+1)
	for t := first; t <= r.last; t++ {
		all = append(all, s.at(t))
	}
	return all
}

// render writes the report.
func (r *Recorder) render(now int64, views map[string]*view) []byte {
	b := append([]byte(nil), `{"gateway":`...)
	b = appendString(b, r.opt.Gateway)
	b = append(b, `,"now_ms":`...)
	b = strconv.AppendInt(b, now, 10)
	b = append(b, `,"upstreams":{`...)
	for i, name := range slices.Sorted(maps.Keys(views)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, `:{"seconds":[`...)
		b = views[name].appendSeconds(b)
		b = append(b, `],"servers":{`...)
		b = views[name].appendServers(b)
		b = append(b, "}}"...)
	}
	return append(b, "}}\n"...)
}

func (v *view) appendSeconds(b []byte) []byte {
	for i := range v.seconds {
		sec := &v.seconds[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"t":`...)
		b = strconv.AppendInt(b, sec.T, 10)
		b = appendCounts(b, sec)
		b = append(b, `,"h":[`...)
		for k, n := range sec.Latency {
			if k > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, uint64(n), 10)
		}
		b = append(b, "]}"...)
	}
	return b
}

// appendCounts writes what reports and traces have in common.
func appendCounts(b []byte, s *Second) []byte {
	for _, f := range [...]struct {
		key string
		n   uint32
	}{{`,"a":`, s.Arrivals}, {`,"c":`, s.Completions}, {`,"e":`, s.Errors}, {`,"r":`, s.Refused}} {
		b = append(b, f.key...)
		b = strconv.AppendUint(b, uint64(f.n), 10)
	}
	b = append(b, `,"l":`...)
	return strconv.AppendFloat(b, math.Round(float64(s.InFlight)*1000)/1000, 'f', -1, 64)
}

// appendServers writes the servers by address; several with one address, when
// one left and came back, are one.
func (v *view) appendServers(b []byte) []byte {
	slices.SortFunc(v.members, func(x, y member) int { return strings.Compare(x.server.Addr, y.server.Addr) })
	index := v.index
	if index == math.MaxUint64 {
		index = 0
	}
	for i := 0; i < len(v.members); {
		n := i + 1
		for n < len(v.members) && v.members[n].server.Addr == v.members[i].server.Addr {
			n++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendServer(b, v.members[i:n], v.answers, index)
		i = n
	}
	return b
}

func appendServer(b []byte, same []member, answers map[string]uint64, index uint64) []byte {
	serving, inFlight := false, int64(0)
	for i, m := range same {
		serving = serving || m.serving
		if !slices.ContainsFunc(same[:i], func(o member) bool { return o.server == m.server }) {
			inFlight += m.server.Inflight.Load()
		}
	}
	addr := same[0].server.Addr
	b = appendString(b, addr)
	b = append(b, `:{"serving":`...)
	b = strconv.AppendBool(b, serving)
	b = append(b, `,"l":`...)
	b = strconv.AppendInt(b, inFlight, 10)
	b = append(b, `,"c":`...)
	b = strconv.AppendUint(b, answers[addr], 10)
	b = append(b, `,"index":`...)
	b = strconv.AppendUint(b, index, 10)
	return append(b, '}')
}

// appendString writes a JSON string. Names are nearly always plain.
func appendString(b []byte, s string) []byte {
	special := func(c rune) bool {
		return c < ' ' || c == '"' || c == '\\' || c > unicode.MaxASCII
	}
	if strings.IndexFunc(s, special) < 0 {
		return append(append(append(b, '"'), s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic("BUG: cannot encode a string: " + err.Error())
	}
	return append(b, text...)
}
