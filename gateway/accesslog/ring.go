package accesslog

import "sync/atomic"

// ringSize is how many bytes of lines a loop may be ahead of the writer. A
// power of two.
const ringSize = 128 << 10

// maxLine is the longest line that is logged as it is. A longer one is
// rendered again with its values cut to shortValue bytes.
const (
	maxLine    = ringSize / 4
	shortValue = 512
)

// Buffer holds the lines of one loop until they are written. The loop is its
// only writer, the Logger's goroutine its only reader:
//
//	         head            tail
//	          v               v
//	[ free    | whole lines   |  free ]   positions only grow; index = position mod ringSize
//
// Each side publishes its position after it is done with the bytes, so
// neither waits for the other.
type Buffer struct {
	log    *Logger
	render renderer
	line   []byte // scratch: the line being rendered

	_       [64]byte
	tail    atomic.Uint64 // written by the loop
	dropped atomic.Uint64 // written by the loop
	_       [64]byte
	head    atomic.Uint64 // written by the reader
	_       [64]byte

	ring [ringSize]byte
}

// Log appends the line for e. It must only be called by the loop that owns
// the buffer. It never blocks; a line that does not fit is dropped and
// counted. On a nil Buffer it does nothing.
func (b *Buffer) Log(e *Entry) {
	if b == nil {
		return
	}
	b.line = b.render.line(b.line[:0], e, 0)
	if len(b.line) > maxLine {
		b.line = b.render.line(b.line[:0], e, shortValue)
	}
	b.put(b.line)
}

// put copies line into the ring and wakes the writer if it sleeps or should
// hurry.
func (b *Buffer) put(line []byte) {
	tail := b.tail.Load()
	used := int(tail - b.head.Load())
	if used+len(line) > ringSize {
		b.dropped.Store(b.dropped.Load() + 1)
		return
	}
	at := int(tail % ringSize)
	n := copy(b.ring[at:], line)
	copy(b.ring[:], line[n:])
	b.tail.Store(tail + uint64(len(line)))

	// The head is read again after the tail is published: either we see that
	// the writer has emptied the ring, or it sees this line before it sleeps.
	if b.head.Load() == tail {
		wake(b.log.dirty)
	}
	if half := ringSize / 2; used < half && used+len(line) >= half {
		wake(b.log.full)
	}
}

// drain appends all whole lines to dst and frees their place.
func (b *Buffer) drain(dst []byte) []byte {
	head, tail := b.head.Load(), b.tail.Load()
	from, to := int(head%ringSize), int(tail%ringSize)
	switch {
	case head == tail:
		return dst
	case from < to:
		dst = append(dst, b.ring[from:to]...)
	default:
		dst = append(dst, b.ring[from:]...)
		dst = append(dst, b.ring[:to]...)
	}
	b.head.Store(tail)
	return dst
}

// empty reports whether the reader has seen every line.
func (b *Buffer) empty() bool { return b.head.Load() == b.tail.Load() }

// wake leaves a token in a channel of capacity one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
