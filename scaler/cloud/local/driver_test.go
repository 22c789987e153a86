package local_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/local"
)

var bg = context.Background()

func list(t *testing.T, d *local.Driver) []cloud.Machine {
	t.Helper()
	ms, err := d.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// remove deletes until the machine is not found.
func remove(t *testing.T, d *local.Driver, id string) {
	t.Helper()
	if err := d.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), id); cloud.KindOf(err) != cloud.NotFound {
		t.Fatalf("second delete: %v", err)
	}
}

// reachable fails unless the address refuses a connection: nothing listens
// there, but the machine is on the network.
func reachable(t *testing.T, address string) {
	t.Helper()
	await(t, "reach "+address, func() error {
		c, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext(t.Context(), "tcp", address+":9")
		if err == nil {
			return c.Close()
		}
		if errors.Is(err, unix.ECONNREFUSED) {
			return nil
		}
		return err
	})
}

func state(t *testing.T, d *local.Driver, id string) cloud.Machine {
	t.Helper()
	for _, m := range list(t, d) {
		if m.ID == id {
			return m
		}
	}
	return cloud.Machine{}
}

func TestATokenNamesOneBatch(t *testing.T) {
	d := newDriver(t, idle(newRoot(t)))
	first := create(t, d, request("batch", "a", 2))
	second := create(t, d, request("batch", "a", 2))
	for i := range first {
		if first[i].ID != second[i].ID || first[i].Address != second[i].Address {
			t.Errorf("machine %d was %v, is %v", i, first[i], second[i])
		}
	}
	_, err := d.Create(t.Context(), request("batch", "b", 2))
	if cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("the token with another request: %v", err)
	}
	if got := list(t, d); len(got) != 2 {
		t.Errorf("listed %v", got)
	}
}

func TestOneTokenFromSeveralDriversAtOnceIsOneBatch(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	var wg sync.WaitGroup
	for range 3 {
		d := newDriver(t, idle(root))
		wg.Go(func() {
			ms, err := d.Create(t.Context(), request("batch", "a", 2))
			if err != nil || len(ms) != 2 {
				t.Errorf("got %v, %v", ms, err)
			}
		})
	}
	wg.Wait()
	if got := list(t, newDriver(t, idle(root))); len(got) != 2 {
		t.Errorf("listed %v", got)
	}
}

func TestStockAndQuotaBoundWhatIsMade(t *testing.T) {
	o := idle(newRoot(t))
	o.Stock = map[string]int{"a": 2, "small/b": 0}
	o.Machines = 3
	d := newDriver(t, o)
	if got := create(t, d, request("one", "a", 3)); len(got) != 2 {
		t.Errorf("a zone with two gave %v", got)
	}
	for name, tt := range map[string]struct {
		zone string
		want cloud.Kind
	}{
		"zone sold out": {"a", cloud.NoCapacity}, "kind sold out": {"b", cloud.NoCapacity}, "unknown zone": {"c", cloud.Invalid},
	} {
		if _, err := d.Create(t.Context(), request("x-"+tt.zone, tt.zone, 1)); cloud.KindOf(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	offers, err := d.Offerings(t.Context())
	if err != nil || slices.ContainsFunc(offers, func(f cloud.Offering) bool { return f.Available || f.Reason == "" }) {
		t.Errorf("offered %v, %v", offers, err)
	}
	o.Stock, o.Machines = nil, 2
	if _, err := newDriver(t, o).Create(t.Context(), request("more", "a", 1)); cloud.KindOf(err) != cloud.Quota {
		t.Errorf("beyond the quota: %v", err)
	}
}

func TestStoppingGivesBackStockAndStartingTakesIt(t *testing.T) {
	t.Parallel()
	o := idle(newRoot(t))
	o.Stock = map[string]int{"a": 1}
	d := newDriver(t, o)
	m := create(t, d, request("first", "a", 1))[0]
	if err := d.Stop(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	await(t, "stop", func() error { return errUnless(state(t, d, m.ID).State == cloud.Stopped) })
	other := create(t, d, request("second", "a", 1))[0]
	if err := d.Start(t.Context(), m.ID); cloud.KindOf(err) != cloud.NoCapacity {
		t.Errorf("started without stock: %v", err)
	}
	remove(t, d, other.ID)
	if err := d.Start(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if got := state(t, d, m.ID); got.State != cloud.Running || got.Address != m.Address {
		t.Errorf("got %v", got)
	}
}

func TestAMachineWhoseInitIsKilledHasFailed(t *testing.T) {
	t.Parallel()
	d := newDriver(t, idle(newRoot(t)))
	m := create(t, d, request("failing", "a", 1))[0]
	kill(t, d, m.ID)
	if err := d.Start(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if got := state(t, d, m.ID); got.State != cloud.Running {
		t.Errorf("got %v", got)
	}
}

// kill ends a machine as a loss of power would.
func kill(t *testing.T, d *local.Driver, id string) {
	t.Helper()
	if err := unix.Kill(d.InitPID(id), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "end", func() error { return errUnless(state(t, d, id).State == cloud.Failed) })
}

func TestListTakesTags(t *testing.T) {
	d := newDriver(t, idle(newRoot(t)))
	create(t, d, request("one", "a", 1))
	create(t, d, request("two", "b", 1))
	got, err := d.List(t.Context(), map[string]string{cloud.TagOrder: "two"})
	if err != nil || len(got) != 1 || got[0].Zone != "b" {
		t.Errorf("got %v, %v", got, err)
	}
	if none, err := d.List(t.Context(), map[string]string{"other": ""}); err != nil || len(none) != 0 {
		t.Errorf("a tag nobody has: %v, %v", none, err)
	}
}

func TestDeleteOfWhatIsNoMachine(t *testing.T) {
	d := newDriver(t, idle(newRoot(t)))
	for _, id := range []string{"", ".", "..", "../machines", "a/b", "nothing", ".new-x"} {
		if err := d.Delete(t.Context(), id); cloud.KindOf(err) != cloud.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestLeftoversNameWhatIsThere(t *testing.T) {
	root := newRoot(t)
	d := newDriver(t, idle(root))
	m := create(t, d, request("seen", "a", 1))[0]
	left, err := local.Leftovers(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"directory ", "process ", "cgroup ", "link ", "mount "} {
		if !slices.ContainsFunc(left, func(s string) bool { return len(s) > len(kind) && s[:len(kind)] == kind }) {
			t.Errorf("no %samong %q", kind, left)
		}
	}
	remove(t, d, m.ID)
	nothingLeft(t, root)
}

func TestRootsThatBeginAtOnceHaveNetworksOfTheirOwn(t *testing.T) {
	var wg sync.WaitGroup
	addresses := make([]string, 5)
	for i := range addresses {
		d := newDriver(t, idle(newRoot(t)))
		wg.Go(func() {
			ms, err := d.Create(t.Context(), request("first", "a", 1))
			if err != nil {
				t.Error(err)
				return
			}
			addresses[i] = ms[0].Address
		})
	}
	wg.Wait()
	slices.Sort(addresses)
	if len(slices.Compact(slices.Clone(addresses))) != len(addresses) {
		t.Errorf("addresses %v", addresses)
	}
}
