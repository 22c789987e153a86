package account

import (
	"sync"
	"time"
)

// Peak holds the highest readings of a watch.
type Peak struct {
	RSS, PSS                int64 // bytes
	Processes, Threads, FDs int
}

// Watch reads a process tree while something runs.
type Watch struct {
	pid  int
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	first Usage
	last  Usage
	peak  Peak
	err   error // of the last reading: the process has ended
}

// Start takes a first reading and one more every interval until Stop.
func Start(pid int, interval time.Duration) (*Watch, error) {
	first, err := Read(pid)
	if err != nil {
		return nil, err
	}
	w := &Watch{pid: pid, stop: make(chan struct{}), first: first, last: first}
	w.note(first)
	w.done.Go(func() { w.run(interval) })
	return w, nil
}

func (w *Watch) run(interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.Read()
		}
	}
}

// Read takes a reading now. When the process has ended the last one before is
// kept.
func (w *Watch) Read() Usage {
	u, err := Read(w.pid)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err == nil {
		w.last = u
		w.note(u)
	}
	return w.last
}

// Reset makes what follows count from now; the peaks stay.
func (w *Watch) Reset() {
	u := w.Read()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = u
}

func (w *Watch) note(u Usage) {
	p := &w.peak
	p.RSS, p.PSS = max(p.RSS, u.RSS), max(p.PSS, u.PSS)
	p.Processes, p.Threads, p.FDs = max(p.Processes, u.Processes), max(p.Threads, u.Threads), max(p.FDs, u.FDs)
}

// Stop takes a last reading and returns what was spent and the peaks; err says
// that the process had ended before.
func (w *Watch) Stop() (Spent, Peak, error) {
	close(w.stop)
	w.done.Wait()
	last := w.Read()
	w.mu.Lock()
	defer w.mu.Unlock()
	return last.Since(w.first), w.peak, w.err
}
