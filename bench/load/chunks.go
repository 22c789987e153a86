package load

import "bytes"

// chunkState is what the next byte of a chunked body belongs to.
type chunkState uint8

const (
	chunkSize    chunkState = iota // hexadecimal digits
	chunkExt                       // the rest of the size line
	chunkSizeLF                    // LF of the size line
	chunkData                      // left bytes of data
	chunkDataCR                    // CR after the data
	chunkDataLF                    // LF after the data
	trailerStart                   // first byte of a trailer line, or of the end
	trailerLine                    // the rest of a trailer line
	trailerEnd                     // LF after the last CR
)

// chunks decodes chunked framing (RFC 9112, section 7.1). The zero value stands
// before the first chunk.
//
//	size -> ext -> sizeLF --(size > 0)--> data -> dataCR -> dataLF -> size
//	                  +-----(size == 0)--> trailerStart <-> trailerLine
//	                                            +--CR--> trailerEnd -> done
type chunks struct {
	state  chunkState
	left   int64
	digits int
}

// next consumes framing up to and with one run of data.
func (c *chunks) next(b []byte) (data []byte, n int, done bool, err error) {
	for n < len(b) {
		if c.state == chunkData {
			run := int(min(c.left, int64(len(b)-n)))
			if c.left -= int64(run); c.left == 0 {
				c.state = chunkDataCR
			}
			return b[n : n+run], n + run, false, nil
		}
		ch := b[n]
		n++
		if done, ok := c.step(ch); !ok {
			return nil, n, false, errMalformed
		} else if done {
			return nil, n, true, nil
		}
		// The rest of a line that nobody reads is skipped at once.
		if c.state == chunkExt || c.state == trailerLine {
			n += skipTo(b[n:], '\n')
		}
	}
	return nil, n, false, nil
}

// skipTo is how many bytes stand before the line's end.
func skipTo(b []byte, end byte) int {
	if i := bytes.IndexByte(b, end); i >= 0 {
		return i
	}
	return len(b)
}

// step takes one byte of framing.
func (c *chunks) step(ch byte) (done, ok bool) {
	switch c.state {
	case chunkSize:
		return false, c.size(ch)
	case chunkExt:
		if ch == '\n' {
			c.endSize()
		}
		return false, true
	case chunkSizeLF:
		c.endSize()
		return false, ch == '\n'
	case chunkDataCR:
		c.state = chunkDataLF
		return false, ch == '\r'
	case chunkDataLF:
		c.state, c.left, c.digits = chunkSize, 0, 0
		return false, ch == '\n'
	case trailerStart:
		if c.state = trailerLine; ch == '\r' {
			c.state = trailerEnd
		}
		return false, ch != '\n'
	case trailerLine:
		if ch == '\n' {
			c.state = trailerStart
		}
		return false, true
	}
	return ch == '\n', ch == '\n' // trailerEnd
}

func (c *chunks) size(ch byte) bool {
	digit := bytes.IndexByte([]byte("0123456789abcdef"), ch|0x20)
	switch {
	case ch >= '0' && digit >= 0:
		c.left, c.digits = c.left<<4|int64(digit), c.digits+1
		return c.digits <= 15
	case c.digits == 0:
		return false
	case ch == '\r':
		c.state = chunkSizeLF
	case ch == ';' || ch == ' ' || ch == '\t':
		c.state = chunkExt
	default:
		return false
	}
	return true
}

func (c *chunks) endSize() {
	if c.state = chunkData; c.left == 0 {
		c.state = trailerStart
	}
}
