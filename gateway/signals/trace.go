package signals

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// traceBacklog is how many seconds wait for a slow disk before some are lost.
const traceBacklog = 16

// Trace writes what upstreams saw to a file, a line of JSON for each upstream
// and second with traffic:
//
//	{"t":1764000000,"u":"web","a":812,"c":810,"e":0,"r":0,"l":9.71,"p50_us":8123,"p95_us":21877,"p99_us":40120}
//
// t is the end of the second (Unix time), a, c, e and r are arrivals,
// completions, errors and refused, l the average in flight, the rest quantiles
// of the latency. When the file has grown to its size it becomes PATH.1, whose
// predecessor is lost. Writing happens on a goroutine of its own, which Close
// ends: a slow disk loses lines and delays nothing.
type Trace struct {
	path string
	max  int64
	log  *slog.Logger

	pending []byte // owned by the goroutine that adds
	lines   chan []byte
	lost    atomic.Uint64
	closing sync.Once
	done    chan struct{}

	file *os.File // owned by the writing goroutine, as is what follows
	size int64
	said bool
}

// OpenTrace appends to the file at path. It is renamed when it has grown to
// max bytes.
func OpenTrace(path string, max int64, log *slog.Logger) (*Trace, error) {
	t := &Trace{path: path, max: max, log: log, lines: make(chan []byte, traceBacklog), done: make(chan struct{})}
	if err := t.open(); err != nil {
		return nil, err
	}
	go t.run()
	return t, nil
}

func (t *Trace) open() error {
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open trace: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("cannot open trace: %w", err)
	}
	t.file, t.size = f, st.Size()
	return nil
}

// Lost is how many seconds were not written.
func (t *Trace) Lost() uint64 { return t.lost.Load() }

// Close writes what is waiting and closes the file. Nothing may be added any
// more.
func (t *Trace) Close() error {
	t.closing.Do(func() { close(t.lines) })
	<-t.done
	if t.file == nil {
		return nil
	}
	if err := t.file.Close(); err != nil {
		return fmt.Errorf("cannot close trace: %w", err)
	}
	t.file = nil
	return nil
}

// add puts a second behind those that flush will pass on.
func (t *Trace) add(name string, s *Second) {
	b := append(t.pending, `{"t":`...)
	b = strconv.AppendInt(b, s.T, 10)
	b = append(b, `,"u":`...)
	b = appendString(b, name)
	b = appendCounts(b, s)
	for _, q := range [...]struct {
		key string
		q   float64
	}{{`,"p50_us":`, 0.5}, {`,"p95_us":`, 0.95}, {`,"p99_us":`, 0.99}} {
		b = append(b, q.key...)
		b = strconv.AppendInt(b, int64(s.Quantile(q.q)), 10)
	}
	t.pending = append(b, "}\n"...)
}

// flush hands what was added to the writing goroutine.
func (t *Trace) flush() {
	if len(t.pending) == 0 {
		return
	}
	select {
	case t.lines <- t.pending:
		t.pending = nil
	default:
		t.lost.Add(1)
		t.pending = t.pending[:0]
	}
}

func (t *Trace) run() {
	defer close(t.done)
	for b := range t.lines {
		if err := t.write(b); err != nil {
			t.lost.Add(1)
			if !t.said {
				t.log.Error("cannot write trace; further failures are not logged", "error", err)
			}
			t.said = true
		}
	}
}

func (t *Trace) write(b []byte) error {
	if t.size > 0 && t.size+int64(len(b)) > t.max {
		t.rotate()
	}
	if t.file == nil {
		if err := t.open(); err != nil {
			return err
		}
	}
	n, err := t.file.Write(b)
	t.size += int64(n)
	return err
}

// rotate starts a new file. If the old one cannot be renamed it is written on.
func (t *Trace) rotate() {
	t.file.Close()
	t.file = nil
	if err := os.Rename(t.path, t.path+".1"); err != nil {
		t.log.Error("cannot rotate trace", "error", err)
		t.size = 0 // try again when as much was written again
	}
}
