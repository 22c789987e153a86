package devregistry

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func newManual(t *testing.T) (*Registry, *ManualClock) {
	clock := NewManualClock(start)
	r := New(Options{Clock: clock.Clock(), Logger: quiet})
	t.Cleanup(r.Close)
	return r, clock
}

func TestSessionLivesTwiceItsTTLFromTheLastRenewal(t *testing.T) {
	r, clock := newManual(t)
	s, err := r.CreateSession(Session{TTL: "10s", LockDelay: time.Second, NodeChecks: []string{serfCheck}})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(19 * time.Second)
	if status, body := call1(t, r, http.MethodPut, "/v1/session/renew/"+s.ID); status != 200 {
		t.Fatalf("renew: %d %s", status, body)
	}
	clock.Advance(19 * time.Second)
	if _, body := call1(t, r, http.MethodGet, "/v1/session/info/"+s.ID); body == "[]" {
		t.Error("the session ended before two TTLs after its renewal")
	}
	clock.Advance(2 * time.Second)
	if _, body := call1(t, r, http.MethodGet, "/v1/session/info/"+s.ID); body != "[]" {
		t.Errorf("the session outlived two TTLs: %s", body)
	}
}

// call1 sends one request to the handler and returns status and body.
func call1(t *testing.T, r *Registry, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

func TestLockDelayKeepsAKeyAfterItsSessionEnded(t *testing.T) {
	r, clock := newManual(t)
	first, _ := r.CreateSession(Session{LockDelay: 5 * time.Second})
	second, _ := r.CreateSession(Session{})
	lock := func(id string) string {
		_, body := call1(t, r, http.MethodPut, "/v1/kv/leader?acquire="+id)
		return body
	}
	if got := lock(first.ID); got != "true" {
		t.Fatalf("first lock: %s", got)
	}
	if got := lock(second.ID); got != "false" {
		t.Fatalf("lock held by another: %s", got)
	}
	r.DestroySession(first.ID)
	if got := lock(second.ID); got != "false" {
		t.Errorf("lock within the delay: %s", got)
	}
	clock.Advance(5 * time.Second)
	if got := lock(second.ID); got != "true" {
		t.Errorf("lock after the delay: %s", got)
	}
}

func TestCriticalNodeCheckEndsItsSessions(t *testing.T) {
	r, _ := newManual(t)
	s, _ := r.CreateSession(Session{Behavior: behaviorDelete, NodeChecks: []string{serfCheck}})
	call1(t, r, http.MethodPut, "/v1/kv/leader?acquire="+s.ID)
	if err := r.SetCheck(serfCheck, statusCritical, ""); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.GetKV("leader"); ok {
		t.Error("the key of a session with behaviour delete outlived it")
	}
}

// Consul forgets tombstones after a while; the index of a prefix without keys
// is then that of the table, and that of one with keys may go back.
func TestTombstonesAreReaped(t *testing.T) {
	r, clock := newManual(t)
	r.PutKV("a/1", nil)
	kept := r.Index()
	r.PutKV("a/2", nil)
	r.DeleteKV("a/2")
	deleted := r.Index()
	if got := kvIndex(r, "a/"); got != deleted {
		t.Fatalf("index after the delete: %d, want %d", got, deleted)
	}
	clock.Advance(tombstoneTTL)
	if got := kvIndex(r, "a/"); got != deleted {
		t.Errorf("index before the batch is due: %d, want %d", got, deleted)
	}
	clock.Advance(tombstoneBatch)
	if got := kvIndex(r, "a/"); got != kept {
		t.Errorf("index after reaping: %d, want %d", got, kept)
	}
}

func kvIndex(r *Registry, prefix string) uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, index := r.state.kv.list(prefix)
	return index
}

func TestTTLCheckTurnsCriticalUnlessItIsPassed(t *testing.T) {
	r, clock := newManual(t)
	err := r.RegisterService(AgentService{Name: "web", Check: &AgentCheck{TTL: "10s", Status: statusPassing}})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(9 * time.Second)
	before := r.Index()
	if status, body := call1(t, r, http.MethodPut, "/v1/agent/check/pass/service:web"); status != 200 {
		t.Fatalf("pass: %d %s", status, body)
	}
	if r.Index() != before {
		t.Error("a check that stays as it is moved the index")
	}
	clock.Advance(9 * time.Second)
	wantCheck(t, r, "service:web", statusPassing)
	clock.Advance(time.Second)
	wantCheck(t, r, "service:web", statusCritical)
}

func wantCheck(t *testing.T, r *Registry, id, status string) {
	t.Helper()
	if got := checkStatus(r, id); got != status {
		t.Errorf("check %s is %q, want %q", id, got, status)
	}
}

func checkStatus(r *Registry, id string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.state.catalog.check(r.opts.Node, id); c != nil {
		return c.Status
	}
	return "gone"
}

func TestTCPAndHTTPChecksAreRun(t *testing.T) {
	answer := make(chan int, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := <-answer
		answer <- status
		w.WriteHeader(status)
	}))
	defer backend.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Logger: quiet})
	defer r.Close()
	answer <- http.StatusOK
	err = r.RegisterService(AgentService{Name: "web", Checks: []*AgentCheck{
		{HTTP: backend.URL, Interval: "10ms"},
		{TCP: ln.Addr().String(), Interval: "10ms"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	await := func(id, status string) {
		t.Helper()
		eventually(t, t.Context(), func() bool { return checkStatus(r, id) == status })
	}
	await("service:web:1", statusPassing)
	await("service:web:2", statusPassing)
	<-answer
	answer <- http.StatusTooManyRequests
	await("service:web:1", statusWarning)
	<-answer
	answer <- http.StatusInternalServerError
	await("service:web:1", statusCritical)
	ln.Close()
	await("service:web:2", statusCritical)
	if err := r.DeregisterService("web"); err != nil {
		t.Fatal(err)
	}
	await("service:web:1", "gone")
}
