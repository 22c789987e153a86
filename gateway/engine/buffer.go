package engine

// buffer holds pending bytes b[r:]. It belongs to one connection or exchange
// at a time and comes from its loop's free lists.
type buffer struct {
	b     []byte
	r     int
	class int8
	next  *buffer
}

func (b *buffer) bytes() []byte { return b.b[b.r:] }
func (b *buffer) len() int      { return len(b.b) - b.r }

// space is the free room behind the bytes.
func (b *buffer) space() []byte { return b.b[len(b.b):cap(b.b)] }

// classSizes are the sizes buffers come in: a small head, a large head or
// body, a full read of the socket and what framing adds to it.
var classSizes = [...]int{2 << 10, 8 << 10, 24 << 10, 96 << 10}

// classKeep is how many free buffers of each class a loop holds on to; more
// than that go to the collector after a burst.
var classKeep = [...]int{1024, 256, 32, 16}

// bufferPool is a loop's free lists. One goroutine uses it.
type bufferPool struct {
	free [len(classSizes)]*buffer
	kept [len(classSizes)]int
}

// get returns an empty buffer with room for n bytes at least.
func (p *bufferPool) get(n int) *buffer {
	for c, size := range classSizes {
		if n > size {
			continue
		}
		if b := p.free[c]; b != nil {
			p.free[c], b.next = b.next, nil
			p.kept[c]--
			return b
		}
		return &buffer{b: make([]byte, 0, size), class: int8(c)}
	}
	return &buffer{b: make([]byte, 0, n), class: -1}
}

// put takes a buffer back; nil is fine.
func (p *bufferPool) put(b *buffer) {
	if b == nil || b.class < 0 || p.kept[b.class] >= classKeep[b.class] {
		return
	}
	b.b, b.r = b.b[:0], 0
	b.next, p.free[b.class] = p.free[b.class], b
	p.kept[b.class]++
}

// grown returns a buffer with b's bytes at its start and room for n more; b
// is taken back.
func (p *bufferPool) grown(b *buffer, n int) *buffer {
	bigger := p.get(b.len() + n)
	bigger.b = append(bigger.b, b.bytes()...)
	p.put(b)
	return bigger
}

// appendTo adds data to a buffer that may be nil or full and returns the one
// that holds all of it.
func (p *bufferPool) appendTo(b *buffer, data []byte) *buffer {
	switch {
	case b == nil:
		b = p.get(len(data))
	case len(b.space()) < len(data):
		b = p.grown(b, len(data))
	}
	b.b = append(b.b, data...)
	return b
}
