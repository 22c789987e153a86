package docker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The breaker against a model of its picture.
func TestBreakerKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &breaker{trip: 3, first: time.Second, limit: 4 * time.Second}
		now := time.Unix(0, 0)
		failures, trying := 0, false
		boom := errors.New("boom")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			open := failures >= b.trip
			trial, err := b.allow(now)
			if !open && (err != nil || trial) {
				t.Fatalf("closed, but allow is %t, %v", trial, err)
			}
			if open && err == nil && (!trial || trying || now.Before(b.until)) {
				t.Fatalf("open, but a call may be made at %v, %v before its time", now, b.until.Sub(now))
			}
			if err != nil {
				if !open {
					t.Fatal("refused while closed")
				}
				continue
			}
			trying = trial
			v := verdict(rapid.IntRange(0, 2).Draw(t, "verdict"))
			b.done(now, trial, v, boom)
			trying = false
			switch v {
			case alive:
				failures = 0
			case dead:
				failures++
			}
			if failures >= b.trip && v == dead && (b.pause < b.first || b.pause > b.limit || !b.until.Equal(now.Add(b.pause))) {
				t.Fatalf("pause is %v until %v", b.pause, b.until)
			}
		}
	})
}

func TestHashIsOfAllButItsLabel(t *testing.T) {
	s := Spec{Name: "a", Image: "b", Labels: map[string]string{LabelApp: "x"}}
	h := Hash(s)
	s.Labels[LabelHash] = h
	if Hash(s) != h {
		t.Error("the hash's own label counts")
	}
	seen := map[string]bool{h: true}
	for _, change := range []func(*Spec){
		func(s *Spec) { s.Image = "c" }, func(s *Spec) { s.Command = []string{"x"} }, func(s *Spec) { s.Env = []string{"A=1"} },
		func(s *Spec) { s.CPU = 1 }, func(s *Spec) { s.Memory = 1 }, func(s *Spec) { s.PIDs = 1 }, func(s *Spec) { s.Network = "host" },
		func(s *Spec) { s.Ports = map[int]int{1: 2} }, func(s *Spec) { s.Address = "10.0.0.1" }, func(s *Spec) { s.User = "1" },
		func(s *Spec) { s.CapDrop = []string{"ALL"} }, func(s *Spec) { s.Stop = 1 }, func(s *Spec) { s.Restart = true },
		func(s *Spec) { s.ReadOnly = true }, func(s *Spec) { s.Labels = nil },
	} {
		c := s
		change(&c)
		if seen[Hash(c)] {
			t.Errorf("same hash for %+v", c)
		}
		seen[Hash(c)] = true
	}
}

func TestExitCodeOfAStatus(t *testing.T) {
	for status, want := range map[string]int{
		"Exited (137) 2 minutes ago": 137, "Exited (0) 1 second ago": 0, "Up 3 minutes (healthy)": 0,
		"Restarting (1) 5 seconds ago": 1, "Created": 0, "": 0, "Exited (": 0,
	} {
		if got := exitCode(status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}

func TestStatsAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		memory int64
	}{
		"cgroup v1": {`{"memory_stats":{"usage":100,"limit":500,"stats":{"total_inactive_file":30,"inactive_file":10}}}`, 70},
		"cgroup v2": {`{"memory_stats":{"usage":100,"limit":500,"stats":{"inactive_file":10}}}`, 90},
		"nonsense":  {`{"memory_stats":{"usage":100,"limit":500,"stats":{"inactive_file":1000}}}`, 100},
	} {
		s, err := readStats(strings.NewReader(test.text))
		if err != nil || s.Memory != test.memory || s.MemoryLimit != 500 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := readStats(strings.NewReader("{")); err == nil {
		t.Error("half an answer is taken")
	}
}
