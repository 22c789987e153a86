package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// flushInterval is how long a line may wait before it is written.
// closePatience bounds Close when the file takes nothing, as a pipe nobody
// reads.
const (
	flushInterval = 100 * time.Millisecond
	closePatience = 2 * time.Second
)

// Logger writes the lines of all loops to one file. Its goroutine, started by
// Open and ended by Close, is the only one that touches the file.
type Logger struct {
	path    string
	buffers []*Buffer

	dirty  chan struct{} // a ring got its first line
	full   chan struct{} // a ring is half full
	asks   chan ask      // reopen and flush, served between writes
	quit   chan struct{}
	done   chan struct{}
	closed sync.Once

	file   output // owned by run
	out    []byte // owned by run: what is about to be written
	torn   bool   // owned by run: the file ends in the middle of a line
	lost   atomic.Uint64
	errors atomic.Uint64
}

// output is a file as far as a Logger uses it.
type output interface {
	io.Writer
	io.Closer
}

// ask is something another goroutine wants done between two writes.
type ask struct {
	reopen bool
	answer chan error
}

// Open starts a logger that appends to the file at path, made with mode 0644
// if there is none. "-" and "/dev/stdout" are standard output, "/dev/stderr"
// standard error. loops is how many Buffers it has.
func Open(path string, f *Format, loops int) (*Logger, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return start(path, f, loops, file), nil
}

func start(path string, f *Format, loops int, file output) *Logger {
	l := &Logger{
		path: path, file: file,
		dirty: make(chan struct{}, 1), full: make(chan struct{}, 1), asks: make(chan ask),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	for range loops {
		l.buffers = append(l.buffers, &Buffer{log: l, render: renderer{format: f}, line: make([]byte, 0, 1024)})
	}
	go l.run()
	return l
}

func openFile(path string) (output, error) {
	switch path {
	case "-", "/dev/stdout":
		return standard{os.Stdout}, nil
	case "/dev/stderr":
		return standard{os.Stderr}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open access log %q: %w", path, err)
	}
	return f, nil
}

// standard is a standard stream: reopening must not close it.
type standard struct{ io.Writer }

func (standard) Close() error { return nil }

// Loop returns the buffer of loop i, from 0.
func (l *Logger) Loop(i int) *Buffer { return l.buffers[i] }

// Dropped is how many lines were lost, because a ring was full or the file
// took no more.
func (l *Logger) Dropped() uint64 {
	n := l.lost.Load()
	for _, b := range l.buffers {
		n += b.dropped.Load()
	}
	return n
}

// WriteErrors is how many writes to the file failed.
func (l *Logger) WriteErrors() uint64 { return l.errors.Load() }

// Reopen writes what waits to the old file, then goes on with the file that
// is now at the logger's path: call it after a rotation (USR1). If that file
// cannot be opened the old one stays in use. No line is lost or split.
func (l *Logger) Reopen() error { return l.ask(ask{reopen: true}) }

// Flush returns when every line logged before the call was written.
func (l *Logger) Flush() error { return l.ask(ask{}) }

func (l *Logger) ask(a ask) error {
	a.answer = make(chan error, 1)
	select {
	case l.asks <- a:
		return <-a.answer
	case <-l.done:
		return errClosed
	}
}

var errClosed = errors.New("access log is closed")

// Close writes what waits and closes the file. No loop may log any more. It
// gives up after two seconds if the file takes nothing.
func (l *Logger) Close() error {
	l.closed.Do(func() { close(l.quit) })
	timer := time.NewTimer(closePatience)
	defer timer.Stop()
	select {
	case <-l.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("cannot flush access log %q: it takes no more bytes", l.path)
	}
}

// run writes until Close. It sleeps while there is no line at all.
func (l *Logger) run() {
	defer close(l.done)
	timer := time.NewTimer(flushInterval)
	timer.Stop()
	for {
		select {
		case <-l.dirty:
			timer.Reset(flushInterval)
			continue
		case <-l.full:
		case <-timer.C:
		case a := <-l.asks:
			l.flush()
			a.answer <- l.serve(a)
			continue
		case <-l.quit:
			l.flush()
			_ = l.file.Close()
			return
		}
		l.flush()
	}
}

// pending reports whether a line came in while the rings were drained, whose
// loop may have seen no reason to wake us.
func (l *Logger) pending() bool {
	for _, b := range l.buffers {
		if !b.empty() {
			return true
		}
	}
	return false
}

func (l *Logger) serve(a ask) error {
	if !a.reopen {
		return nil
	}
	file, err := openFile(l.path)
	if err != nil {
		return err
	}
	_ = l.file.Close()
	l.file, l.torn = file, false
	return nil
}

// flush gathers the lines of all loops and writes them with one call. What
// cannot be written is lost and counted: keeping it would only lose what
// comes after.
func (l *Logger) flush() {
	l.out = l.out[:0]
	if l.torn {
		l.out = append(l.out, '\n')
	}
	start := len(l.out)
	for _, b := range l.buffers {
		l.out = b.drain(l.out)
	}
	if l.pending() {
		wake(l.dirty)
	}
	if len(l.out) == start {
		return
	}
	n, err := l.file.Write(l.out)
	if n > 0 {
		l.torn = l.out[n-1] != '\n'
	}
	if err != nil {
		l.errors.Add(1)
		l.lost.Add(uint64(bytes.Count(l.out[max(n, start):], []byte{'\n'})))
	}
}
