package hetzner_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

func TestLostAnswerIsFoundByItsName(t *testing.T) {
	p := open(t, sim.Fault{Kind: sim.LostAnswer})
	r := order("web-1")
	if _, err := p.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.Ambiguous {
		t.Fatalf("Create whose answer was lost: error %v, want Ambiguous", err)
	}
	p.clock.Advance(time.Second)
	made, err := p.driver.Create(t.Context(), r)
	if err != nil || len(made) != 1 || made[0].Name != "web-1" {
		t.Fatalf("the same again: %v, error %v, want the server that was made", made, err)
	}
	if n := len(p.sim.Running()); n > 1 {
		t.Errorf("%d servers were made, want 1", n)
	}
}

func TestNameThatIsTakenButNotListedIsDoubt(t *testing.T) {
	p := openLagging(t, sim.Fault{Kind: sim.ListLag, Delay: 3 * time.Second})
	r := order("web-1")
	if _, err := p.driver.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := p.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.Ambiguous {
		t.Errorf("while the server is not listed: error %v, want Ambiguous", err)
	}
	p.clock.Advance(4 * time.Second)
	if made, err := p.driver.Create(t.Context(), r); err != nil || len(made) != 1 {
		t.Errorf("once it is listed: %v, error %v, want one server", made, err)
	}
}

func TestNameOfAnotherClusterIsInvalid(t *testing.T) {
	p := open(t)
	r := order("web-1")
	if _, err := p.driver.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Tags = map[string]string{cloud.TagCluster: "another", cloud.TagOrder: r.Tags[cloud.TagOrder]}
	var typed *cloud.Error
	if _, err := p.driver.Create(t.Context(), r); !errors.As(err, &typed) || typed.Kind != cloud.Invalid || typed.What != "name" {
		t.Errorf("a name that another cluster's server has: error %v, want Invalid (name)", err)
	}
}

func TestTagsThatAreNoLabelsAreInvalid(t *testing.T) {
	p := open(t)
	for _, value := range []string{"two words", "-dash", "ümlaut", strings.Repeat("x", 130)} {
		r := order("web-1")
		r.Tags[cloud.TagPool] = value
		if _, err := p.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.Invalid || err == nil {
			t.Errorf("tag %q: error %v, want Invalid", value, err)
		}
		if _, err := p.driver.List(t.Context(), r.Tags); cloud.KindOf(err) != cloud.Invalid || err == nil {
			t.Errorf("List by tag %q: error %v, want Invalid", value, err)
		}
	}
	if calls := p.fake.Calls(); len(calls) > 0 {
		t.Errorf("calls were made: %v", calls)
	}
}

func TestHashOfAProfileIsKeptWhole(t *testing.T) {
	p := open(t)
	r := order("web-1")
	r.Tags[cloud.TagProfile] = strings.Repeat("0123456789abcdef", 4)
	made, err := p.driver.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Tags, made[0].Tags); diff != "" {
		t.Errorf("tags of the answer (-want +got):\n%s", diff)
	}
	found, err := p.driver.List(t.Context(), r.Tags)
	if err != nil || len(found) != 1 || !found[0].HasTags(r.Tags) {
		t.Errorf("List by those tags: %v, error %v, want the server", found, err)
	}
}

func TestNamesThatNoHostHas(t *testing.T) {
	p := open(t)
	for _, name := range []string{"under_score", "-dash", "dot.", strings.Repeat("x", 64)} {
		if _, err := p.driver.Create(t.Context(), order(name)); cloud.KindOf(err) != cloud.Invalid || err == nil {
			t.Errorf("name %q: error %v, want Invalid", name, err)
		}
	}
}

func TestListTakesOneRequestAPage(t *testing.T) {
	p := open(t)
	const servers = 101
	for i := range servers {
		if _, err := p.driver.Create(t.Context(), order("web-"+strings.Repeat("i", i%50+1)+"-"+string(rune('a'+i/50)))); err != nil {
			t.Fatal(err)
		}
	}
	before := p.fake.Calls()["hetzner GET /servers"]
	found, err := p.driver.List(t.Context(), map[string]string{cloud.TagCluster: "c"})
	if err != nil || len(found) != servers {
		t.Fatalf("%d servers are listed (error %v), want %d", len(found), err, servers)
	}
	if took := p.fake.Calls()["hetzner GET /servers"] - before; took != 3 {
		t.Errorf("a list of %d servers took %d requests, want 3", servers, took)
	}
}

func TestOfferings(t *testing.T) {
	p := open(t)
	all, err := p.driver.Offerings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(o cloud.Offering) bool { return o.Type == "medium" && o.Zone == "nbg1" })
	want := cloud.Offering{
		Type: "medium", Zone: "nbg1", CPU: 4, Memory: 8 << 30, Units: 4, Arch: "amd64", PriceHour: 0.024, Quantum: time.Hour, Available: true,
	}
	if diff := cmp.Diff(want, all[max(i, 0)]); diff != "" {
		t.Errorf("offering (-want +got):\n%s", diff)
	}
}
