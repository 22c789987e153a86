package dump

import (
	"context"
	"sync"
	"time"
)

// Writer saves snapshots in the background. Of several for one path only the
// newest is written. A write that fails is tried again until it succeeds or a
// newer one comes.
type Writer struct {
	// Pause is the least time between two writes of one path, RetryAfter that
	// between two tries. They may be changed before Run.
	Pause, RetryAfter time.Duration

	saved func(path string, s *Snapshot, err error)
	save  func(path string, s *Snapshot) error

	mu      sync.Mutex
	pending map[string]*Snapshot
	notYet  map[string]time.Time
	kick    chan struct{}
}

// NewWriter returns a writer that calls saved after each try, on its
// goroutine.
func NewWriter(saved func(path string, s *Snapshot, err error)) *Writer {
	return &Writer{
		Pause: time.Second, RetryAfter: 5 * time.Second, saved: saved, save: Save,
		pending: map[string]*Snapshot{}, notYet: map[string]time.Time{}, kick: make(chan struct{}, 1),
	}
}

// Put queues s, which must not change any more, for path. It never blocks.
func (w *Writer) Put(path string, s *Snapshot) {
	w.mu.Lock()
	w.pending[path] = s
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, then writes what is still queued once.
func (w *Writer) Run(ctx context.Context) {
	for {
		next := w.round(time.Now(), false)
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-ctx.Done():
			w.round(time.Now(), true)
			return
		case <-w.kick:
		case <-timer:
		}
	}
}

// round writes what is due and returns when the next is, 0 for none.
func (w *Writer) round(now time.Time, all bool) (next time.Duration) {
	for path, s := range w.due(now, all) {
		err := w.save(path, s)
		w.done(path, s, err)
		w.saved(path, s, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for path := range w.pending {
		if d := max(time.Millisecond, time.Until(w.notYet[path])); next == 0 || d < next {
			next = d
		}
	}
	for path, t := range w.notYet {
		if w.pending[path] == nil && now.After(t) {
			delete(w.notYet, path)
		}
	}
	return next
}

// due takes what may be written now.
func (w *Writer) due(now time.Time, all bool) map[string]*Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	due := map[string]*Snapshot{}
	for path, s := range w.pending {
		if all || !now.Before(w.notYet[path]) {
			due[path] = s
			delete(w.pending, path)
		}
	}
	return due
}

func (w *Writer) done(path string, s *Snapshot, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.notYet[path] = time.Now().Add(w.Pause)
		return
	}
	w.notYet[path] = time.Now().Add(w.RetryAfter)
	if w.pending[path] == nil {
		w.pending[path] = s
	}
}
