package aliyun_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

// fault has the cloud behind the protocol fail as the script says.
func fault(t *testing.T, f sim.Fault) *world {
	t.Helper()
	w := newWorld(t, sim.Aliyun(), nil)
	w.sim.Inject(f)
	return w
}

func TestFaultsComeThroughTheProtocol(t *testing.T) {
	for _, c := range []struct {
		fault sim.Fault
		kind  cloud.Kind
		after time.Duration
	}{
		{sim.Fault{Kind: sim.LostRequest}, cloud.Ambiguous, 0},
		{sim.Fault{Kind: sim.LostAnswer}, cloud.Ambiguous, 0},
		{sim.Fault{Kind: sim.Throttled, Delay: 7 * time.Second}, cloud.RateLimited, 7 * time.Second},
		{sim.Fault{Kind: sim.Refused}, cloud.Transient, 0},
		{sim.Fault{Kind: sim.QuotaHit}, cloud.Quota, 0},
		{sim.Fault{Kind: sim.NoStock}, cloud.NoCapacity, 0},
		{sim.Fault{Kind: sim.APIDown}, cloud.Transient, 0},
	} {
		w := fault(t, c.fault)
		_, err := w.d.Create(t.Context(), w.request(2))
		wantKind(t, "Create under "+string(c.fault.Kind), err, c.kind)
		var e *cloud.Error
		if errors.As(err, &e) && e.After != c.after {
			t.Errorf("%s: to be repeated after %v, want %v", c.fault.Kind, e.After, c.after)
		}
	}
}

func TestStockSpendsAToken(t *testing.T) {
	w := fault(t, sim.Fault{Kind: sim.NoStock})
	r := w.request(2)
	for range 2 { // the second time there is stock again
		_, err := w.d.Create(t.Context(), r)
		wantKind(t, "Create with a token that the stock has refused", err, cloud.NoCapacity)
	}
	r.Token = cloud.Token("prod", "web", 1, "h", 1, 1)
	if made := w.create(r); len(made) != 2 {
		t.Errorf("a new token made %d machines, want 2", len(made))
	}
}

func TestPartialBatch(t *testing.T) {
	w := fault(t, sim.Fault{Kind: sim.Partial})
	if made := w.create(w.request(10)); len(made) != 7 {
		t.Errorf("%d machines, want the 7 that there are", len(made))
	}
}

func TestDeleteThatIsRefusedIsRepeated(t *testing.T) {
	w := fault(t, sim.Fault{Kind: sim.DeleteRefused})
	id := w.create(w.request(1))[0].ID
	err := w.d.Delete(t.Context(), id)
	wantKind(t, "Delete while the machine initializes", err, cloud.Transient)
	if err := w.d.Delete(t.Context(), id); err != nil {
		t.Errorf("Delete afterwards: %v", err)
	}
}

func TestStartWithoutStock(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	id := w.create(w.request(1))[0].ID
	w.clock.Advance(5 * time.Minute)
	if err := w.d.Stop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(5 * time.Minute)
	w.sim.Inject(sim.Fault{Kind: sim.NoStock, Op: cloud.OpStart})
	wantKind(t, "Start without stock", w.d.Start(t.Context(), id), cloud.NoCapacity)
	if err := w.d.Start(t.Context(), id); err != nil {
		t.Errorf("Start with stock: %v", err)
	}
}

func TestBatchesOfManyPages(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	w.create(w.request(12))
	if all := w.list(map[string]string{cloud.TagCluster: "prod"}); len(all) != 12 {
		t.Errorf("%d machines are listed, want 12", len(all))
	}
	if n := w.fake.Calls()["aliyun DescribeInstances"]; n != 3 {
		t.Errorf("%d pages of 5 for 12 machines, want 3", n)
	}
}

func TestTheAPIIsDown(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	w.fake.Down(10 * time.Minute)
	_, err := w.d.List(t.Context(), nil)
	wantKind(t, "List while the API is down", err, cloud.Transient)
	w.clock.Advance(10 * time.Minute)
	w.list(nil)
}

// An empty list is also what a user without permission gets.
func TestAnEmptyListIsConfirmed(t *testing.T) {
	dryRun := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("DryRun") == "true" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(dryRun))
			return
		}
		_, _ = w.Write([]byte(`{"Instances":{"Instance":[]},"NextToken":""}`))
	}))
	t.Cleanup(s.Close)
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Endpoint = s.URL })

	dryRun = `{"Code":"DryRunOperation","Message":"Request validation has been passed with DryRun flag set."}`
	if all, err := w.d.List(t.Context(), nil); err != nil || len(all) != 0 {
		t.Errorf("an empty list with permission: %v, error %v", all, err)
	}
	dryRun = `{"Code":"Forbidden.RAM","Message":"User not authorized to operate on the specified resource."}`
	_, err := w.d.List(t.Context(), nil)
	wantKind(t, "an empty list without permission", err, cloud.Auth)
}

func TestAListWithoutEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Instances":{"Instance":[{"InstanceId":"i-1"}]},"NextToken":"again"}`))
	}))
	t.Cleanup(s.Close)
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Endpoint = s.URL })
	_, err := w.d.List(t.Context(), nil)
	wantKind(t, "a list without end", err, cloud.Transient)
}

func TestWhatNeverLeftIsNoDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		way  http.RoundTripper
		kind cloud.Kind
	}{
		"nobody listens": {&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("connection refused")
		}}, cloud.Transient},
		"cut after the request": {&http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, to)
			return &halfConn{c}, err
		}}, cloud.Ambiguous},
	} {
		w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Client = &http.Client{Transport: c.way} })
		_, err := w.d.Create(t.Context(), w.request(1))
		wantKind(t, "Create: "+name, err, c.kind)
		if strings.Contains(err.Error(), "http") {
			t.Errorf("%s: the error tells a URL: %v", name, err)
		}
		_, err = w.d.List(t.Context(), nil)
		wantKind(t, "List: "+name, err, cloud.Transient)
	}
}

// halfConn takes requests and gives no answers.
type halfConn struct{ net.Conn }

func (*halfConn) Read([]byte) (int, error) { return 0, errors.New("reset by peer") }

func TestNoRedirectIsFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a signed request was sent elsewhere")
	}))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Endpoint = s.URL })
	_, err := w.d.Create(t.Context(), w.request(1))
	wantKind(t, "Create at an endpoint that redirects", err, cloud.Ambiguous)
}

func TestSpotNotice(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	plain := w.request(1)
	w.create(plain)
	r := w.request(2)
	r.Spot, r.Token = true, "spot-token"
	made := w.create(r)
	w.clock.Advance(5 * time.Minute)
	if events, err := w.d.Events(t.Context()); err != nil || len(events) != 0 {
		t.Errorf("events before any notice: %v, error %v", events, err)
	}
	w.sim.Reclaim(made[0].ID)
	events, err := w.d.Events(t.Context())
	if err != nil || len(events) != 1 || events[0].ID != made[0].ID || events[0].Kind != "reclaim" {
		t.Errorf("events are %v (error %v), want that %s is taken back", events, err, made[0].ID)
	}
	if events[0].At.Before(w.clock.Now()) || events[0].At.After(w.clock.Now().Add(5*time.Minute)) {
		t.Errorf("it ends at %v, want within five minutes from %v", events[0].At, w.clock.Now())
	}
	for _, m := range w.list(map[string]string{cloud.TagOrder: "web-1"}) {
		if m.Spot != (m.ID == made[0].ID || m.ID == made[1].ID) {
			t.Errorf("machine %s: spot is %t", m.ID, m.Spot)
		}
	}
}

func TestAFailedBoot(t *testing.T) {
	w := fault(t, sim.Fault{Kind: sim.BootFailed})
	w.create(w.request(1))
	w.clock.Advance(5 * time.Minute)
	if all := w.list(nil); len(all) != 1 || all[0].State != cloud.Failed || !strings.Contains(all[0].Reason, "locked") {
		t.Errorf("machines are %+v, want one that failed, locked", all)
	}
}

// A thousand machines within the limits of an account: what it takes, and how
// much of the time is the API's.
func TestAThousandMachines(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	w.fake = cloudfake.New(t, w.sim, cloudfake.Options{Now: w.clock.Now})
	o := w.options()
	o.Endpoint = w.fake.Aliyun()
	bare, err := aliyun.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d := cloud.Wrap(bare, cloud.Options{Clock: w.clock.Moving(), MaxWait: time.Hour})
	for batch := range 10 {
		r := cloud.CreateRequest{
			Token: cloud.Token("prod", "web", 1, "h", batch, 0), Type: "small", Zone: "h", Count: 100,
			Tags: map[string]string{cloud.TagCluster: "prod"},
		}
		for i := range r.Count {
			r.Names = append(r.Names, "web-"+string(rune('a'+batch))+string(rune('a'+i/26))+string(rune('a'+i%26)))
		}
		if made, err := d.Create(t.Context(), r); err != nil || len(made) != 100 {
			t.Fatalf("batch %d: %d machines, error %v", batch, len(made), err)
		}
	}
	asked := w.clock.Now().Sub(start)
	w.clock.Advance(w.d.Describe().ListLag)
	all, err := d.List(t.Context(), map[string]string{cloud.TagCluster: "prod"})
	if err != nil || len(all) != 1000 {
		t.Fatalf("%d machines are listed, error %v", len(all), err)
	}
	calls := w.fake.Calls()
	if calls["aliyun RunInstances"] != 10 || calls["aliyun DescribeInstances"] != 10 {
		t.Errorf("it took %v, want 10 calls to order and 10 to list", calls)
	}
	if asked > time.Second {
		t.Errorf("ordering waited %v for the API's limits, want nothing", asked)
	}
}
