package upstream

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// spec is a server by its last number: 1 is 10.0.0.1:80.
func spec(n byte, change ...func(*Spec)) Spec {
	s := Spec{Addr: "10.0.0." + string('0'+n) + ":80", Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second}
	for _, f := range change {
		f(&s)
	}
	return s
}

// order is the last numbers of the servers in serving order.
func order(p *Pool) string {
	var b strings.Builder
	for _, e := range p.Load().Entries {
		b.WriteByte(e.Addr[len("10.0.0.")])
	}
	return b.String()
}

func addrs(numbers ...byte) []string {
	var list []string
	for _, n := range numbers {
		list = append(list, spec(n).Addr)
	}
	return list
}

func specs(numbers ...byte) []Spec {
	var list []Spec
	for _, n := range numbers {
		list = append(list, spec(n))
	}
	return list
}

func checkChange(t *testing.T, got Change, added, removed, changed []string) {
	t.Helper()
	want := [][]string{added, removed, changed}
	if diff := cmp.Diff(want, [][]string{got.Added, got.Removed, got.Changed}); diff != "" {
		t.Errorf("added, removed, changed: %s", diff)
	}
}

func TestApplyReportsWhatChanged(t *testing.T) {
	p := NewPool("web", &Settings{})
	checkChange(t, p.Apply(specs(1, 2), Meta{}), addrs(1, 2), nil, nil)
	checkChange(t, p.Apply(specs(2, 3), Meta{}), addrs(3), addrs(1), nil)
	heavy := spec(2, func(s *Spec) { s.Weight = 5 })
	checkChange(t, p.Apply([]Spec{heavy, spec(3)}, Meta{}), nil, nil, addrs(2))
	checkChange(t, p.Apply(nil, Meta{}), nil, addrs(2, 3), nil)
	checkChange(t, p.Apply(nil, Meta{}), nil, nil, nil)
}

func TestApplyKeepsLiveState(t *testing.T) {
	for _, newestFirst := range []bool{false, true} {
		p := NewPool("web", &Settings{})
		p.NewestFirst = newestFirst
		p.Apply(specs(1), Meta{})
		live := p.Load().Entries[0].Server
		live.Inflight.Add(3)
		live.Failed(&p.Load().Entries[0].Spec, 7)
		p.Apply([]Spec{spec(2), spec(1, func(s *Spec) { s.Weight, s.Down = 9, true })}, Meta{})
		found := false
		for _, e := range p.Load().Entries {
			if e.Server == live {
				found = true
				if e.Spec.Weight != 9 || !e.Spec.Down || e.Inflight.Load() != 3 || e.Fails() != 1 {
					t.Errorf("newest first %v: %+v, in flight %d, fails %d", newestFirst, e.Spec, e.Inflight.Load(), e.Fails())
				}
			}
		}
		if !found {
			t.Errorf("newest first %v: the server was replaced", newestFirst)
		}
		// Once gone it is forgotten: who comes back is new.
		p.Apply(specs(2), Meta{})
		p.Apply(specs(2, 1), Meta{})
		for _, e := range p.Load().Entries {
			if e.Server == live || e.Fails() != 0 {
				t.Errorf("newest first %v: %s kept its state while it was gone", newestFirst, e.Addr)
			}
		}
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		newestFirst bool
		steps       [][]byte
		want        []string
	}{
		// As nginx has it: the order given.
		{false, [][]byte{{1, 2, 3}, {3, 1, 2}, {4, 1, 3}, {1, 5, 3, 4}}, []string{"123", "312", "413", "1534"}},
		// As nginx-upsync has it: added ones in front, the last added first,
		// those that stay where they were.
		{true, [][]byte{{1, 2, 3}, {3, 1, 2}, {4, 1, 3}, {1, 5, 3, 6, 4}}, []string{"321", "321", "431", "65431"}},
	} {
		p := NewPool("web", &Settings{})
		p.NewestFirst = c.newestFirst
		for i, step := range c.steps {
			p.Apply(specs(step...), Meta{})
			if got := order(p); got != c.want[i] {
				t.Errorf("newest first %v, step %d: got %s, want %s", c.newestFirst, i, got, c.want[i])
			}
		}
	}
}

func TestOfDuplicatesTheFirstCounts(t *testing.T) {
	for _, newestFirst := range []bool{false, true} {
		p := NewPool("web", &Settings{})
		p.NewestFirst = newestFirst
		twice := []Spec{spec(1, func(s *Spec) { s.Weight = 7 }), spec(2), spec(1)}
		checkChange(t, p.Apply(twice, Meta{}), addrs(1, 2), nil, nil)
		checkChange(t, p.Apply(twice, Meta{}), nil, nil, nil)
		for _, e := range p.Load().Entries {
			if e.Addr == spec(1).Addr && e.Spec.Weight != 7 {
				t.Errorf("newest first %v: weight %d", newestFirst, e.Spec.Weight)
			}
		}
		if n := len(p.Load().Entries); n != 2 {
			t.Errorf("newest first %v: %d entries", newestFirst, n)
		}
	}
}

func TestSame(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		same   bool
	}{
		"nothing":      {func(*Spec) {}, true},
		"weight from":  {func(s *Spec) { s.WeightFrom = "tag" }, true},
		"down why":     {func(s *Spec) { s.DownWhy = "maintenance" }, true},
		"weight":       {func(s *Spec) { s.Weight = 2 }, false},
		"max_fails":    {func(s *Spec) { s.MaxFails = 0 }, false},
		"fail_timeout": {func(s *Spec) { s.FailTimeout++ }, false},
		"max_conns":    {func(s *Spec) { s.MaxConns = 1 }, false},
		"down":         {func(s *Spec) { s.Down = true }, false},
		"backup":       {func(s *Spec) { s.Backup = true }, false},
		"host":         {func(s *Spec) { s.Host = "app.test" }, false},
		"addr":         {func(s *Spec) { s.Addr = "10.0.0.9:80" }, false},
	} {
		if got := spec(1).Same(spec(1, c.change)); got != c.same {
			t.Errorf("%s: same is %v", name, got)
		}
	}
}

// notified counts notifications and rings built.
func notified(p *Pool) (calls *int) {
	calls = new(int)
	p.Notify(func(*Pool) { *calls++ })
	return calls
}

func TestWhatIsOnlyShownWakesNobody(t *testing.T) {
	prepared := 0
	p := NewPool("web", &Settings{Prepare: func(*Snapshot) any { prepared++; return prepared }})
	calls := notified(p)
	p.Apply(specs(1, 2), Meta{Index: 1})
	before := p.Load()
	shown := spec(1, func(s *Spec) { s.WeightFrom, s.DownWhy = "tag", "x" })
	ch := p.Apply([]Spec{shown, spec(2)}, Meta{Index: 2})
	after := p.Load()
	if !ch.Empty() || ch.Snapshot != after {
		t.Errorf("change %+v", ch)
	}
	if *calls != 1 || prepared != 1 || after.Version != before.Version || after.Prepared != before.Prepared {
		t.Errorf("%d calls, prepared %d times, version %d then %d", *calls, prepared, before.Version, after.Version)
	}
	if after.Meta.Index != 2 || after.Entries[0].Spec.WeightFrom != "tag" {
		t.Errorf("index %d, weight from %q", after.Meta.Index, after.Entries[0].Spec.WeightFrom)
	}
	p.Apply(specs(2, 1), Meta{})
	if *calls != 2 || prepared != 2 || p.Load().Version != before.Version+1 {
		t.Errorf("another order: %d calls, prepared %d times, version %d", *calls, prepared, p.Load().Version)
	}
}

func TestFirstApplyCountsEvenIfEmpty(t *testing.T) {
	p := NewPool("web", &Settings{})
	calls := notified(p)
	if v := p.Load().Version; v != 0 {
		t.Errorf("version %d before the first set", v)
	}
	p.Apply(nil, Meta{Source: "static"})
	if *calls != 1 || p.Load().Version != 1 || p.Load().Meta.Source != "static" {
		t.Errorf("%d calls, %+v", *calls, p.Load())
	}
}

func TestSnapshotsAreImmutable(t *testing.T) {
	p := NewPool("web", &Settings{})
	given := specs(1, 2)
	p.Apply(given, Meta{})
	old := p.Load()
	given[0].Weight = 99
	p.Apply([]Spec{spec(2, func(s *Spec) { s.Weight = 5 })}, Meta{})
	if len(old.Entries) != 2 || old.Entries[0].Spec.Weight != 1 || old.Entries[1].Spec.Weight != 1 {
		t.Errorf("an old snapshot changed: %+v", old.Entries)
	}
}

func TestSetSettingsPreparesAgain(t *testing.T) {
	p := NewPool("web", &Settings{Balance: "round_robin"})
	p.Apply(specs(1), Meta{Index: 5})
	server := p.Load().Entries[0].Server
	calls := notified(p)
	p.SetSettings(&Settings{Balance: "hash_consistent", Prepare: func(s *Snapshot) any { return len(s.Entries) }})
	snap := p.Load()
	if *calls != 1 || snap.Version != 2 || snap.Prepared != 1 || snap.Entries[0].Server != server || snap.Meta.Index != 5 {
		t.Errorf("%d calls, %+v", *calls, snap)
	}
	p.SetSettings(&Settings{})
	if p.Load().Prepared != nil {
		t.Error("kept what another policy prepared")
	}
	if p.Settings().Balance != "" {
		t.Error("kept the settings")
	}
}

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:80":                     "127.0.0.1:80",
		"[::1]:65535":                      "[::1]:65535",
		"[0:0::1]:080":                     "[::1]:80",
		"[::ffff:10.0.0.1]:80":             "10.0.0.1:80",
		"[fe80::1%eth0]:80":                "[fe80::1%eth0]:80",
		"unix:/run/app.sock":               "unix:/run/app.sock",
		"unix:" + strings.Repeat("a", 107): "unix:" + strings.Repeat("a", 107),
		"unix:" + strings.Repeat("a", 108): "",
		"unix:":                            "",
		"127.0.0.1":                        "",
		"127.0.0.1:0":                      "",
		"127.0.0.1:65536":                  "",
		"127.0.0.1:-1":                     "",
		"::1:80":                           "",
		"app.test:80":                      "",
		"":                                 "",
		" 127.0.0.1:80":                    "",
	} {
		got, err := ParseAddr(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestServerKnowsItsAddress(t *testing.T) {
	if s := newServer("[::1]:80"); !s.AddrPort.IsValid() || s.AddrPort.String() != s.Addr {
		t.Errorf("%+v", s.AddrPort)
	}
	if s := newServer("unix:/run/app.sock"); s.AddrPort.IsValid() {
		t.Errorf("%+v", s.AddrPort)
	}
}
