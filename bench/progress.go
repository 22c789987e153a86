package bench

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"spillway/bench/load"
	"spillway/bench/report"
)

// progress shows a run on one line that is written over every second. On
// anything but a terminal it stays silent.
type progress struct {
	out   io.Writer // nil: silent
	total time.Duration
	label string

	mu     sync.Mutex
	errors uint64
	shown  bool
}

func newProgress(w io.Writer, total time.Duration, quiet bool) *progress {
	p := &progress{total: total}
	if f, ok := w.(*os.File); ok && !quiet && isTerminal(f) {
		p.out = w
	}
	return p
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && st.Mode()&os.ModeDevice != 0
}

// second is told of each second as it ends.
func (p *progress) second(s load.Second) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors += s.Errors
	p.shown = true
	fmt.Fprintf(p.out, "\r\x1b[K%s%s", p.label, line(&s, p.errors, p.total))
}

func line(s *load.Second, errors uint64, total time.Duration) string {
	return fmt.Sprintf("%ds/%.0fs  %d/s  p50 %s  p99 %s  errors %d", s.Index+1, total.Seconds(), s.Answered,
		report.Micros(float64(s.P50)/1e3), report.Micros(float64(s.P99)/1e3), errors)
}

// end clears the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
