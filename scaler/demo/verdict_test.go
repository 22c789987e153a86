package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"spillway/bench/report"
)

// run is a report whose seconds have these p95, in milliseconds.
func run(p95 ...float64) *report.Report {
	r := &report.Report{Requests: 100, Status: map[string]uint64{"200": 100}}
	for i, ms := range p95 {
		r.Timeline = append(r.Timeline, report.Second{At: float64(i), P95: ms * 1000})
	}
	return r
}

func TestTheTimeAboveTheTarget(t *testing.T) {
	for _, tt := range []struct {
		about       string
		p95         []float64
		first, last float64
	}{
		{"never above", []float64{10, 10, 10, 10, 10, 10, 10, 10}, 2, 2},
		{"before the spike does not count", []float64{900, 900, 10, 10, 10, 10, 10, 10}, 2, 2},
		{"above and back", []float64{10, 10, 10, 300, 300, 10, 10, 10, 10, 10, 10}, 3, 5},
		{"a short calm is not back", []float64{10, 10, 300, 10, 10, 300, 10, 10, 10, 10, 10}, 2, 6},
		{"never back", []float64{10, 10, 300, 300, 300, 300, 300}, 2, 7},
	} {
		first, last := violated(run(tt.p95...), 150*time.Millisecond, 2, 100)
		if first != tt.first || last != tt.last {
			t.Errorf("%s: from %g to %g, want %g to %g", tt.about, first, last, tt.first, tt.last)
		}
	}
}

// story that keeps all promises.
func good() *story {
	return &story{
		moments: []moment{{at: 1, traffic: 1}, {at: 2, traffic: 1, rented: 1}, {at: 3, traffic: 3, rented: 2}, {at: 4, traffic: 1}},
		lead:    2 * time.Second, drained: true,
	}
}

func TestEveryPromiseCanBeBroken(t *testing.T) {
	o := Default()
	o.Quiet, o.Rise, o.Hold = 2*time.Second, time.Second, 60*time.Second
	calm := []float64{10, 10, 10, 300, 10, 10, 10, 10, 10, 10}
	if v := judge(&o, run(calm...), good()); v.err() != nil {
		t.Errorf("a good run is refused: %v", v.err())
	}
	long := make([]float64, 40)
	for i := range long {
		long[i] = 300
	}
	for about, broken := range map[string]func(*report.Report, *story) *report.Report{
		"requests failed":  func(r *report.Report, _ *story) *report.Report { r.Errors.Total = 1; return r },
		"answers by":       func(r *report.Report, _ *story) *report.Report { r.Status["503"] = 1; return r },
		"in traffic":       func(r *report.Report, s *story) *report.Report { s.moments = s.moments[:2]; return r },
		"p95 was above":    func(_ *report.Report, _ *story) *report.Report { return run(long...) },
		"given back":       func(r *report.Report, s *story) *report.Report { s.drained = false; return r },
		"left over: a key": func(r *report.Report, s *story) *report.Report { s.left = []string{"a key"}; return r },
	} {
		s := good()
		r := broken(run(calm...), s)
		if err := judge(&o, r, s).err(); err == nil || !strings.Contains(err.Error(), about) {
			t.Errorf("%s: %v", about, err)
		}
	}
}

func TestTheTimelineMarksTurns(t *testing.T) {
	s := &story{}
	for _, m := range good().moments {
		s.add(m)
	}
	var said []string
	for _, e := range s.events {
		said = append(said, e.Text)
	}
	if got := strings.Join(said, ", "); got != "first order, first new server, all given back" {
		t.Errorf("events: %s", got)
	}
	var b bytes.Buffer
	r := run(1, 2, 3)
	r.Events = s.events
	s.write(&b, r)
	if !strings.Contains(b.String(), "all given back") || !strings.Contains(b.String(), "wanted") {
		t.Errorf("the text says:\n%s", b.String())
	}
}

func TestScheduleRisesAndFalls(t *testing.T) {
	o := Default()
	text, total := o.schedule()
	if want := o.Quiet + o.Rise + o.Hold + fall + o.Settle; total != want {
		t.Errorf("%v in all, want %v", total, want)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] != "0,100" || lines[11] != "40,1000" || lines[len(lines)-1] != "105,100" {
		t.Errorf("schedule:\n%s", text)
	}
}
