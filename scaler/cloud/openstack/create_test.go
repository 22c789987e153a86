package openstack_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/openstack"
	"spillway/scaler/cloud/sim"
)

func TestBatchIsOneRequestAndOneList(t *testing.T) {
	p := open(t)
	made, err := p.driver.Create(t.Context(), order("a", "b", "c"))
	if err != nil || len(made) != 3 {
		t.Fatalf("%v, error %v, want three machines", made, err)
	}
	want := map[string]int{
		"openstack POST /identity/v3/auth/tokens": 1, "openstack GET /compute/v2.1/flavors/detail": 1,
		"openstack POST /compute/v2.1/servers": 1, "openstack GET /compute/v2.1/servers/detail": 1,
	}
	if diff := cmp.Diff(want, p.fake.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, m := range made {
		if m.Zone != "az1" || m.Type != "small" || len(m.Tags) != 2 {
			t.Errorf("machine %+v: want a small one in az1 with two tags", m)
		}
	}
}

// TestNoRoomIsAFailedMachine: Nova takes the request all the same.
func TestNoRoomIsAFailedMachine(t *testing.T) {
	p := open(t, sim.Fault{Kind: sim.NoStock})
	r := order("a")
	made, err := p.driver.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.driver.List(t.Context(), r.Tags)
	if err != nil || len(found) != 1 || found[0].ID != made[0].ID {
		t.Fatalf("List: %v, error %v, want %v", found, err, made)
	}
	m := found[0]
	if m.State != cloud.Failed || !strings.HasPrefix(m.Reason, "No valid host was found") || m.Zone != "az1" {
		t.Errorf("machine is %s in %q because of %q, want Failed in az1 for want of a host", m.State, m.Zone, m.Reason)
	}
	if err := p.driver.Delete(t.Context(), m.ID); err != nil {
		t.Error(err)
	}
	if err := p.driver.Delete(t.Context(), m.ID); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("Delete again: error %v, want NotFound", err)
	}
}

func TestQuotaSaysWhich(t *testing.T) {
	p := open(t, sim.Fault{Kind: sim.QuotaHit})
	_, err := p.driver.Create(t.Context(), order("a"))
	if e := typed(t, err); e.Kind != cloud.Quota || e.What != "instances" {
		t.Errorf("error %v, want Quota (instances)", err)
	}
}

func TestTokenIsRenewed(t *testing.T) {
	p := open(t)
	for range 3 {
		if _, err := p.driver.List(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		p.clock.Advance(2 * time.Hour)
	}
	if n := p.fake.Calls()["openstack POST /identity/v3/auth/tokens"]; n != 3 {
		t.Errorf("%d logins for three calls two hours apart, want 3", n)
	}
}

func TestLostAnswerIsFoundByItsOrder(t *testing.T) {
	p := open(t, sim.Fault{Kind: sim.LostAnswer})
	r := order("a", "b")
	if _, err := p.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.Ambiguous {
		t.Fatalf("Create whose answer was lost: error %v, want Ambiguous", err)
	}
	p.clock.Advance(30 * time.Second)
	if found, err := p.driver.List(t.Context(), r.Tags); err != nil || len(found) != 2 {
		t.Errorf("after the lag: %v, error %v, want two machines", found, err)
	}
}

// request is the body of a Create that a scripted cloud took.
type request struct {
	Server struct {
		Tags     []string          `json:"tags"`
		Metadata map[string]string `json:"metadata"`
		UserData string            `json:"user_data"`
		Networks any               `json:"networks"`
		KeyName  string            `json:"key_name"`
		Image    *string           `json:"imageRef"`
		Min      int               `json:"min_count"`
		Max      int               `json:"max_count"`
		Reserve  bool              `json:"return_reservation_id"`
		Drive    bool              `json:"config_drive"`
		Blocks   []map[string]any  `json:"block_device_mapping_v2"`
	} `json:"server"`
	Hints map[string]any `json:"os:scheduler_hints"`
}

// ask sends one Create to a scripted cloud and tells what arrived.
func ask(t *testing.T, r cloud.CreateRequest, change func(*openstack.Options)) (got request) {
	t.Helper()
	d := scripted(t, change, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"server":{"id":"s1"}}`)
	})
	if _, err := d.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRequest(t *testing.T) {
	const group, network = "6fb6d5e6-9c1a-4cbb-b3ba-3a4c2f1a0f0e", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	r := order("a", "b")
	r.Tags[cloud.TagPool] = "web"
	r.Tags[cloud.TagProfile] = strings.Repeat("f", 64)
	got := ask(t, r, func(o *openstack.Options) {
		o.ServerGroup, o.Networks, o.KeyName, o.VolumeGB = group, []string{network}, "ops", 40
	})
	s := &got.Server
	if want := []string{"spillway-cluster=c", "spillway-order=o-a", "spillway-pool=web"}; !slices.Equal(s.Tags, want) {
		t.Errorf("server tags %q, want %q", s.Tags, want)
	}
	for k, v := range r.Tags {
		if s.Metadata[k] != v {
			t.Errorf("metadata %s is %q, want %q", k, s.Metadata[k], v)
		}
	}
	if s.Min != 1 || s.Max != 2 || !s.Reserve || !s.Drive || s.KeyName != "ops" {
		t.Errorf("request %+v: want 1 to 2 machines by reservation with a config drive and a key", s)
	}
	if fmt.Sprint(s.Networks) != "[map[uuid:"+network+"]]" || got.Hints["group"] != group {
		t.Errorf("networks %v, hints %v", s.Networks, got.Hints)
	}
	if len(s.Blocks) != 1 || s.Blocks[0]["volume_size"] != 40.0 || s.Blocks[0]["delete_on_termination"] != true {
		t.Errorf("block devices %v, want one volume of 40 GB that goes with its machine", s.Blocks)
	}
}

// TestUserDataThatLooksEncoded: what is base64 by chance is not taken for it.
func TestUserDataThatLooksEncoded(t *testing.T) {
	for _, text := range []string{"cmVib290", "#!/bin/sh\n", "abcd", "\xff\x00"} {
		r := order("a")
		r.UserData = []byte(text)
		got := ask(t, r, nil).Server.UserData
		if plain, err := base64.StdEncoding.DecodeString(got); err != nil || string(plain) != text {
			t.Errorf("user data %q arrives as %q", text, plain)
		}
	}
}

func TestTagThatDoesNotFitIsLeftToMetadata(t *testing.T) {
	r := order("a")
	r.Tags[cloud.TagCluster] = strings.Repeat("x", 100)
	r.Tags[cloud.TagPool] = "a/b"
	if got := ask(t, r, nil).Server.Tags; !slices.Equal(got, []string{"spillway-order=o-a"}) {
		t.Errorf("server tags %q, want that of the order alone", got)
	}
	p := open(t)
	if _, err := p.driver.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p.clock.Advance(time.Minute)
	if found, err := p.driver.List(t.Context(), r.Tags); err != nil || len(found) != 1 {
		t.Errorf("List: %v, error %v, want the machine", found, err)
	}
	r.Tags[cloud.TagPool] = strings.Repeat("x", 256)
	if _, err := p.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("tag of 256 characters: error %v, want Invalid", err)
	}
}

func TestOfferings(t *testing.T) {
	p := open(t)
	all, err := p.driver.Offerings(t.Context())
	if err != nil || len(all) != 6 {
		t.Fatalf("%d offerings, error %v, want three flavors in two zones", len(all), err)
	}
	i := slices.IndexFunc(all, func(o cloud.Offering) bool { return o.Type == "large" && o.Zone == "az2" })
	want := cloud.Offering{Type: "large", Zone: "az2", CPU: 8, Memory: 16 << 30, Units: 7, Arch: "amd64", Available: true}
	if diff := cmp.Diff(want, all[max(i, 0)]); diff != "" {
		t.Errorf("offering (-want +got):\n%s", diff)
	}
}
