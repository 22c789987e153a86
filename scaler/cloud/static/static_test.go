package static_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/static"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// hosts are n hosts in two zones, of two types.
func hosts(n int) []static.Host {
	var all []static.Host
	for i := range n {
		all = append(all, static.Host{
			ID: fmt.Sprintf("host-%02d", n-i), Address: fmt.Sprintf("192.0.2.%d", i+1), Zone: []string{"rack-1", "rack-2"}[i*2/n],
			CPU: 4, Memory: 8 << 30, Labels: map[string]string{"idc": "home", "rack": fmt.Sprint(i)},
		})
	}
	return all
}

func open(t *testing.T, file string, n int) *static.Driver {
	t.Helper()
	d, err := static.New(static.Options{Hosts: hosts(n), File: file, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriverPassesTheSuite(t *testing.T) {
	for name, path := range map[string]func(t *testing.T) string{
		"in memory": func(*testing.T) string { return "" },
		"in a file": func(t *testing.T) string { return filepath.Join(t.TempDir(), "deep", "static.json") },
	} {
		t.Run(name, func(t *testing.T) {
			cloudtest.Run(t, cloudtest.Setup{
				New:  func(t *testing.T) cloudtest.Account { return cloudtest.Account{Driver: open(t, path(t), 24)} },
				Many: 12,
			})
		})
	}
}

func request(token string, n int) cloud.CreateRequest {
	r := cloud.CreateRequest{
		Token: token, Type: "4c-8192m", Zone: "rack-1", Count: n,
		Tags: map[string]string{cloud.TagCluster: "test", cloud.TagOrder: token},
	}
	for i := range n {
		r.Names = append(r.Names, fmt.Sprintf("%s-%d", token, i))
	}
	return r
}

func create(t *testing.T, d cloud.Driver, r cloud.CreateRequest) []string {
	t.Helper()
	made, err := d.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return ids(made)
}

func ids(machines []cloud.Machine) []string {
	var all []string
	for _, m := range machines {
		all = append(all, m.ID)
	}
	return all
}

func TestHostsAreHandedOutInTheOrderOfTheConfiguration(t *testing.T) {
	d := open(t, "", 8)
	if diff := cmp.Diff([]string{"host-08", "host-07"}, create(t, d, request("a", 2))); diff != "" {
		t.Errorf("first batch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"host-06", "host-05"}, create(t, d, request("b", 3))); diff != "" {
		t.Errorf("second batch, of which two are left in the zone (-want +got):\n%s", diff)
	}
	_, err := d.Create(t.Context(), request("c", 1))
	if cloud.KindOf(err) != cloud.NoCapacity {
		t.Errorf("no host is left, error %v", err)
	}
	if err := d.Delete(t.Context(), "host-07"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"host-07"}, create(t, d, request("c", 1))); diff != "" {
		t.Errorf("after one was given back (-want +got):\n%s", diff)
	}
}

func TestMachineIsItsHost(t *testing.T) {
	d := open(t, "", 8)
	made, err := d.Create(t.Context(), request("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := []cloud.Machine{{
		ID: "host-08", Name: "a-0", Type: "4c-8192m", Zone: "rack-1", State: cloud.Running, Address: "192.0.2.1", Created: start,
		Tags: map[string]string{"idc": "home", "rack": "0", cloud.TagCluster: "test", cloud.TagOrder: "a"},
	}}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
}

func TestOfferingsSayWhatIsFree(t *testing.T) {
	d := open(t, "", 4)
	create(t, d, request("a", 2))
	got, err := d.Offerings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := cloud.Offering{Type: "4c-8192m", Zone: "rack-1", CPU: 4, Memory: 8 << 30, Units: 4, Arch: "amd64", Reason: "every host is in use"}
	free := o
	free.Zone, free.Available, free.Reason = "rack-2", true, ""
	if diff := cmp.Diff([]cloud.Offering{o, free}, got); diff != "" {
		t.Errorf("offerings (-want +got):\n%s", diff)
	}
}

func TestAssignmentsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "static.json")
	first := open(t, path, 8)
	create(t, first, request("a", 2))
	if err := first.Delete(t.Context(), "host-08"); err != nil {
		t.Fatal(err)
	}
	second := open(t, path, 8)
	found, err := second.List(t.Context(), map[string]string{cloud.TagOrder: "a"})
	if err != nil || len(found) != 1 || found[0].ID != "host-07" {
		t.Errorf("after a restart %v is handed out, error %v; want host-07", ids(found), err)
	}
	if diff := cmp.Diff([]string{"host-07"}, create(t, second, request("a", 2))); diff != "" {
		t.Errorf("the token after a restart (-want +got):\n%s", diff)
	}
}

// Two drivers on one file, as an old leader and a new one on one computer, give
// no host to two orders.
func TestProcessesShareTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "static.json")
	drivers := []*static.Driver{open(t, path, 16), open(t, path, 16)}
	var wg sync.WaitGroup
	got := make([][]cloud.Machine, 8)
	for i := range got {
		wg.Go(func() { got[i], _ = drivers[i%2].Create(t.Context(), request(fmt.Sprint("order-", i), 1)) })
	}
	wg.Wait()
	owner := map[string]int{}
	for i, machines := range got {
		for _, m := range machines {
			if other, taken := owner[m.ID]; taken {
				t.Errorf("orders %d and %d both got %s", i, other, m.ID)
			}
			owner[m.ID] = i
		}
	}
	if len(owner) != 8 {
		t.Errorf("%d of 8 orders got a host", len(owner))
	}
}

func TestHostTakenOutOfTheConfigurationKeepsItsAssignment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "static.json")
	create(t, open(t, path, 8), request("a", 1)) // host-08
	smaller := open(t, path, 4)
	found, err := smaller.List(t.Context(), nil)
	if err != nil || len(found) != 0 {
		t.Errorf("listed %v, error %v; want none", ids(found), err)
	}
	if err := smaller.Delete(t.Context(), "host-08"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("Delete of a host that is not configured: %v", err)
	}
	if found, _ := open(t, path, 8).List(t.Context(), nil); len(found) != 1 {
		t.Errorf("back in the configuration, %v is handed out, want host-08", ids(found))
	}
}

func TestAdoptTakesOverWhatRecordsSay(t *testing.T) {
	d := open(t, "", 8)
	create(t, d, request("a", 1)) // host-08
	tags := map[string]string{cloud.TagCluster: "test", cloud.TagOrder: "old"}
	err := d.Adopt(t.Context(), []cloud.Machine{
		{ID: "host-07", Name: "old-0", Tags: tags}, {ID: "host-08", Name: "old-1", Tags: tags}, {ID: "i-of-a-cloud", Tags: tags},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"host-06"}, create(t, d, request("b", 1))); diff != "" {
		t.Errorf("the next free host (-want +got):\n%s", diff)
	}
	found, _ := d.List(t.Context(), map[string]string{cloud.TagOrder: "old"})
	if diff := cmp.Diff([]string{"host-07"}, ids(found)); diff != "" {
		t.Errorf("adopted, of hosts that were not handed out here (-want +got):\n%s", diff)
	}
}

func TestDamagedFileIsNoFreeHosts(t *testing.T) {
	for name, text := range map[string]string{
		"cut short": `{"format":1,"assigned":{"host-`, "empty": "", "another format": `{"format":2,"assigned":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "static.json")
			d := open(t, path, 8)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Create(t.Context(), request("a", 1)); cloud.KindOf(err) != cloud.Transient || err == nil {
				t.Errorf("Create: error %v, want none but of kind transient", err)
			}
			if _, err := static.New(static.Options{Hosts: hosts(8), File: path}); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("New: error %v, want one that names the file", err)
			}
			if b, _ := os.ReadFile(path); string(b) != text {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func TestFailedWriteChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "static.json")
	d := open(t, path, 8)
	create(t, d, request("a", 1))
	if err := os.Mkdir(path+".new", 0o700); err != nil { // where the new file would be written
		t.Fatal(err)
	}
	if _, err := d.Create(t.Context(), request("b", 1)); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("Create: error %v, want kind transient", err)
	}
	if err := d.Delete(t.Context(), "host-08"); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("Delete: error %v, want kind transient", err)
	}
	found, err := d.List(t.Context(), nil)
	if diff := cmp.Diff([]string{"host-08"}, ids(found)); err != nil || diff != "" {
		t.Errorf("handed out, error %v (-want +got):\n%s", err, diff)
	}
}

func TestNewRefusesHosts(t *testing.T) {
	good := hosts(1)[0]
	for want, spoil := range map[string]func(h *static.Host){
		"it needs an id and an address": func(h *static.Host) { h.ID = "" },
		"needs an id and an address":    func(h *static.Host) { h.Address = "" },
		"it needs cpu and memory":       func(h *static.Host) { h.CPU = 0 },
		"needs cpu and memory":          func(h *static.Host) { h.Memory = 0 },
		"it is listed twice":            func(h *static.Host) { h.ID = good.ID },
		"is another host's":             func(h *static.Host) { h.Address = good.Address },
		"and of another size":           func(h *static.Host) { h.Type, h.CPU = "4c-8192m", 5 },
	} {
		h := good
		h.ID, h.Address = "other", "192.0.2.200"
		spoil(&h)
		if _, err := static.New(static.Options{Hosts: []static.Host{good, h}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
