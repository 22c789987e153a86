package cloud_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
)

func TestWrapKeepsAbilities(t *testing.T) {
	f := &fake{description: cloud.Description{Name: "fake", MaxBatch: 1}}
	for name, c := range map[string]struct {
		d              cloud.Driver
		stops, watches bool
	}{
		"neither": {f, false, false},
		"stops":   {stopping{f}, true, false},
		"watches": {watching{f}, false, true},
		"both":    {both{f, stopping{f}, watching{f}}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := cloud.Wrap(c.d, cloud.Options{Clock: newClock().Moving(), Audit: func([]byte) {}})
			s, stops := d.(cloud.Stopper)
			w, watches := d.(cloud.Watcher)
			if stops != c.stops || watches != c.watches {
				t.Fatalf("stops %t, watches %t; want %t and %t", stops, watches, c.stops, c.watches)
			}
			if diff := cmp.Diff(f.description, d.Describe()); diff != "" {
				t.Errorf("description (-want +got):\n%s", diff)
			}
			f.calls = nil
			if stops {
				_ = s.Stop(t.Context(), "i-1")
				_ = s.Start(t.Context(), "i-1")
			}
			if watches {
				_, _ = w.Events(t.Context())
			}
			var want []string
			if c.stops {
				want = append(want, cloud.OpStop, cloud.OpStart)
			}
			if c.watches {
				want = append(want, cloud.OpEvents)
			}
			if diff := cmp.Diff(want, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// The worst caller there is cannot write in a dry run.
func TestDryRunWritesNothing(t *testing.T) {
	for name, marked := range map[string]bool{"by option": false, "by context": true} {
		t.Run(name, func(t *testing.T) {
			f := &fake{description: cloud.Description{MaxBatch: 9}, offerings: []cloud.Offering{{Type: "small", Zone: "a", PriceHour: 1}}}
			d := cloud.Wrap(stopping{f}, cloud.Options{Clock: newClock().Moving(), DryRun: !marked, MoneyPerHour: 100})
			ctx := t.Context()
			if marked {
				ctx = cloud.WithDryRun(ctx)
			}
			_, err := d.Create(ctx, request(1))
			wantKind(t, err, cloud.DryRun)
			wantKind(t, d.Delete(ctx, "i-1"), cloud.DryRun)
			wantKind(t, d.(cloud.Stopper).Stop(ctx, "i-1"), cloud.DryRun)
			wantKind(t, d.(cloud.Stopper).Start(ctx, "i-1"), cloud.DryRun)
			if len(f.calls) != 0 {
				t.Errorf("calls %v reached the provider", f.calls)
			}
			if _, err := d.List(ctx, nil); err != nil {
				t.Errorf("List in a dry run: %v", err)
			}
		})
	}
}

func TestTypedSortsErrors(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		want   cloud.Kind
	}{
		"a create without a kind may have happened": {errPlain, cloud.Ambiguous},
		"a kind stays":           {kind(cloud.Quota), cloud.Quota},
		"a kind inside it stays": {fmt.Errorf("while creating: %w", kind(cloud.NoCapacity)), cloud.NoCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answers: map[string][]error{cloud.OpCreate: {c.answer}}}
			_, err := cloud.Typed(f).Create(t.Context(), request(1))
			wantKind(t, err, c.want)
		})
	}
	f := &fake{answers: map[string][]error{cloud.OpList: {errPlain}}}
	_, err := cloud.Typed(f).List(t.Context(), nil)
	wantKind(t, err, cloud.Transient)
}

func TestBudget(t *testing.T) {
	for name, c := range map[string]struct {
		committed float64
		count     int
		zone      string
		prices    []error // answers of Offerings
		want      error
	}{
		"within":                    {committed: 5, count: 5, zone: "a"},
		"past it":                   {committed: 5.5, count: 5, zone: "a", want: kind(cloud.Quota)},
		"past it already":           {committed: 50, count: 1, zone: "a", want: kind(cloud.Quota)},
		"what is ours costs none":   {committed: 50, count: 5, zone: "ours"},
		"no price":                  {count: 1, zone: "elsewhere", want: kind(cloud.Invalid)},
		"prices cannot be read":     {count: 1, zone: "a", prices: []error{kind(cloud.Auth)}, want: kind(cloud.Transient)},
		"prices are in doubt, even": {count: 1, zone: "a", prices: []error{kind(cloud.Ambiguous)}, want: kind(cloud.Transient)},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{
				offerings: []cloud.Offering{{Type: "small", Zone: "a", PriceHour: 1}, {Type: "small", Zone: "ours"}},
				answers:   map[string][]error{cloud.OpOfferings: c.prices},
			}
			d := cloud.Budget(f, 10, func(cloud.CreateRequest) float64 { return c.committed })
			r := request(c.count)
			r.Zone = c.zone
			_, err := d.Create(t.Context(), r)
			if c.want == nil {
				if err != nil {
					t.Errorf("got error %v", err)
				}
				return
			}
			wantKind(t, err, cloud.KindOf(c.want))
			if f.count(cloud.OpCreate) != 0 {
				t.Error("the refused request reached the provider")
			}
		})
	}
}

func TestBudgetReadsPricesOnce(t *testing.T) {
	f := &fake{offerings: []cloud.Offering{{Type: "small", Zone: "a", PriceHour: 1}}}
	d := cloud.Budget(f, 10, func(cloud.CreateRequest) float64 { return 0 })
	for range 3 {
		_, _ = d.Create(t.Context(), request(1))
	}
	if n := f.count(cloud.OpOfferings); n != 1 {
		t.Errorf("%d calls of Offerings, want 1", n)
	}
}

func TestAuditTellsEveryWrite(t *testing.T) {
	var log bytes.Buffer
	clock := newClock()
	f := &fake{description: cloud.Description{Name: "fake"}, answers: map[string][]error{cloud.OpDelete: {kind(cloud.NotFound)}}}
	f.on = func(string) { clock.Advance(250 * time.Millisecond) }
	d := cloud.Audit(f, clock.Now, func(line []byte) { log.Write(line) })
	r := request(2)
	r.UserData = []byte("secret of the machine")
	_, _ = d.Create(t.Context(), r)
	_, _ = d.List(t.Context(), nil)
	_ = d.Delete(t.Context(), "i-9")

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want one for each write:\n%s", len(lines), log.String())
	}
	if strings.Contains(log.String(), "secret") {
		t.Error("user data is in the audit log")
	}
	var got cloud.AuditRecord
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := cloud.AuditRecord{
		Time: start.Add(250 * time.Millisecond), TookMS: 250, Provider: "fake", Op: "create", Token: r.Token, Type: r.Type, Zone: r.Zone,
		Count: 2, Names: r.Names, Tags: r.Tags, Machines: []string{"i-1", "i-2"}, Outcome: "ok", UserData: got.UserData,
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got.UserData) != 64 {
		t.Errorf("record of the create (-want +got):\n%s", diff)
	}
	for _, part := range []string{`"op":"delete"`, `"id":"i-9"`, `"outcome":"not_found"`, `"error":"cannot test machines: not_found"`} {
		if !strings.Contains(lines[1], part) {
			t.Errorf("record of the delete lacks %s: %s", part, lines[1])
		}
	}
}

func TestCountTellsEveryCall(t *testing.T) {
	var got []string
	clock := newClock()
	f := &fake{answers: map[string][]error{cloud.OpList: {kind(cloud.RateLimited)}}}
	f.on = func(string) { clock.Advance(time.Second) }
	d := cloud.Count(f, clock.Now, func(op, kind string, took time.Duration) {
		got = append(got, fmt.Sprintf("%s %s %v", op, kind, took))
	})
	_, _ = d.List(t.Context(), nil)
	_, _ = d.List(t.Context(), nil)
	_, _ = d.Create(t.Context(), request(1))
	if diff := cmp.Diff([]string{"list rate_limited 1s", "list ok 1s", "create ok 1s"}, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// Audit is above the repetitions, Count below them.
func TestWrapOrder(t *testing.T) {
	audited, counted := 0, 0
	f := &fake{description: cloud.Description{MaxBatch: 1}, answers: map[string][]error{cloud.OpDelete: repeat(kind(cloud.Transient), 2)}}
	d := cloud.Wrap(f, cloud.Options{
		Clock: newClock().Moving(), Random: half,
		Audit: func([]byte) { audited++ },
		Count: func(string, string, time.Duration) { counted++ },
	})
	if err := d.Delete(t.Context(), "i-1"); err != nil {
		t.Fatal(err)
	}
	if audited != 1 || counted != 3 {
		t.Errorf("%d lines of audit and %d calls counted, want 1 and 3", audited, counted)
	}
}

// The zero Options are the system's clock and a working stack.
func TestWrapWithoutOptions(t *testing.T) {
	f := &fake{
		description: cloud.Description{MaxBatch: 1, UniqueNames: true},
		offerings:   []cloud.Offering{{Type: "small", Zone: "a", PriceHour: 2}},
	}
	if _, err := cloud.Wrap(f, cloud.Options{}).Create(t.Context(), request(1)); err != nil {
		t.Error(err)
	}
	_, err := cloud.Wrap(f, cloud.Options{MoneyPerHour: 1}).Create(t.Context(), request(1))
	wantKind(t, err, cloud.Quota)
	if err == nil || err.Error() != "cannot create machines: quota (money/hour): 0 an hour is committed, 2 more would pass the limit of 1" {
		t.Errorf("the refusal says: %v", err)
	}
}

func TestFaultsStrikeInTurn(t *testing.T) {
	f := &fake{}
	d := cloud.Faults(
		f,
		cloud.Fault{Kind: cloud.FaultRefuse, Op: cloud.OpList, Nth: 2, Times: 2, Err: cloud.Auth},
		cloud.Fault{Kind: cloud.FaultRefuse, Op: cloud.OpDelete, Nth: 3, Times: -1, Err: cloud.Quota},
	)
	var got []string
	for range 5 {
		_, err := d.List(t.Context(), nil)
		got = append(got, fmt.Sprint(err == nil, d.Delete(t.Context(), "i-1") == nil))
	}
	want := []string{"true true", "false true", "false false", "true false", "true false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("successes of List and Delete (-want +got):\n%s", diff)
	}
}

func TestFaultsOfCreate(t *testing.T) {
	for k, want := range map[cloud.FaultKind]struct{ machines, calls int }{
		cloud.FaultLoseRequest: {0, 0}, cloud.FaultLoseAnswer: {0, 1}, cloud.FaultTwice: {3, 2}, cloud.FaultPartial: {2, 1}, cloud.FaultRefuse: {0, 0},
	} {
		t.Run(string(k), func(t *testing.T) {
			f := &fake{}
			d := cloud.Faults(f, cloud.Fault{Kind: k, Op: cloud.OpCreate, Count: 2})
			machines, err := d.Create(t.Context(), request(3))
			if len(machines) != want.machines || f.count(cloud.OpCreate) != want.calls || (err == nil) != (want.machines > 0) {
				t.Errorf("%d machines, %d calls, error %v; want %+v", len(machines), f.count(cloud.OpCreate), err, want)
			}
		})
	}
}

func TestKindNames(t *testing.T) {
	for k := cloud.Transient; k <= cloud.DryRun; k++ {
		if got, ok := cloud.ParseKind(k.String()); !ok || got != k {
			t.Errorf("kind %d is named %q, which reads as %v, %t", k, k, got, ok)
		}
	}
	if _, ok := cloud.ParseKind("none"); ok {
		t.Error(`"none" was taken for a kind`)
	}
	if got := cloud.Kind(99).String(); got != "unknown" {
		t.Errorf("kind 99 is named %q", got)
	}
	if got := cloud.KindOf(errPlain); got != cloud.Transient {
		t.Errorf("a plain error is of kind %v", got)
	}
}
