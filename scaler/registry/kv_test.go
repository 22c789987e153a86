package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// value is what gateways read at a key, "" if it is missing.
func value(t *testing.T, c *consul, key string) string {
	t.Helper()
	text, err := c.call("GET", "/v1/kv/"+key, "")
	if err != nil {
		return ""
	}
	var pairs []struct{ Value string }
	ok(t, json.Unmarshal([]byte(text), &pairs))
	b, err := base64.StdEncoding.DecodeString(pairs[0].Value)
	ok(t, err)
	return string(b)
}

// kvConfig has prefixes of its own.
func kvConfig(t *testing.T, c *consul) Config {
	cfg := config(t, c)
	cfg.Prefix, cfg.Index = "up/"+cfg.Cluster, "index/"+cfg.Cluster
	return cfg
}

func holds(t *testing.T, c *consul, key, want string) {
	t.Helper()
	if got := value(t, c, key); got != want {
		t.Errorf("key %q holds %q, want %q", key, got, want)
	}
}

func TestKVInstanceComesServesDrainsAndGoes(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	k := newKV(t, cfg)
	r := instance(t, "web", "web-1")
	key := cfg.Prefix + "/web/" + r.Address
	for range 2 {
		ok(t, k.Register(ctx, r))
		holds(t, c, key, `{"weight":5,"down":0}`)
	}
	e := becomes(t, k, "web", true, false)
	delete(e.Meta, MetaSpec)
	want := r
	want.Meta = map[string]string{MetaApp: "shop", MetaCluster: t.Name()}
	if diff := cmp.Diff(want, e.Registration); diff != "" {
		t.Errorf("entry differs (-want +got):\n%s", diff)
	}
	for range 2 {
		ok(t, k.Drain(ctx, "web", "web-1", "scale in"))
		holds(t, c, key, `{"weight":5,"down":1}`)
	}
	becomes(t, k, "web", true, true)
	r.Weight = 9
	ok(t, k.Register(ctx, r))
	holds(t, c, key, `{"weight":9,"down":1}`)
	ok(t, k.Undrain(ctx, "web", "web-1"))
	holds(t, c, key, `{"weight":9,"down":0}`)
	for range 2 {
		ok(t, k.Deregister(ctx, "web", "web-1"))
		holds(t, c, key, "")
	}
	empty(t, k, "web")
	ok(t, k.Drain(ctx, "web", "web-1", ""))
	wants(t, k.Undrain(ctx, "web", "web-1"), ErrNotFound)
	if left, _ := c.call("GET", "/v1/kv/"+cfg.Index+"?keys", ""); strings.Contains(left, "web") {
		t.Errorf("left over in the index: %s", left)
	}
}

func TestKVKeepsWhatOthersSayOfAServer(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	k := newKV(t, cfg)
	r := instance(t, "web", "web-1")
	key := cfg.Prefix + "/web/" + r.Address
	c.must(t, "PUT", "/v1/kv/"+key, `{"max_fails":3,"Weight":2}`)
	ok(t, k.Register(ctx, r))
	holds(t, c, key, `{"weight":5,"down":0,"max_fails":3}`)
	c.must(t, "PUT", "/v1/kv/"+key, `{"weight":1,"backup":1}`) // by a person, meanwhile
	ok(t, k.Register(ctx, r))
	ok(t, k.Drain(ctx, "web", r.ID, ""))
	holds(t, c, key, `{"weight":1,"down":1,"backup":1}`)
	// Another instance at the same address begins anew.
	next := r
	next.ID = "web-2"
	ok(t, k.Register(ctx, next))
	holds(t, c, key, `{"weight":5,"down":0}`)
	ok(t, k.Deregister(ctx, "web", "web-1"))
	holds(t, c, key, `{"weight":5,"down":0}`)
	if e := becomes(t, k, "web", true, false); e.ID != "web-2" {
		t.Errorf("entry is %q, want web-2", e.ID)
	}
}

// One instance may be entered below two prefixes.
func TestKVPrefixesAreTold(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	a := newKV(t, cfg)
	cfg.Prefix += ".b"
	b := newKV(t, cfg)
	r := instance(t, "web", "web-1")
	ok(t, a.Register(ctx, r))
	empty(t, b, "web")
	ok(t, b.Register(ctx, r))
	ok(t, a.Deregister(ctx, "web", r.ID))
	empty(t, a, "web")
	becomes(t, b, "web", true, false)
}

func TestKVInstanceThatMovesLeavesItsOldAddress(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	k := newKV(t, cfg)
	was, is := instance(t, "web", "web-1"), instance(t, "web", "web-1")
	ok(t, k.Register(ctx, was))
	ok(t, k.Register(ctx, is))
	holds(t, c, cfg.Prefix+"/web/"+was.Address, "")
	holds(t, c, cfg.Prefix+"/web/"+is.Address, `{"weight":5,"down":0}`)
}

func TestKVTakesAnInstanceOnceItAnswers(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	k := newKV(t, cfg)
	for name, check := range map[string]Check{"port": {TCP: true}, "path": {HTTP: "/healthz"}} {
		r := instance(t, "late-"+name, "late-1")
		r.Check = check
		address := r.Address
		r.Address = "127.0.0.1:1"
		wants(t, k.Register(ctx, r), ErrNotAnswering)
		empty(t, k, r.Service)
		r.Address = address
		ok(t, k.Register(ctx, r))
		becomes(t, k, r.Service, true, false)
	}
}

func TestKVLeavesOtherClustersAlone(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	ours, theirs := kvConfig(t, c), kvConfig(t, c)
	theirs.Cluster = "theirs"
	k, other := newKV(t, ours), newKV(t, theirs)
	r := instance(t, "web", "web-1")
	ok(t, other.Register(ctx, r))
	empty(t, k, "web")
	wants(t, k.Register(ctx, r), ErrForeign)
	ok(t, k.Drain(ctx, "web", r.ID, ""))
	ok(t, k.Deregister(ctx, "web", r.ID))
	wants(t, k.Undrain(ctx, "web", r.ID), ErrNotFound)
	becomes(t, other, "web", true, false)
	// A key that nobody noted down is not listed either.
	c.must(t, "PUT", "/v1/kv/"+ours.Prefix+"/web/10.0.0.1:80", "")
	empty(t, k, "web")
}

func TestKVLostAnswersDoNoHarm(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg, wire := kvConfig(t, c), &lossy{}
	cfg.Wrap = func(rt http.RoundTripper) http.RoundTripper { wire.RoundTripper = rt; return wire }
	k := newKV(t, cfg)
	r := instance(t, "web", "web-1")
	key := cfg.Prefix + "/web/" + r.Address
	for _, s := range []struct {
		do   func() error
		want string
	}{
		{func() error { return k.Register(ctx, r) }, `{"weight":5,"down":0}`},
		{func() error { return k.Drain(ctx, "web", r.ID, "") }, `{"weight":5,"down":1}`},
		{func() error { return k.Undrain(ctx, "web", r.ID) }, `{"weight":5,"down":0}`},
		{func() error { return k.Deregister(ctx, "web", r.ID) }, ""},
	} {
		wire.next(func(req *http.Request) bool { return req.URL.Path == "/v1/txn" })
		wants(t, s.do(), ErrUnavailable)
		holds(t, c, key, s.want)
		ok(t, s.do())
		holds(t, c, key, s.want)
	}
	if wire.lost() != 4 {
		t.Errorf("%d answers were lost, want 4", wire.lost())
	}
}

// Instances of one service that change at the same time do not disturb each
// other, and changes of one instance end in one of the states asked for.
func TestKVManyChangesAtOnce(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	cfg.Probe = func(context.Context, Registration) error { return nil }
	k := newKV(t, cfg)
	var wg sync.WaitGroup
	all := batchOf(16, "web", Check{})
	for _, r := range all {
		wg.Go(func() {
			for _, err := range []error{k.Register(ctx, r), k.Drain(ctx, "web", r.ID, ""), k.Undrain(ctx, "web", r.ID)} {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	entries, err := k.Entries(ctx, "web")
	ok(t, err)
	for _, e := range entries {
		if e.Draining {
			t.Errorf("%q is draining", e.ID)
		}
	}
	if len(entries) != len(all) {
		t.Errorf("%d entries, want %d", len(entries), len(all))
	}
	for range 8 {
		wg.Go(func() {
			if err := k.Drain(ctx, "web", all[0].ID, ""); err != nil && !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	holds(t, c, cfg.Prefix+"/web/"+all[0].Address, `{"weight":1,"down":1}`)
}

// counting notes the sizes of transactions.
type counting struct {
	http.RoundTripper
	mu    sync.Mutex
	sizes []int
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/v1/txn" {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		var ops []json.RawMessage
		if err := json.Unmarshal(text, &ops); err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.sizes = append(c.sizes, len(ops))
		c.mu.Unlock()
	}
	return c.RoundTripper.RoundTrip(r)
}

func TestKVRegistersAThousandAtOnce(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg, wire := kvConfig(t, c), &counting{}
	cfg.Wrap = func(rt http.RoundTripper) http.RoundTripper { wire.RoundTripper = rt; return wire }
	cfg.Probe = func(_ context.Context, r Registration) error {
		if r.ID == "web-0500" {
			return errors.New("not yet")
		}
		return nil
	}
	k := newKV(t, cfg)
	all := batchOf(1000, "web", Check{})
	start := time.Now()
	wants(t, k.RegisterAll(ctx, all), ErrNotAnswering)
	t.Logf("1000 instances in %v, %d transactions", time.Since(start), len(wire.sizes))
	entries, err := k.Entries(ctx, "web")
	ok(t, err)
	if len(entries) != 999 {
		t.Errorf("%d entries, want 999", len(entries))
	}
	for _, n := range wire.sizes {
		if n > maxOps {
			t.Errorf("a transaction of %d operations", n)
		}
	}
	if len(wire.sizes) > 20 {
		t.Errorf("%d transactions for 1000 instances", len(wire.sizes))
	}
	wire.sizes = nil
	if err := k.RegisterAll(ctx, all[:100]); err != nil || len(wire.sizes) > 0 {
		t.Errorf("again: %v, %d transactions", err, len(wire.sizes))
	}
}

// A batch that meets a change of somebody else registers the rest.
func TestKVBatchThatMeetsAChange(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	var once sync.Once
	cfg.Probe = func(_ context.Context, r Registration) error {
		once.Do(func() { c.must(t, "PUT", "/v1/kv/"+cfg.Prefix+"/web/"+r.Address, `{"max_fails":9}`) })
		return nil
	}
	k := newKV(t, cfg)
	ok(t, k.RegisterAll(ctx, batchOf(50, "web", Check{})))
	entries, err := k.Entries(ctx, "web")
	ok(t, err)
	if len(entries) != 50 {
		t.Errorf("%d entries, want 50", len(entries))
	}
}

func TestKVWipedKeysAreEnteredAgain(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := kvConfig(t, c)
	k := newKV(t, cfg)
	r := instance(t, "web", "web-1")
	key := cfg.Prefix + "/web/" + r.Address
	for _, wiped := range []string{cfg.Prefix, cfg.Index} {
		ok(t, k.Register(ctx, r))
		c.must(t, "DELETE", "/v1/kv/"+wiped+"?recurse", "")
		empty(t, k, "web")
		ok(t, k.Register(ctx, r))
		holds(t, c, key, `{"weight":5,"down":0}`)
		becomes(t, k, "web", true, false)
	}
}

func TestEditKeepsWhatItDoesNotKnow(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"", `{"weight":3,"down":0}`},
		{"weight=1", `{"weight":3,"down":0}`},
		{"null", `{"weight":3,"down":0}`},
		{"[1]", `{"weight":3,"down":0}`},
		{`{"weight":1}`, `{"weight":3,"down":0}`},
		{`{"WEIGHT":"1","Down":1}`, `{"weight":3,"Down":1}`},
		{`{"x":{"y":[1]},"down":true}`, `{"weight":3,"down":true,"x":{"y":[1]}}`},
	} {
		got, err := edit([]byte(test.value), map[string]int{"weight": 3})
		if err != nil || string(got) != test.want {
			t.Errorf("%q becomes %q (%v), want %q", test.value, got, err, test.want)
		}
	}
}

func FuzzEdit(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"weight":1,"down":1}`, `{"Down":"1","a":"\u0000"}`, "[", `{"":null}`} {
		f.Add([]byte(seed), 1)
	}
	f.Fuzz(func(t *testing.T, value []byte, down int) {
		down &= 1
		got, err := edit(value, map[string]int{"down": down, "weight": 2})
		if err != nil {
			t.Fatalf("edit(%q): %v", value, err)
		}
		var fields map[string]any
		if err := json.Unmarshal(got, &fields); err != nil {
			t.Fatalf("edit(%q) is %q: %v", value, got, err)
		}
		if isDown(got) != (down == 1) || fmt.Sprint(fields["weight"]) != "2" {
			t.Errorf("edit(%q, down %d) is %q", value, down, got)
		}
		again, err := edit(got, map[string]int{"down": down, "weight": 2})
		if err != nil || string(again) != string(got) {
			t.Errorf("edited again %q is %q (%v)", got, again, err)
		}
	})
}
