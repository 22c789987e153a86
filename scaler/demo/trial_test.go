package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/bench/report"
	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
)

// harmless is a trial that keeps all promises: every step was hit on both
// sides.
func harmless() *trial {
	t := newTrial()
	for _, step := range steps() {
		for _, side := range []string{"before", "after"} {
			t.deaths = append(t.deaths, death{side: side, step: string(step)})
		}
	}
	t.machines([]cloud.Machine{{ID: "a", Tags: map[string]string{cloud.TagOrder: "o"}}, {ID: "b", Tags: map[string]string{cloud.TagOrder: "o"}}})
	t.converged = []outcome{{"buying", true}, {"giving back", true}}
	t.losses = []loss{{what: "ledger wiped"}}
	return t
}

func TestEveryPromiseOfATrialCanBeBroken(t *testing.T) {
	o := &CrashOptions{Machines: 2, Rounds: 1, Absent: time.Minute}
	for _, tt := range []struct {
		about  string
		breaks func(*trial, *report.Report)
	}{
		{"", func(*trial, *report.Report) {}},
		{"a failed request", func(_ *trial, r *report.Report) { r.Errors.Total = 1 }},
		{"no request at all", func(_ *trial, r *report.Report) { r.Requests = 0 }},
		{"an answer of 503", func(_ *trial, r *report.Report) { r.Status["503"] = 1 }},
		{"it could not go on", func(t *trial, _ *report.Report) { t.broken = []string{"x"} }},
		{"a step that was never hit", func(t *trial, _ *report.Report) { t.deaths = t.deaths[1:] }},
		{"an orphan after a kill", func(t *trial, _ *report.Report) { t.deaths[0].faults = []string{"orphan: x"} }},
		{"a double after a kill", func(t *trial, _ *report.Report) { t.deaths[0].faults = []string{"double: x"} }},
		{"an orphan after the wipe", func(t *trial, _ *report.Report) { t.losses[0].faults = []string{"orphan: x"} }},
		{"a lost machine", func(t *trial, _ *report.Report) { t.losses[0].lost = []string{"machine x"} }},
		{"a machine too many, one after the other", func(t *trial, _ *report.Report) { t.machines([]cloud.Machine{{ID: "c"}}) }},
		{"a machine too many at once", func(t *trial, _ *report.Report) { t.atOnce = 3 }},
		{"no convergence", func(t *trial, _ *report.Report) { t.converged[1].ok = false }},
		{"critical without a scaler", func(t *trial, _ *report.Report) { t.bad([]string{"web-1 is critical"}) }},
		{"a token of two batches", func(t *trial, _ *report.Report) { t.tokens = []string{"double: x"} }},
		{"something is left", func(t *trial, _ *report.Report) { t.left = []string{"key x"} }},
	} {
		seen, r := harmless(), &report.Report{Requests: 100, Status: map[string]uint64{"200": 100}}
		tt.breaks(seen, r)
		err := judgeCrash(o, r, seen).err()
		if (err != nil) != (tt.about != "") {
			t.Errorf("%q: %v", tt.about, err)
		}
	}
}

// counted is a census of one machine with one container, both known.
func counted() *census {
	return &census{
		machines:   map[string]cloud.Machine{"m1": {ID: "m1", Name: "rented-1", Tags: map[string]string{cloud.TagOrder: "order"}}},
		containers: map[string]container{"c1": {name: "web-1", instance: "web-1", machine: "m1"}},
		records: &records{
			machines:  map[string]fleet.Machine{"rented-1": {ID: "rented-1", CloudID: "m1"}},
			orders:    map[string]fleet.Order{"order": {ID: "order", Slots: []string{"rented-1"}}},
			instances: map[string]fleet.Instance{"web-1": {ID: "web-1"}},
		},
	}
}

func TestACensusFindsWhatShouldNotBe(t *testing.T) {
	for _, tt := range []struct {
		about  string
		change func(*census)
		want   []string
	}{
		{"all is well", func(*census) {}, nil},
		{"known by its order alone", func(c *census) { clear(c.records.machines) }, nil},
		{"known by its record alone", func(c *census) { clear(c.records.orders) }, nil},
		{"a machine nobody knows", func(c *census) { clear(c.records.machines); clear(c.records.orders) }, []string{"orphan: machine rented-1"}},
		{"a container nobody knows", func(c *census) { clear(c.records.instances) }, []string{"orphan: container web-1"}},
		{"an order that was filled twice", func(c *census) {
			c.machines["m2"] = cloud.Machine{ID: "m2", Name: "rented-1", Tags: map[string]string{cloud.TagOrder: "order"}}
		}, []string{"double: 2 machines of order order for 1"}},
		{"an instance that runs twice", func(c *census) {
			c.containers["c2"] = container{name: "web-1", instance: "web-1", machine: "owned"}
		}, []string{"double: instance web-1 runs 2 times"}},
		{"more than was asked for", func(c *census) {
			for _, id := range []string{"m2", "m3"} {
				c.machines[id] = cloud.Machine{ID: id}
				c.records.machines[id] = fleet.Machine{CloudID: id}
			}
		}, []string{"double: 3 rented machines and 1 containers for 3 servers"}},
	} {
		c := counted()
		tt.change(c)
		if got := c.faults(3); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.about, got, tt.want)
		}
	}
}

func TestATokenStandsForOneBatch(t *testing.T) {
	line := func(op, token, machines string) string {
		return `{"op":"` + op + `","token":"` + token + `","machines":[` + machines + `]}` + "\n"
	}
	for _, tt := range []struct {
		about, audit string
		faults       int
	}{
		{"nothing", "", 0},
		{"two tokens", line("create", "1", `"a"`) + line("create", "2", `"b"`), 0},
		{"repeated, in any order", line("create", "1", `"a","b"`) + line("create", "1", `"b","a"`), 0},
		{"repeated without an answer", line("create", "1", "") + line("create", "1", `"a"`), 0},
		{"another batch", line("create", "1", `"a"`) + line("create", "1", `"b"`), 1},
		{"more of it", line("create", "1", `"a"`) + line("create", "1", `"a","b"`), 1},
		{"other calls and half a line", line("delete", "1", `"a"`) + line("create", "1", `"b"`) + `{"op":"cre`, 0},
	} {
		if got := tokenFaults(strings.NewReader(tt.audit)); len(got) != tt.faults {
			t.Errorf("%s: %q", tt.about, got)
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	before, now := counted(), counted()
	if lost := before.missing(now); len(lost) > 0 {
		t.Errorf("nothing changed, and it says %q", lost)
	}
	clear(now.machines)
	clear(now.containers)
	if got, want := before.missing(now), []string{"machine rented-1", "container web-1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
