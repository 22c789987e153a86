package consul

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/upsync/devregistry"
)

// agent is a registry that can be stopped, as an agent can.
type agent struct {
	t *testing.T
	*devregistry.Registry
	server *devregistry.Server
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{t: t, Registry: devregistry.New(devregistry.Options{Logger: quiet})}
	t.Cleanup(func() { a.Close() })
	var err error
	if a.server, err = a.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.server.Close() })
	return a
}

// registered is the service as the agent shows it, nil if it has none.
func (a *agent) registered(id string) (*shown, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(a.server.URL() + "/v1/agent/service/" + id)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	s := &shown{}
	return s, json.Unmarshal(text, s)
}

type shown struct {
	ID, Service, Address string
	Port                 int
	Meta                 map[string]string
}

// await waits until the agent has the service, or has it not.
func (a *agent) await(want *shown) {
	a.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := a.registered("gw-1")
		diff := cmp.Diff(want, got)
		if err == nil && diff == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			a.t.Fatalf("%v, -want +got\n%s", err, diff)
		}
	}
}

// registering keeps the service registered until the returned function is
// called.
func registering(t *testing.T, s Service, urls ...string) (stop func()) {
	t.Helper()
	c, err := New(Config{Addresses: urls}, Env{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c.timing = fastTiming()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	wg.Go(func() { c.Register(ctx, s) })
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func ourselves() (Service, *shown) {
	meta := map[string]string{"version": "v1"}
	s := Service{ID: "gw-1", Name: "gateway", Address: "127.0.0.1", Port: 9901, Meta: meta, Check: "http://127.0.0.1:1/-/healthy"}
	return s, &shown{ID: s.ID, Service: s.Name, Address: s.Address, Port: s.Port, Meta: meta}
}

func TestAServiceIsRegisteredAndRemoved(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	stop := registering(t, s, a.server.URL())
	a.await(want)
	stop()
	a.await(nil)
}

func TestAnAgentThatLostTheServiceGetsItAgain(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	registering(t, s, a.server.URL())
	a.await(want)
	for range 3 {
		if err := a.DeregisterService(s.ID); err != nil {
			t.Fatal(err)
		}
		a.await(want)
	}
}

func TestWhatAnEarlierProcessRegisteredIsReplaced(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	if err := a.RegisterService(devregistry.AgentService{ID: s.ID, Name: s.Name, Address: "10.0.0.9", Port: 1}); err != nil {
		t.Fatal(err)
	}
	registering(t, s, a.server.URL())
	a.await(want)
}

// What the agent knows of the check stays: the service is registered once.
func TestARegistrationThatStandsIsLeftAlone(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	registering(t, s, a.server.URL())
	a.await(want)
	ctx, cancel := testContext(t)
	defer cancel()
	path := "/v1/agent/service/" + s.ID
	if err := a.AwaitRequests(ctx, path, a.Count(path)+5); err != nil {
		t.Fatal(err)
	}
	if n := a.Count("/v1/agent/service/register"); n != 1 {
		t.Errorf("registered %d times", n)
	}
}

func TestAnAgentThatComesLateIsWaitedFor(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	a.server.Stop()
	registering(t, s, a.server.URL())
	if err := a.server.Resume(); err != nil {
		t.Fatal(err)
	}
	a.await(want)
}

// The service moves with the agent in use, and is not left behind at the
// other.
func TestAServiceIsRegisteredWithOneAgent(t *testing.T) {
	first, second := newAgent(t), newAgent(t)
	s, want := ourselves()
	stop := registering(t, s, first.server.URL(), second.server.URL())
	first.await(want)
	first.server.Stop()
	second.await(want)
	if err := first.server.Resume(); err != nil {
		t.Fatal(err)
	}
	first.await(want)
	second.await(nil)
	stop()
	first.await(nil)
}

func TestARefusedRegistrationIsTriedAgain(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	refusals := make(chan struct{}, 100)
	refuse := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Permission denied", http.StatusForbidden)
			refusals <- struct{}{}
		})
	}
	a.SetFault(devregistry.OnPath("/v1/agent/service/register", devregistry.Always(refuse)))
	stop := registering(t, s, a.server.URL())
	for range 3 {
		select {
		case <-refusals:
		case <-time.After(10 * time.Second):
			t.Fatal("it is not tried again")
		}
	}
	a.SetFault(nil)
	a.await(want)
	stop()
	a.await(nil)
}

func TestAnEndDoesNotWaitForADeadAgent(t *testing.T) {
	a := newAgent(t)
	s, want := ourselves()
	stop := registering(t, s, a.server.URL())
	a.await(want)
	a.server.Partition()
	defer a.server.Heal()
	began := time.Now()
	stop()
	if took := time.Since(began); took > registerLimit+3*time.Second {
		t.Errorf("ending took %v", took)
	}
}
