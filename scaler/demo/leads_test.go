package demo

import (
	"strings"
	"testing"
	"time"

	"spillway/scaler/fleet"
)

func TestLeadTimesAreKeptOfMachinesThatAreGone(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stage := func(name string, after int) fleet.Stage {
		return fleet.Stage{Name: name, At: begin.Add(time.Duration(after) * time.Second)}
	}
	var l leads
	for n, id := range []string{"rented-1", "rented-2", "rented-3"} {
		r := &records{machines: map[string]fleet.Machine{
			id:        {ID: id, Stages: []fleet.Stage{stage("decided", 0), stage("ready", 4+n)}},
			"owned-1": {ID: "owned-1", Owned: true, Stages: []fleet.Stage{stage("decided", 0)}},
		}}
		l.learn(r)
		r.instances = map[string]fleet.Instance{
			"web-1": {Machine: id, Healthy: begin.Add(time.Duration(6+n) * time.Second), FirstRequest: begin.Add(time.Duration(7+n) * time.Second)},
			"web-0": {Machine: "owned-1", Healthy: begin},
		}
		l.learn(r)
		// Another container on the machine later does not change what was measured.
		r.instances = map[string]fleet.Instance{"web-9": {Machine: id, FirstRequest: begin.Add(time.Hour)}}
		l.learn(r)
	}
	if want := "lead time from decision to first request: median 8.0 s, p90 9.0 s (3 machines)"; l.sentence() != want {
		t.Errorf("%q, want %q", l.sentence(), want)
	}
	var text strings.Builder
	l.write(&text)
	if lines := strings.Count(text.String(), "\n"); lines != 1+1+3+2 {
		t.Errorf("%d lines:\n%s", lines, text.String())
	}
	if strings.Contains(text.String(), "owned") {
		t.Errorf("the owned machine was not bought:\n%s", text.String())
	}
	if got := (leads{}).sentence(); got != "no lead time was measured" {
		t.Errorf("without machines: %q", got)
	}
}
