package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// only returns the single entry of a service.
func only(ctx context.Context, r Registry, service string) (Entry, error) {
	all, err := r.Entries(ctx, service)
	if err != nil {
		return Entry{}, err
	}
	if len(all) != 1 {
		return Entry{}, fmt.Errorf("service %q has %d entries: %v", service, len(all), all)
	}
	return all[0], nil
}

// becomes waits until the single entry of a service is as described.
func becomes(t *testing.T, r Registry, service string, passing, draining bool) Entry {
	t.Helper()
	var e Entry
	eventually(t, fmt.Sprintf("passing %t, draining %t", passing, draining), func() (err error) {
		e, err = only(t.Context(), r, service)
		if err == nil && (e.Passing != passing || e.Draining != draining) {
			err = fmt.Errorf("is %+v", e)
		}
		return err
	})
	return e
}

func empty(t *testing.T, r Registry, service string) {
	t.Helper()
	eventually(t, "no entries", func() error {
		all, err := r.Entries(t.Context(), service)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("has %v", all)
		}
		return err
	})
}

func TestHealthInstanceComesServesDrainsAndGoes(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	r := instance(t, "life", "life-1")
	ok(t, h.Register(ctx, r))
	e := becomes(t, h, "life", true, false)
	e.Check = r.Check
	delete(e.Meta, MetaSpec)
	want := r
	want.Meta = map[string]string{MetaApp: "shop", MetaCluster: t.Name()}
	if diff := cmp.Diff(want, e.Registration); diff != "" {
		t.Errorf("entry differs (-want +got):\n%s", diff)
	}
	for range 2 {
		ok(t, h.Drain(ctx, "life", "life-1", "scale in"))
	}
	becomes(t, h, "life", true, true)
	ok(t, h.Register(ctx, r)) // a repeated effect must not bring it back
	r.Weight = 7
	ok(t, h.Register(ctx, r))
	eventually(t, "weight 7", func() error {
		if e := becomes(t, h, "life", true, true); e.Weight != 7 {
			return fmt.Errorf("is %d", e.Weight)
		}
		return nil
	})
	for range 2 {
		ok(t, h.Undrain(ctx, "life", "life-1"))
	}
	becomes(t, h, "life", true, false)
	for range 2 {
		ok(t, h.Deregister(ctx, "life", "life-1"))
	}
	empty(t, h, "life")
	ok(t, h.Drain(ctx, "life", "life-1", "gone already"))
	wants(t, h.Undrain(ctx, "life", "life-1"), ErrNotFound)
}

func TestHealthNewInstanceIsCriticalAndStays(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	r := instance(t, "silent", "silent-1")
	r.Address = "127.0.0.1:1"
	ok(t, h.Register(ctx, r))
	e := becomes(t, h, "silent", false, false)
	eventually(t, "the check's output", func() (err error) {
		e, err = only(ctx, h, "silent")
		if err == nil && !strings.Contains(e.Output, "refused") {
			err = fmt.Errorf("is %q", e.Output)
		}
		return err
	})
	if text := c.must(t, "GET", "/v1/agent/services", ""); strings.Contains(text, "DeregisterCritical") {
		t.Errorf("service would be deregistered by itself: %s", text)
	}
	ok(t, h.Deregister(ctx, "silent", r.ID))
}

// An instance that serves must not be out of rotation for the time of a check
// because its weight changes.
func TestHealthNewWeightDoesNotTurnAnInstanceCritical(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	r := instance(t, "weigh", "weigh-1")
	r.Check.Interval = 500 * time.Millisecond
	ok(t, h.Register(ctx, r))
	becomes(t, h, "weigh", true, false)
	for weight := 1; weight <= 5; weight++ {
		r.Weight = weight * 10
		ok(t, h.Register(ctx, r))
		eventually(t, "new weight", func() error {
			e, err := only(ctx, h, "weigh")
			if err == nil && !e.Passing {
				t.Errorf("critical while its weight changes to %d: %+v", r.Weight, e)
			}
			if err == nil && e.Weight != r.Weight {
				err = fmt.Errorf("is %d", e.Weight)
			}
			return err
		})
	}
	ok(t, h.Deregister(ctx, "weigh", r.ID))
}

func TestHealthRepeatedRegisterWritesNothing(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	r := instance(t, "again", "again-1")
	ok(t, h.Register(ctx, r))
	becomes(t, h, "again", true, false)
	before := c.must(t, "GET", "/v1/health/service/again", "")
	for range 3 {
		ok(t, h.Register(ctx, r))
	}
	if after := c.must(t, "GET", "/v1/health/service/again", ""); after != before {
		t.Errorf("was %s\nis %s", before, after)
	}
	ok(t, h.Deregister(ctx, "again", r.ID))
}

func TestHealthWeightIsNeverZero(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	r := instance(t, "zero", "zero-1")
	r.Weight, r.Check = 0, Check{}
	ok(t, h.Register(ctx, r))
	if e := becomes(t, h, "zero", true, false); e.Weight != 1 {
		t.Errorf("weight is %d, want 1", e.Weight)
	}
	ok(t, h.Deregister(ctx, "zero", r.ID))
}

func TestHealthSurvivesARestartOfTheAgent(t *testing.T) {
	ctx := t.Context()
	c, err := newConsul(t.TempDir())
	ok(t, err)
	t.Cleanup(c.kill)
	h := newHealth(t, config(t, c))
	serving, leaving := instance(t, "serving", "s-1"), instance(t, "leaving", "l-1")
	ok(t, h.Register(ctx, serving))
	ok(t, h.Register(ctx, leaving))
	ok(t, h.Drain(ctx, "leaving", "l-1", "scale in"))
	becomes(t, h, "serving", true, false)
	becomes(t, h, "leaving", true, true)

	c.kill()
	_, err = h.Entries(ctx, "serving")
	wants(t, err, ErrUnavailable)
	wants(t, h.Register(ctx, serving), ErrUnavailable)
	wants(t, h.Drain(ctx, "serving", "s-1", ""), ErrUnavailable)

	ok(t, c.start())
	becomes(t, h, "serving", true, false)
	becomes(t, h, "leaving", true, true)
	ok(t, h.Register(ctx, serving))
	ok(t, h.Register(ctx, leaving))
	becomes(t, h, "leaving", true, true)
	ok(t, h.Deregister(ctx, "leaving", "l-1"))
	empty(t, h, "leaving")
}

func TestHealthLostAnswersDoNoHarm(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg, wire := config(t, c), &lossy{}
	cfg.Wrap = func(rt http.RoundTripper) http.RoundTripper { wire.RoundTripper = rt; return wire }
	h := newHealth(t, cfg)
	r := instance(t, "lost", "lost-1")
	steps := []struct {
		path              string
		do                func() error
		passing, draining bool
	}{
		{"/service/register", func() error { return h.Register(ctx, r) }, true, false},
		{"/maintenance/", func() error { return h.Drain(ctx, "lost", r.ID, "") }, true, true},
		{"/maintenance/", func() error { return h.Undrain(ctx, "lost", r.ID) }, true, false},
	}
	for _, s := range steps {
		wire.next(func(req *http.Request) bool { return strings.Contains(req.URL.Path, s.path) })
		wants(t, s.do(), ErrUnavailable)
		becomes(t, h, "lost", s.passing, s.draining) // it happened
		ok(t, s.do())
		becomes(t, h, "lost", s.passing, s.draining)
	}
	wire.next(func(req *http.Request) bool { return strings.Contains(req.URL.Path, "/deregister/") })
	wants(t, h.Deregister(ctx, "lost", r.ID), ErrUnavailable)
	ok(t, h.Deregister(ctx, "lost", r.ID))
	empty(t, h, "lost")
	if wire.lost() != 4 {
		t.Errorf("%d answers were lost, want 4", wire.lost())
	}
}

func TestHealthLeavesOtherClustersAlone(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	ours, theirs := config(t, c), config(t, c)
	theirs.Cluster = "theirs"
	h, other := newHealth(t, ours), newHealth(t, theirs)
	r := instance(t, "both", "both-1")
	ok(t, other.Register(ctx, r))
	becomes(t, other, "both", true, false)
	empty(t, h, "both")
	wants(t, h.Register(ctx, r), ErrForeign)
	wants(t, h.Drain(ctx, "both", r.ID, ""), ErrForeign)
	wants(t, h.Undrain(ctx, "both", r.ID), ErrForeign)
	wants(t, h.Deregister(ctx, "both", r.ID), ErrForeign)
	becomes(t, other, "both", true, false)
	ok(t, other.Deregister(ctx, "both", r.ID))
}

// catalogEntry writes into the catalog what no agent of ours knows.
func catalogEntry(t *testing.T, c *consul, node, service, id, cluster string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": node == "n1",
		"Service": map[string]any{"ID": id, "Service": service, "Port": 80, "Address": "10.0.0.1", "Meta": map[string]string{MetaCluster: cluster}},
	})
	ok(t, err)
	c.must(t, "PUT", "/v1/catalog/register", string(body))
}

func TestHealthInstanceThatOurAgentDoesNotKnow(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	catalogEntry(t, c, "elsewhere", "away", "away-1", t.Name())
	wants(t, h.Drain(ctx, "away", "away-1", ""), ErrElsewhere)
	wants(t, h.Undrain(ctx, "away", "away-1"), ErrElsewhere)
	wants(t, h.Deregister(ctx, "away", "away-1"), ErrElsewhere)
	if err := h.Deregister(ctx, "away", "away-1"); err == nil || !strings.Contains(err.Error(), `"elsewhere"`) {
		t.Errorf("error does not name the node: %v", err)
	}
	becomes(t, h, "away", true, false)

	catalogEntry(t, c, "n1", "relic", "relic-1", t.Name())
	ok(t, h.Deregister(ctx, "relic", "relic-1"))
	empty(t, h, "relic")
	c.must(t, "PUT", "/v1/catalog/deregister", `{"Node":"elsewhere"}`)
}

func TestHealthRegistersManyAtOnce(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	h := newHealth(t, config(t, c))
	many := batchOf(200, "crowd", Check{Interval: time.Hour})
	many[17].Address = "nowhere"
	err := h.RegisterAll(ctx, many)
	wants(t, err, ErrInvalid)
	if n := strings.Count(fmt.Sprint(err), "cannot register"); n != 1 {
		t.Errorf("%d instances failed, want 1: %v", n, err)
	}
	eventually(t, "199 entries", func() error {
		all, err := h.Entries(ctx, "crowd")
		if err == nil && len(all) != 199 {
			err = fmt.Errorf("has %d", len(all))
		}
		return err
	})
	many[17].Address = "10.9.0.1:80"
	ok(t, h.RegisterAll(ctx, many))
}

func batchOf(n int, service string, check Check) []Registration {
	var all []Registration
	for i := range n {
		all = append(all, Registration{
			ID: fmt.Sprintf("%s-%04d", service, i), Service: service, Weight: 1,
			Address: fmt.Sprintf("10.8.%d.%d:8080", i/200, i%200+1), Check: check,
		})
	}
	return all
}
