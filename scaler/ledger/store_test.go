package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
)

// world is a store, and what the tests do to it from outside.
type world struct {
	Store
	fence Fence // holds
	past  Fence // did
	wipe  func()
}

// stores are all that keep the contract: each test runs on each.
func stores(t *testing.T, test func(*testing.T, world)) {
	t.Run("memory", func(t *testing.T) {
		m := NewMemory()
		w := world{Store: m, fence: Fence{"leader", "2", 2}, past: Fence{"leader", "1", 1}, wipe: m.Wipe}
		m.Lead(w.fence)
		test(t, w)
	})
	t.Run("consul", func(t *testing.T) {
		client := consul(t)
		prefix := "cluster/" + strings.ReplaceAll(t.Name(), "/", "-")
		key := "leaders" + prefix
		w := world{Store: NewConsul(client, prefix), past: lead(t, client, key)}
		if _, err := client.Session().Destroy(w.past.Session, nil); err != nil {
			t.Fatal(err)
		}
		w.fence = lead(t, client, key)
		w.wipe = func() {
			if _, err := client.KV().DeleteTree(prefix+"/", nil); err != nil {
				t.Fatal(err)
			}
		}
		test(t, w)
	})
}

// lead takes a lock and returns its fence.
func lead(t *testing.T, client *api.Client, key string) Fence {
	t.Helper()
	id, _, err := client.Session().CreateNoChecks(&api.SessionEntry{LockDelay: 1}, nil) // 0 is Consul's default
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the lock", func() bool {
		got, _, err := client.KV().Acquire(&api.KVPair{Key: key, Session: id}, nil)
		return err == nil && got
	})
	pair, _, err := client.KV().Get(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Fence{Key: key, Session: id, Index: pair.LockIndex}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// server is the one Consul of these tests, started when it is needed.
var server = sync.OnceValues(startConsul)

// running is server's process; nil before.
var running *exec.Cmd

func TestMain(m *testing.M) {
	code := m.Run()
	if running != nil {
		running.Process.Kill()
		running.Wait()
		os.RemoveAll(running.Dir)
	}
	os.Exit(code)
}

func startConsul() (addr string, err error) {
	bin, err := filepath.Abs("../../bin/consul")
	if own := os.Getenv("CONSUL_BIN"); own != "" {
		bin = own
	}
	if _, err2 := os.Stat(bin); err != nil || err2 != nil {
		return "", fmt.Errorf("these tests need Consul: run `make consul`, or set CONSUL_BIN: %w", errors.Join(err, err2))
	}
	ports, err := freePorts(3)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(
		bin, "agent", "-server", "-bootstrap-expect=1", "-data-dir", dir, "-node", "n1", "-bind", "127.0.0.1",
		"-log-level", "error", "-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1",
		"-hcl", `performance { raft_multiplier = 1 }`,
		"-http-port", ports[0], "-server-port", ports[1], "-serf-lan-port", ports[2],
	)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		return "", err
	}
	running = cmd
	return "127.0.0.1:" + ports[0], nil
}

func freePorts(n int) (ports []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

func consul(t *testing.T) *api.Client {
	t.Helper()
	addr, err := server()
	if err != nil {
		t.Fatal(err)
	}
	client, err := ConsulConfig{Address: addr}.Client()
	if err != nil {
		t.Fatal(err)
	}
	await(t, "Consul", func() bool {
		_, err := client.KV().Put(&api.KVPair{Key: "probe"}, nil)
		return err == nil
	})
	return client
}

func (w world) must(t *testing.T, ops ...Op) []uint64 {
	t.Helper()
	indexes, err := w.Commit(t.Context(), w.fence, ops)
	if err != nil {
		t.Fatal(err)
	}
	return indexes
}

// holds compares all documents, by key and value.
func (w world) holds(t *testing.T, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, w.documents(t)); diff != "" {
		t.Errorf("documents:\n%s", diff)
	}
}

// documents are all values by key.
func (w world) documents(t *testing.T) map[string]string {
	t.Helper()
	entries, err := w.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	last := ""
	for _, e := range entries {
		have[e.Key] = string(e.Value)
		if e.Key <= last || e.Index == 0 {
			t.Errorf("%q after %q, index %d", e.Key, last, e.Index)
		}
		last = e.Key
	}
	return have
}

func set(key, value string, index uint64) Op { return Op{Key: key, Value: []byte(value), Index: index} }

func TestCommitCreatesChangesAndRemoves(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		w.holds(t, map[string]string{})
		first := w.must(t, set("machines/b", "1", 0), set("machines/a", "1", 0), set("orders/a", "", 0))
		next := w.must(t, set("machines/b", "2", first[0]), Remove("machines/a", first[1]), set("new", "3", 0))
		if next[0] <= first[0] || next[1] != 0 || next[2] == 0 {
			t.Errorf("indexes %v after %v", next, first)
		}
		w.holds(t, map[string]string{"machines/b": "2", "orders/a": "", "new": "3"})
		found, err := w.List(t.Context(), "machines/")
		if err != nil || len(found) != 1 || found[0].Index != next[0] {
			t.Errorf("machines: %+v, %v; index %d", found, err, next[0])
		}
	})
}

func TestCommitIsAllOrNothing(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		first := w.must(t, set("a", "1", 0), set("b", "1", 0))
		for name, op := range map[string]Op{
			"created over one that is there": set("b", "2", 0),
			"changed over an old one":        set("b", "2", first[1]-1),
			"changed one that is not there":  set("c", "2", 5),
			"removed an old one":             Remove("b", first[1]-1),
		} {
			_, err := w.Commit(t.Context(), w.fence, []Op{set("a", "2", first[0]), op})
			if !errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.holds(t, map[string]string{"a": "1", "b": "1"})
		w.must(t, Remove("never", 7), set("a", "2", first[0])) // gone is gone
	})
}

func TestCommitIsFenced(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		for name, f := range map[string]Fence{"former": w.past, "none": {}, "of another key": {Key: "probe", Session: w.fence.Session}} {
			if _, err := w.Commit(t.Context(), f, []Op{set("a", "1", 0)}); !errors.Is(err, ErrFenced) {
				t.Errorf("%s fence: %v", name, err)
			}
		}
		// Fenced is said even where there is a conflict too.
		w.must(t, set("b", "1", 0))
		if _, err := w.Commit(t.Context(), w.past, []Op{set("b", "1", 0)}); !errors.Is(err, ErrFenced) {
			t.Errorf("former fence, and a conflict: %v", err)
		}
		w.holds(t, map[string]string{"b": "1"})
	})
}

func TestUnchangedDocumentKeepsItsIndex(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		first := w.must(t, set("a", "1", 0))
		if again := w.must(t, set("a", "1", first[0])); again[0] != first[0] {
			t.Errorf("index %d became %d", first[0], again[0])
		}
	})
}

func TestCommitTakesAsMuchAsItSays(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		var ops []Op
		for n := range MaxOps {
			ops = append(ops, set(fmt.Sprintf("k/%03d", n), "x", 0))
		}
		if indexes := w.must(t, ops...); len(indexes) != MaxOps {
			t.Errorf("%d indexes", len(indexes))
		}
		w.must(t, set("large", strings.Repeat("x", MaxBytes-len("large")), 0))
		w.must(t)
	})
}

func TestCommitRefusesWhatNoStoreTakes(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		for name, ops := range map[string][]Op{
			"too many":  make([]Op, MaxOps+1),
			"too large": {set("a", strings.Repeat("x", MaxBytes), 0)},
			"twice":     {set("a", "1", 0), set("a", "2", 0)},
			"no key":    {set("", "1", 0)},
		} {
			if _, err := w.Commit(t.Context(), w.fence, ops); err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.holds(t, map[string]string{})
	})
}

func TestEmptyIsNotFailed(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		w.must(t, set("a", "1", 0))
		w.wipe()
		if entries, err := w.List(t.Context(), ""); err != nil || len(entries) != 0 {
			t.Errorf("wiped: %v, %v", entries, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if entries, err := w.List(ctx, ""); err == nil {
			t.Errorf("a read that failed: %v", entries)
		}
		if _, err := w.Commit(ctx, w.fence, []Op{set("b", "1", 0)}); err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) {
			t.Errorf("a write that failed: %v", err)
		}
	})
}

func TestStoresShareNoMemory(t *testing.T) {
	stores(t, func(t *testing.T, w world) {
		value := []byte("1")
		w.must(t, Op{Key: "a", Value: value})
		value[0] = 'x'
		entries, err := w.List(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		entries[0].Value[0] = 'y'
		w.holds(t, map[string]string{"a": "1"})
	})
}

func TestConsulThatIsAway(t *testing.T) {
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ConsulConfig{Address: "127.0.0.1:" + ports[0]}.Client()
	if err != nil {
		t.Fatal(err)
	}
	s := NewConsul(client, "x")
	if entries, err := s.List(t.Context(), ""); err == nil {
		t.Errorf("listed %v", entries)
	}
	_, err = s.Commit(t.Context(), Fence{"k", "s", 1}, []Op{set("a", "1", 0)})
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) || StatusOf(err) != 0 {
		t.Errorf("wrote: %v", err)
	}
}
