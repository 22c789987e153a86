package placement

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReservationsAreTakenFromTheirHost(t *testing.T) {
	hosts := []Host{
		{ID: "h1", CPU: 4, Memory: 100, Link: 10, Line: "bridge", Apps: map[string]int{"web": 1}},
		{ID: "h2", CPU: 4, Memory: 100, Link: 10, Line: "bridge"},
		{ID: "h3", CPU: 4, Memory: 100, Link: 3},
	}
	r := NewReservations(time.Minute)
	ask := Ask{ID: "web-2", App: "web", CPU: 1.5, Memory: 30, PPS: 7, Link: 4, Image: "web:1"}
	r.Reserve(ask, Assignment{Ask: "web-2", Host: "h1", Ports: map[int]int{80: 20000}}, noon)
	r.Reserve(Ask{ID: "x", Link: 5}, Assignment{Ask: "x", Host: "h3"}, noon)
	r.Reserve(Ask{ID: "y"}, Assignment{Ask: "y", Host: "gone"}, noon)
	got := r.Apply(hosts, noon.Add(59*time.Second))
	want := []Host{
		{
			ID: "h1", CPU: 4, Memory: 100, Link: 6, Line: "bridge", UsedCPU: 1.5, UsedMemory: 30, UsedPPS: 7, Containers: 1, Paid: true,
			Apps: map[string]int{"web": 2}, Ports: map[int]bool{20000: true}, Images: map[string]bool{"web:1": true},
		},
		{ID: "h2", CPU: 4, Memory: 100, Link: 6, Line: "bridge"},
		{ID: "h3", CPU: 4, Memory: 100, Containers: 1, Paid: true, Apps: map[string]int{"": 1}, Ports: map[int]bool{}, Images: map[string]bool{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if hosts[0].Apps["web"] != 1 || hosts[0].UsedCPU != 0 {
		t.Errorf("the caller's host was changed: %+v", hosts[0])
	}
}

func TestReservationsEnd(t *testing.T) {
	r := NewReservations(time.Minute)
	host := []Host{{ID: "h"}}
	on := Assignment{Host: "h"}
	r.Reserve(Ask{ID: "a"}, on, noon)
	r.Reserve(Ask{ID: "b"}, on, noon)
	r.Reserve(Ask{ID: "c"}, on, noon)
	if !r.Release("a") || r.Release("a") {
		t.Error("a is released once")
	}
	r.Reserve(Ask{ID: "b"}, on, noon.Add(time.Second)) // again: its time starts anew
	late := noon.Add(time.Minute)
	if n := r.Apply(host, late)[0].Containers; n != 1 {
		t.Errorf("%d reservations count when one has passed, want b alone", n)
	}
	if diff := cmp.Diff([]string{"c"}, r.Expire(late)); diff != "" {
		t.Errorf("expired (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b"}, r.Held()); diff != "" {
		t.Errorf("held (-want +got)\n%s", diff)
	}
}
