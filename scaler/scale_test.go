package scaler

import (
	"testing"
	"time"
)

func TestLoadBuysCapacityAndGivesItBack(t *testing.T) {
	w := newWorld(t, spike)
	w.run(90 * time.Second)
	t.Log(w.summary())
	if got := len(w.gates.serving); got < 1 {
		t.Fatalf("%d servers in rotation before the spike", got)
	}
	w.run(5 * time.Minute)
	t.Log(w.summary())
	if got := len(w.gates.serving); got < 8 {
		t.Errorf("%d servers in rotation in the spike, want at least 8", got)
	}
	w.run(15 * time.Minute)
	t.Log(w.summary())
	if got := len(w.cloud.Running()); got != 0 {
		t.Errorf("%d rented machines are left", got)
		for _, m := range w.control.book.machines.all() {
			t.Logf("%+v", m)
		}
	}
	if t.Failed() {
		for _, e := range w.events {
			t.Log(e)
		}
	}
}

func (w *world) summary() map[string]any {
	states := map[string]any{"serving": len(w.gates.serving), "rented": len(w.cloud.Running()), "starved": w.gates.starved}
	for _, m := range w.control.book.machines.all() {
		n, _ := states["machine "+string(m.State)].(int)
		states["machine "+string(m.State)] = n + 1
	}
	for _, i := range w.control.book.instances.all() {
		n, _ := states["instance "+string(i.State)].(int)
		states["instance "+string(i.State)] = n + 1
	}
	d := w.control.mem.last["web"]
	states["want"] = d.Want
	states["have"] = d.Have
	states["winner"] = d.Winner
	if r := w.control.seenW.rejects["web"]; r != nil {
		states["why"] = r.Reasons
	}
	return states
}
