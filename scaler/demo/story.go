package demo

import (
	"fmt"
	"io"
	"os"
	"time"

	"spillway/bench/report"
)

// moment is what was seen at one instant.
type moment struct {
	at      float64 // seconds since the load began
	wanted  float64 // units
	booting float64
	ready   float64
	traffic int    // servers that get requests
	rented  int    // machines that cost money
	states  string // of machines, for the text
}

// story is everything that was seen.
type story struct {
	moments []moment
	events  []report.Event
	lead    time.Duration // measured p90, from order to first request served
	leads   leads
	cost    float64
	drained bool // all rented machines were given back while load went on
	left    []string
}

func (s *story) add(m moment) {
	if n := len(s.moments); n > 0 {
		s.mark(&s.moments[n-1], &m)
	}
	s.moments = append(s.moments, m)
}

// mark turns changes into events of the timeline, one for each kind of turn.
func (s *story) mark(was, is *moment) {
	switch {
	case is.rented > was.rented && was.rented == 0:
		s.event(is.at, "first order")
	case is.rented == 0 && was.rented > 0:
		s.event(is.at, "all given back")
	}
	if is.traffic > 1 && s.most() <= 1 {
		s.event(is.at, "first new server")
	}
}

// most servers in traffic so far.
func (s *story) most() (n int) {
	for i := range s.moments {
		n = max(n, s.moments[i].traffic)
	}
	return n
}

func (s *story) event(at float64, text string) {
	s.events = append(s.events, report.Event{At: at, Text: text})
}

// charts are what the scaler and the gateway showed over time.
func (s *story) charts() []report.Watched {
	line := func(name string, value func(*moment) float64) report.Line {
		l := report.Line{Name: name}
		for i := range s.moments {
			l.Points = append(l.Points, [2]float64{s.moments[i].at, value(&s.moments[i])})
		}
		return l
	}
	return []report.Watched{
		{Title: "Capacity", Unit: "Units of capacity (cores)", Lines: []report.Line{
			line("wanted", func(m *moment) float64 { return m.wanted }),
			line("booting", func(m *moment) float64 { return m.booting }),
			line("ready", func(m *moment) float64 { return m.ready }),
		}},
		{Title: "Servers", Unit: "Machines and servers", Lines: []report.Line{
			line("rented machines", func(m *moment) float64 { return float64(m.rented) }),
			line("servers in traffic", func(m *moment) float64 { return float64(m.traffic) }),
		}},
	}
}

// textEvery is how many seconds of the timeline one line of text stands for.
const textEvery = 5

// write prints the timeline.
func (s *story) write(out io.Writer, r *report.Report) {
	fmt.Fprintf(out, "\n%6s %9s %9s %7s %10s %10s | %7s %8s %6s %8s %7s  %s\n",
		"second", "planned/s", "answer/s", "failed", "p50", "p95", "wanted", "booting", "ready", "traffic", "rented", "machines")
	for i := 0; i < len(r.Timeline); i += textEvery {
		t := &r.Timeline[i]
		m := s.near(t.At)
		fmt.Fprintf(out, "%6.0f %9.0f %9d %7d %10s %10s | %7.2f %8.2f %6.2f %8d %7d  %s\n", t.At, t.Planned, t.Answered, failed(r, i), report.Micros(t.P50), report.Micros(t.P95),
			m.wanted, m.booting, m.ready, m.traffic, m.rented, m.states)
	}
	for _, e := range r.Events {
		fmt.Fprintf(out, "%6.1f s  %s\n", e.At, e.Text)
	}
	s.leads.write(out)
}

// failed sums the seconds that a line of text stands for.
func failed(r *report.Report, from int) (n uint64) {
	for i := from; i < min(from+textEvery, len(r.Timeline)); i++ {
		n += r.Timeline[i].Errors
	}
	return n
}

// near is the last moment at or before a second.
func (s *story) near(at float64) moment {
	var found moment
	for i := range s.moments {
		if s.moments[i].at > at {
			break
		}
		found = s.moments[i]
	}
	return found
}

func save(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot save %q: %w", path, err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	return f.Close()
}
