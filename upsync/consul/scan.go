package consul

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// scanner reads JSON from a stream one token at a time, so that an answer of
// any size needs one small buffer and what is not wanted is not decoded. It
// is strict about structure; the raw text of strings is not checked for
// control characters.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int
	err      error // what the reader said last
	scratch  []byte
}

const (
	scanBuffer = 64 << 10
	maxToken   = 4 << 20 // the longest string; Consul's KV values end at 512 KiB
	maxDepth   = 64
)

var errTruncated = errors.New("JSON ends in the middle")

// reset starts over on r.
func (s *scanner) reset(r io.Reader) {
	if s.buf == nil {
		s.buf = make([]byte, scanBuffer)
	}
	s.r, s.pos, s.end, s.err = r, 0, 0, nil
}

// resetBytes starts over on b, which must not change meanwhile.
func (s *scanner) resetBytes(b []byte) {
	s.r, s.buf, s.pos, s.end, s.err = nil, b, 0, len(b), io.EOF
}

// fill reads more behind what is kept from keep on, and returns how far
// offsets moved.
func (s *scanner) fill(keep int) (moved int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	if keep > 0 {
		copy(s.buf, s.buf[keep:s.end])
		s.pos, s.end, moved = s.pos-keep, s.end-keep, keep
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= maxToken {
			return moved, fmt.Errorf("a string is longer than %d bytes", maxToken)
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 {
			return moved, nil
		}
		if err != nil {
			return moved, err
		}
	}
	return moved, io.ErrNoProgress
}

// peek returns the first byte of the next token without consuming it.
func (s *scanner) peek() (byte, error) {
	for {
		for ; s.pos < s.end; s.pos++ {
			switch c := s.buf[s.pos]; c {
			case ' ', '\t', '\r', '\n':
			default:
				return c, nil
			}
		}
		if _, err := s.fill(s.pos); err != nil {
			if err == io.EOF {
				err = errTruncated
			}
			return 0, err
		}
	}
}

// finish reports an error unless nothing but white space is left.
func (s *scanner) finish() error {
	c, err := s.peek()
	switch {
	case err == nil:
		return fmt.Errorf("unexpected %q after the JSON value", c)
	case err == errTruncated:
		return nil
	}
	return err
}

func (s *scanner) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("unexpected %q in JSON, want %q", c, want)
	}
	s.pos++
	return nil
}

// more reports whether another element follows in an array or object that
// ends with end, and consumes the separator.
func (s *scanner) more(first bool, end byte) (bool, error) {
	c, err := s.peek()
	if err != nil {
		return false, err
	}
	switch {
	case c == end:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	}
	return false, fmt.Errorf("unexpected %q in JSON, want ',' or %q", c, end)
}

// array calls f at each element of an array; null is an empty one.
func (s *scanner) array(f func() error) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if err := s.expect('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more(first, ']')
		if !more || err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// object calls f at each value of an object; null is an empty one. The name
// is valid until f reads.
func (s *scanner) object(f func(name []byte) error) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if err := s.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if !more || err != nil {
			return err
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		if len(name) > 0 && s.pos < s.end && s.buf[s.pos] == ':' {
			s.pos++ // Fast path: the name stays where it is.
		} else {
			s.scratch = append(s.scratch[:0], name...)
			name = s.scratch
			if err := s.expect(':'); err != nil {
				return err
			}
		}
		if err := f(name); err != nil {
			return err
		}
	}
}

// name reads the name of a member, which no null can be.
func (s *scanner) name() ([]byte, error) {
	if c, err := s.peek(); err != nil || c != '"' {
		return nil, errors.Join(err, fmt.Errorf("unexpected %q in JSON, want a name", c))
	}
	return s.str()
}

// null consumes a null, if that is next.
func (s *scanner) null() (bool, error) {
	c, err := s.peek()
	if err != nil || c != 'n' {
		return false, err
	}
	lit, err := s.literal()
	if err == nil && string(lit) != "null" {
		err = fmt.Errorf("unexpected %q in JSON", lit)
	}
	return err == nil, err
}

// raw consumes a string and returns it between the quotes, as it stands. It
// is valid until the next read.
func (s *scanner) raw() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	start, from := s.pos, s.pos
	for {
		if i := bytes.IndexByte(s.buf[from:s.end], '"'); i >= 0 {
			at := from + i
			if !escaped(s.buf[start:at]) {
				s.pos = at + 1
				return checkEscapes(s.buf[start-1 : at+1])
			}
			from = at + 1
			continue
		}
		from = s.end
		moved, err := s.fill(start - 1) // the quote is kept too
		if err != nil {
			if err == io.EOF {
				err = errTruncated
			}
			return nil, err
		}
		start, from = start-moved, from-moved
	}
}

// checkEscapes takes a string with its quotes and returns it without. Strings
// without a backslash, that is nearly all, are not looked at.
func checkEscapes(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') >= 0 && !json.Valid(quoted) {
		return nil, fmt.Errorf("invalid escape in JSON string %.40q", quoted)
	}
	return quoted[1 : len(quoted)-1], nil
}

// escaped reports whether what follows b is escaped by a backslash.
func escaped(b []byte) bool {
	n := 0
	for i := len(b) - 1; i >= 0 && b[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// str consumes a string and returns its meaning, valid until the next read.
// null is the empty string.
func (s *scanner) str() ([]byte, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	raw, err := s.raw()
	if err != nil || bytes.IndexByte(raw, '\\') < 0 {
		return raw, err
	}
	var text string
	if err := json.Unmarshal([]byte(`"`+string(raw)+`"`), &text); err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// literal consumes a number, true, false or null and returns its text, valid
// until the next read.
func (s *scanner) literal() ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	start := s.pos
	for {
		for ; s.pos < s.end; s.pos++ {
			if !literalByte(s.buf[s.pos]) {
				return checkLiteral(s.buf[start:s.pos])
			}
		}
		moved, err := s.fill(start)
		start -= moved
		if err == io.EOF {
			return checkLiteral(s.buf[start:s.end])
		} else if err != nil {
			return nil, err
		}
	}
}

func literalByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

func checkLiteral(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b) > 64 || !json.Valid(b) {
		return nil, fmt.Errorf("invalid JSON value %.20q", b)
	}
	return b, nil
}

// skip consumes the next value, whatever it is.
func (s *scanner) skip() error { return s.skipDepth(0) }

func (s *scanner) skipDepth(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("JSON is nested deeper than %d", maxDepth)
	}
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return s.object(func([]byte) error { return s.skipDepth(depth + 1) })
	case '[':
		return s.array(func() error { return s.skipDepth(depth + 1) })
	case '"':
		_, err = s.raw()
	default:
		_, err = s.literal()
	}
	return err
}
