package upsync

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

var fourKeys = []string{"up/web/10.0.0.1:80", "up/web/10.0.0.2:80", "up/web/10.0.0.3:80", "up/web/10.0.0.4:80"}

func outcomes(s *Syncer, name string) []Outcome {
	var out []Outcome
	for _, d := range s.Decisions(name) {
		out = append(out, d.Outcome)
	}
	slices.Reverse(out)
	return out
}

// consistent picks the reads that confirm.
func consistent(f devregistry.Fault) devregistry.FaultFunc {
	return func(req *http.Request) devregistry.Fault {
		if req.URL.Query().Has("consistent") {
			return f
		}
		return nil
	}
}

func TestMassRemovalIsConfirmedOnce(t *testing.T) {
	r := newRig(t, nil, kvUp("web", "up/web/"))
	r.put(fourKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
	r.settled("/v1/kv/", 1)
	r.reg.DeleteTree("up/web/10.0.0")
	r.put("up/web/10.0.1.1:80")
	r.serves("web", "10.0.1.1:80")
	if !slices.Contains(outcomes(r.sync, "web"), Confirmed) {
		t.Errorf("outcomes %v, want one confirmed", outcomes(r.sync, "web"))
	}
	n := 0
	for _, q := range r.reg.Requests("/v1/kv/") {
		if strings.Contains(q.Query, "consistent") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d consistent reads, want 1", n)
	}
}

// heldRig has lost three of four servers, and cannot confirm it.
func heldRig(t *testing.T, probe func(addr string) error, now func() time.Time) *rig {
	r := newRig(t, func(o *Options) {
		o.Probe = func(_ context.Context, addr string) error { return probe(addr) }
		o.Now = now
	}, kvUp("web", "up/web/"))
	r.sync.probeEvery = 20 * time.Millisecond
	r.put(fourKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
	r.settled("/v1/kv/", 1)
	r.reg.SetFault(consistent(devregistry.NoLeader()))
	r.reg.DeleteTree("up/web/10.0.0")
	r.put("up/web/10.0.1.1:80")
	return r
}

func TestUnconfirmedRemovalHoldsWhatAnswers(t *testing.T) {
	var late atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	r := heldRig(t, func(addr string) error {
		if addr == "10.0.0.2:80" {
			return errors.New("refused")
		}
		return nil
	}, now)
	r.serves("web", "10.0.0.1:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.1.1:80")
	st, _ := r.sync.Status("web")
	if len(st.Held) != 3 {
		t.Errorf("held %v, want three", st.Held)
	}
	late.Store(int64(HoldLimit))
	r.serves("web", "10.0.1.1:80")
	if got := outcomes(r.sync, "web"); got[len(got)-1] != Released {
		t.Errorf("outcomes %v, want released at last", got)
	}
}

func TestHeldServerThatIsListedAgainStays(t *testing.T) {
	r := heldRig(t, func(string) error { return nil }, nil)
	eventually(t, 3*time.Second, "servers are held", func() bool {
		st, _ := r.sync.Status("web")
		return len(st.Held) == 4
	})
	r.put(fourKeys...)
	eventually(t, 3*time.Second, "none is held", func() bool {
		st, _ := r.sync.Status("web")
		return len(st.Held) == 0
	})
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.1.1:80")
}

func TestEmptyIsAppliedWhereItIsAllowedAndConfirmed(t *testing.T) {
	up := kvUp("web", "up/web/")
	up.Policy.AllowEmpty = true
	r := newRig(t, nil, up)
	r.put(fourKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
	r.reg.DeleteTree("up/web/")
	r.serves("web")
}

func TestStrictObeysAtOnce(t *testing.T) {
	up := kvUp("web", "up/web/")
	up.Policy.Trust = TrustStrict
	r := newRig(t, nil, up)
	r.put(fourKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
	r.reg.DeleteTree("up/web/")
	r.serves("web")
}

func TestFailedServersGoAtOnce(t *testing.T) {
	r := newRig(t, nil, kvUp("web", "up/web/"))
	r.put(fourKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
	r.settled("/v1/kv/", 1)
	for _, e := range r.pool("web").Load().Entries {
		if e.Addr != "10.0.0.1:80" {
			e.Failed(&e.Spec, 1)
			e.Failed(&e.Spec, 2)
		}
	}
	r.reg.SetFault(consistent(devregistry.NoLeader()))
	for _, k := range fourKeys[1:] {
		r.reg.DeleteKV(k)
	}
	r.serves("web", "10.0.0.1:80")
	if got := outcomes(r.sync, "web"); slices.Contains(got, Held) {
		t.Errorf("outcomes %v, want none held", got)
	}
}

func TestMaintenanceIsDownAndGoesAtOnce(t *testing.T) {
	r := newRig(t, nil, Upstream{Name: "api", Source: ConsulHealth, Service: "api"})
	for i, id := range []string{"a", "b", "c"} {
		must(t, r.reg.RegisterService(devregistry.AgentService{ID: id, Name: "api", Address: "10.0.0." + string(rune('1'+i)), Port: 80}))
	}
	r.serves("api", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	for _, id := range []string{"b", "c"} {
		must(t, r.reg.Maintenance(id, true, "upgrade"))
	}
	down := func() (n int) {
		for _, e := range r.pool("api").Load().Entries {
			if e.Spec.Down && e.Spec.DownWhy == "maintenance" {
				n++
			}
		}
		return n
	}
	eventually(t, 3*time.Second, "two are down", func() bool { return down() == 2 })
	r.reg.SetFault(devregistry.OnPath("/v1/health/", consistent(devregistry.NoLeader())))
	must(t, r.reg.DeregisterService("b"))
	must(t, r.reg.DeregisterService("c"))
	r.serves("api", "10.0.0.1:80")
}
