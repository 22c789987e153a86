package signals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"spillway/gateway/upstream"
)

// bench is a recorder whose clock, loops and pools are the test's.
type bench struct {
	*Recorder
	t       *testing.T
	now     time.Time
	adopted []Adoption
}

const start = 1_700_000_000

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: time.Unix(start, 0)}
	b.Recorder = New(Options{
		Gateway: "g1", Now: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
		Adopted: func(_ context.Context, wanted func(string) bool) (some []Adoption, err error) {
			for _, a := range b.adopted {
				if wanted(a.Pool.Name) {
					some = append(some, a)
				}
			}
			return some, nil
		},
	})
	return b
}

// after records what the loops counted in the d seconds up to then.
func (b *bench) after(d int64, tallies ...Tally) {
	b.now = b.now.Add(time.Duration(d) * time.Second)
	b.record(b.now.Unix(), tallies)
}

// tally is a loop's of a second in which n requests of each upstream came and
// ended, and l were in flight on average.
func tally(n uint64, l float64, names ...string) Tally {
	var t Tally
	for _, name := range names {
		c := Flow{Arrivals: n, Completions: n}
		c.Latency[3] = n
		t.Parts = append(t.Parts, Part{Upstream: name, Counts: c, Area: uint64(l * 1e9)})
	}
	return t
}

// told is a report as its reader sees it.
type reported struct {
	Gateway   string `json:"gateway"`
	NowMS     int64  `json:"now_ms"`
	Upstreams map[string]struct {
		Seconds []toldSecond          `json:"seconds"`
		Servers map[string]toldServer `json:"servers"`
	} `json:"upstreams"`
}

type toldSecond struct {
	T int64    `json:"t"`
	A uint64   `json:"a"`
	C uint64   `json:"c"`
	E uint64   `json:"e"`
	R uint64   `json:"r"`
	L float64  `json:"l"`
	H []uint64 `json:"h"`
}

type toldServer struct {
	Serving bool    `json:"serving"`
	L       float64 `json:"l"`
	C       uint64  `json:"c"`
	Index   uint64  `json:"index"`
}

func (b *bench) report(q Query) reported {
	b.t.Helper()
	text, err := b.Report(b.t.Context(), q)
	if err != nil {
		b.t.Fatal(err)
	}
	var r reported
	if err := json.Unmarshal(text, &r); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
	return r
}

func (b *bench) seconds(name string, since int64) []toldSecond {
	b.t.Helper()
	got := b.report(Query{Since: since, Upstreams: []string{name}}).Upstreams[name].Seconds
	for i := range got {
		if len(got[i].H) != Buckets {
			b.t.Fatalf("%d latency counts", len(got[i].H))
		}
	}
	return got
}

func ignoreLatency() cmp.Option { return cmpopts.IgnoreFields(toldSecond{}, "H") }

func TestSecondsAreSummedOverLoops(t *testing.T) {
	b := newBench(t)
	b.after(1, tally(10, 2, "web"), tally(5, 0.5, "web", "api"))
	b.after(1, tally(0, 0, "web"))
	b.after(1, Tally{Parts: []Part{{Upstream: "web", Counts: Flow{Arrivals: 7, Completions: 3, Errors: 2, Refused: 1}, Area: 3e9}}})
	want := []toldSecond{
		{T: start + 1, A: 15, C: 15, L: 2.5},
		{T: start + 2},
		{T: start + 3, A: 7, C: 3, E: 2, R: 1, L: 3},
	}
	got := b.seconds("web", 0)
	if diff := cmp.Diff(want, got, ignoreLatency()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got[0].H[3] != 15 || got[1].H[3] != 0 {
		t.Errorf("latencies %v and %v", got[0].H, got[1].H)
	}
	if got := b.seconds("api", 0); len(got) != 3 || got[0].A != 5 || got[2].A != 0 {
		t.Errorf("api: %+v", got)
	}
}

func TestSinceLeavesOutWhatIsKnown(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.after(1, tally(1, 1, "web"))
	}
	for _, tc := range []struct {
		since int64
		first int64 // 0: none
	}{
		{0, start + 1},
		{start * 1000, start + 1},
		{(start + 1) * 1000, start + 2},
		{(start+1)*1000 + 999, start + 2},
		{(start + 4) * 1000, start + 5},
		{(start + 5) * 1000, 0},
		{1 << 62, 0},
	} {
		got := b.seconds("web", tc.since)
		if tc.first == 0 && len(got) > 0 || tc.first != 0 && (len(got) != int(start+6-tc.first) || got[0].T != tc.first) {
			t.Errorf("since %d: %+v", tc.since, got)
		}
	}
}

func TestTwoMinutesAreKept(t *testing.T) {
	b := newBench(t)
	for range Window + 30 {
		b.after(1, tally(1, 1, "web"))
	}
	got := b.seconds("web", 0)
	if len(got) != Window || got[0].T != start+31 || got[Window-1].T != start+Window+30 || got[0].A != 1 {
		t.Fatalf("%d seconds: %+v", len(got), got)
	}
	for range Window - 1 {
		b.after(1)
	}
	if got := b.seconds("web", 0); got[0].A != 1 || got[1].A != 0 {
		t.Errorf("the last second with traffic is not the first: %+v", got[:2])
	}
	b.after(1)
	if n := len(b.series); n != 0 {
		t.Errorf("%d series are kept of upstreams that were silent for %d seconds", n, Window)
	}
}

// A sample that comes late stands for all seconds since the last one, and no
// request is lost or counted twice.
func TestALateSampleIsSharedOut(t *testing.T) {
	b := newBench(t)
	b.after(1, tally(4, 1, "web"))
	b.after(3, tally(10, 6, "web"))
	want := []toldSecond{{T: start + 1, A: 4, C: 4, L: 1}, {T: start + 2, A: 3, C: 3, L: 2}, {T: start + 3, A: 3, C: 3, L: 2}, {T: start + 4, A: 4, C: 4, L: 2}}
	if diff := cmp.Diff(want, b.seconds("web", 0), ignoreLatency()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAClockThatJumpsBeginsTheRecordAnew(t *testing.T) {
	for _, jump := range []int64{patience + 1, 86_400, -patience - 1, -86_400} {
		b := newBench(t)
		b.after(1, tally(4, 1, "web"))
		b.after(jump, tally(7, 1, "web"))
		if !b.due(b.now.Unix() + 1) {
			t.Errorf("%d: no second is due after the jump", jump)
		}
		got := b.seconds("web", 0)
		if len(got) != 1 || got[0].T != start+1+jump || got[0].A != 7 {
			t.Errorf("%d: %+v", jump, got)
		}
	}
}

func TestAClockSetBackALittleIsWaitedFor(t *testing.T) {
	b := newBench(t)
	b.after(3, tally(4, 1, "web"))
	for now := int64(start); now <= start+3; now++ {
		if b.due(now) {
			t.Errorf("%d is due, which is recorded", now)
		}
	}
	if !b.due(start + 4) {
		t.Error("the next second is not due")
	}
}

func TestUpstreamsWithoutTrafficAreNotStored(t *testing.T) {
	b := newBench(t)
	b.after(1, tally(0, 0, "a", "b", "c"))
	if n := len(b.series); n != 0 {
		t.Errorf("%d series", n)
	}
}

func newPool(name string, specs ...upstream.Spec) *upstream.Pool {
	p := upstream.NewPool(name, &upstream.Settings{})
	apply(p, 1, specs...)
	return p
}

func apply(p *upstream.Pool, index uint64, specs ...upstream.Spec) {
	p.Apply(specs, upstream.Meta{Index: index})
}

func spec(addr string) upstream.Spec { return upstream.Spec{Addr: addr, Weight: 1} }

// adopt makes the pool's current snapshot what loop picks from; loops are
// told apart by their place.
func (b *bench) adopt(loop int, p *upstream.Pool) {
	for len(b.adopted) <= loop {
		b.adopted = append(b.adopted, Adoption{p, p.Load()})
	}
	b.adopted[loop] = Adoption{p, p.Load()}
}

func TestAServerServesUntilNoLoopHasIt(t *testing.T) {
	b := newBench(t)
	down := spec("10.0.0.2:80")
	down.Down = true
	for _, then := range [][]upstream.Spec{{spec("10.0.0.1:80"), down}, {spec("10.0.0.1:80")}} {
		p := newPool("web", spec("10.0.0.1:80"), spec("10.0.0.2:80"))
		b.Note(p)
		b.adopt(0, p)
		b.adopt(1, p)
		apply(p, 2, then...)
		b.Note(p)
		for loops, want := range []toldServer{{Serving: true, Index: 1}, {Serving: true, Index: 1}, {Index: 2}} {
			if loops > 0 {
				b.adopt(loops-1, p)
			}
			if got := b.report(Query{}).Upstreams["web"].Servers["10.0.0.2:80"]; got != want {
				t.Errorf("%d loops adopted it: %+v, want %+v", loops, got, want)
			}
		}
		b.Left(p)
	}
}

func TestAServerThatOneLoopHasServes(t *testing.T) {
	b := newBench(t)
	p := newPool("web", spec("10.0.0.1:80"))
	b.adopt(0, p)
	b.adopt(1, p)
	apply(p, 2, spec("10.0.0.1:80"), spec("10.0.0.2:80"))
	b.adopt(0, p)
	if got := b.report(Query{}).Upstreams["web"].Servers["10.0.0.2:80"]; !got.Serving {
		t.Error("a loop sends it requests, and it is told not to serve")
	}
}

func TestServersThatLeftAreTold(t *testing.T) {
	b := newBench(t)
	p := newPool("web", spec("10.0.0.1:80"), spec("10.0.0.2:80"))
	b.Note(p)
	b.adopt(0, p)
	gone := p.Load().Entries[1].Server
	gone.Inflight.Add(2)
	apply(p, 2, spec("10.0.0.1:80"))
	b.Note(p)
	b.adopt(0, p)
	b.after(1, Tally{Parts: tally(3, 1, "web").Parts, Servers: []Served{{"web", "10.0.0.2:80", 2}, {"web", "10.0.0.1:80", 1}}})
	want := map[string]toldServer{
		"10.0.0.1:80": {Serving: true, C: 1, Index: 2},
		"10.0.0.2:80": {L: 2, C: 2, Index: 2},
	}
	if diff := cmp.Diff(want, b.report(Query{}).Upstreams["web"].Servers); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	b.after(120)
	if _, told := b.report(Query{}).Upstreams["web"].Servers["10.0.0.2:80"]; !told {
		t.Error("a server with requests in flight is told of no more")
	}
	gone.Inflight.Add(-2)
	b.after(1)
	if _, told := b.report(Query{}).Upstreams["web"].Servers["10.0.0.2:80"]; told {
		t.Error("a server that left two minutes ago is still told of")
	}
}

func TestADepartedServerIsToldOfForAMinute(t *testing.T) {
	b := newBench(t)
	p := newPool("web", spec("10.0.0.1:80"))
	b.Note(p)
	b.Left(p)
	for _, tc := range []struct {
		after int64
		told  bool
	}{{1, true}, {58, true}, {1, false}} {
		b.after(tc.after)
		s, told := b.report(Query{}).Upstreams["web"].Servers["10.0.0.1:80"]
		if told != tc.told || s.Serving {
			t.Errorf("at %d: told %v, %+v", b.now.Unix()-start, told, s)
		}
	}
}

// A server that left and came back is a new one with an old address: what
// both have in flight counts, and it serves.
func TestServersWithOneAddressAreOne(t *testing.T) {
	b := newBench(t)
	p := newPool("web", spec("10.0.0.1:80"))
	b.Note(p)
	p.Load().Entries[0].Inflight.Add(2)
	apply(p, 2)
	b.Note(p)
	apply(p, 3, spec("10.0.0.1:80"))
	b.Note(p)
	p.Load().Entries[0].Inflight.Add(1)
	b.adopt(0, p)
	want := map[string]toldServer{"10.0.0.1:80": {Serving: true, L: 3, Index: 3}}
	if diff := cmp.Diff(want, b.report(Query{}).Upstreams["web"].Servers); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A change is in the pool a moment before it is noted: a report in between
// must not lose a server with requests in flight.
func TestAChangeThatIsNotNotedYetIsSeen(t *testing.T) {
	b := newBench(t)
	p := newPool("web", spec("10.0.0.1:80"))
	b.Note(p)
	p.Load().Entries[0].Inflight.Add(1)
	apply(p, 2)
	b.adopt(0, p)
	if s, told := b.report(Query{}).Upstreams["web"].Servers["10.0.0.1:80"]; !told || s.Serving || s.L != 1 {
		t.Errorf("told %v: %+v", told, s)
	}
}

// Whoever leaves is remembered, whatever else changes at the same time.
func TestWhoLeavesIsRemembered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Map(rapid.IntRange(1, 6), func(n int) string { return fmt.Sprintf("10.0.0.%d:80", n) })
		list := rapid.Map(rapid.SliceOfDistinct(addr, rapid.ID[string]), func(addrs []string) (specs []upstream.Spec) {
			for _, a := range addrs {
				specs = append(specs, spec(a))
			}
			return specs
		})
		p := upstream.NewPool("web", &upstream.Settings{})
		p.NewestFirst = rapid.Bool().Draw(t, "newest first")
		m := membership{now: time.Now, known: map[*upstream.Pool]*upstream.Snapshot{}}
		had := map[*upstream.Server]bool{}
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			apply(p, 1, list.Draw(t, "list")...)
			m.note(p)
			for _, e := range p.Load().Entries {
				had[e.Server] = true
			}
		}
		for _, e := range p.Load().Entries {
			delete(had, e.Server)
		}
		if len(m.left) != len(had) {
			t.Fatalf("%d are remembered, %d left", len(m.left), len(had))
		}
		for _, l := range m.left {
			if !had[l.server] {
				t.Fatalf("%s did not leave", l.server.Addr)
			}
		}
	})
}

func TestAListReadAgainWithoutChangeMovesTheIndex(t *testing.T) {
	b := newBench(t)
	p := newPool("web", spec("10.0.0.1:80"))
	b.adopt(0, p)
	apply(p, 9, spec("10.0.0.1:80"))
	if got := b.report(Query{}).Upstreams["web"].Servers["10.0.0.1:80"].Index; got != 9 {
		t.Errorf("index %d, want 9", got)
	}
}

func TestOnlyWhatIsAskedForIsTold(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"web", "api", `odd "näme"`} {
		p := newPool(name, spec("10.0.0.1:80"))
		b.Note(p)
		b.adopted = append(b.adopted, Adoption{p, p.Load()})
	}
	b.after(1, tally(1, 1, "web", "api", "unknown"))
	for _, tc := range []struct {
		ask  []string
		want int
	}{{nil, 4}, {[]string{"web"}, 1}, {[]string{"web", "api"}, 2}, {[]string{"nobody"}, 0}, {[]string{`odd "näme"`}, 1}} {
		if got := b.report(Query{Upstreams: tc.ask}).Upstreams; len(got) != tc.want {
			t.Errorf("%q: %d upstreams", tc.ask, len(got))
		}
	}
	r := b.report(Query{})
	if r.Gateway != "g1" || r.NowMS != (start+1)*1000 {
		t.Errorf("gateway %q at %d", r.Gateway, r.NowMS)
	}
}

func TestLoopsThatDoNotAnswerFailTheReport(t *testing.T) {
	b := newBench(t)
	b.opt.Adopted = func(context.Context, func(string) bool) ([]Adoption, error) { return nil, errors.New("busy") }
	if _, err := b.Report(t.Context(), Query{}); err == nil {
		t.Error("a report without servers")
	}
}

// The sampler keeps to the ends of seconds, and goes on when a sample fails.
func TestRunSamplesAtTheEndOfEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		r := New(Options{
			Log: slog.New(slog.DiscardHandler),
			Sample: func(context.Context) ([]Tally, error) {
				calls++
				if calls == 4 {
					return nil, fmt.Errorf("busy")
				}
				return []Tally{tally(uint64(calls), 1, "web")}, nil
			},
		})
		time.Sleep(300 * time.Millisecond) // virtual
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		var got []uint32
		for at := r.from; at <= r.last; at++ {
			sec := r.series["web"].at(at)
			got = append(got, sec.Arrivals)
		}
		r.mu.Unlock()
		// The fourth sample failed, and the fifth stands for two seconds.
		if diff := cmp.Diff([]uint32{1, 2, 3, 2, 3}, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		cancel()
		<-done
	})
}
