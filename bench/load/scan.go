package load

import (
	"bytes"
	"errors"
	"math"
)

// maxHead is the longest response head that is read.
const maxHead = 64 << 10

// errMalformed is all that can be wrong with a response.
var errMalformed = errors.New("malformed response")

var (
	headEnd = []byte("\r\n\r\n")
	lineEnd = []byte("\r\n")
)

// framing is how the end of a body is known (RFC 9112, section 6.3).
type framing uint8

const (
	byLength framing = iota // also: no body
	byChunks
	byClose
)

// answer is what matters of a response head.
type answer struct {
	status int
	body   framing
	length int64
	last   bool // the server will close the connection
}

// known is the last head seen in answer to one request. Servers repeat
// themselves: a head that equals it is not parsed again.
type known struct {
	head   []byte
	answer answer
}

// scanner finds the end of responses on one connection. It keeps no data.
//
//	head --length--> body --(length bytes)--> head
//	  |  --chunked-> chunks (see chunks) ---> head
//	  |  --close---> rest --(end of stream)-> done
//	  +--1xx--> head
type scanner struct {
	answer answer
	inBody bool
	left   int64 // byLength: bytes to come
	chunks chunks
}

// next consumes a part of b: a response head with as much of its body as there
// is, or more of the body. It returns the body data in that part, how much it
// consumed, and whether the response ended with it. n == 0 without an error
// means that the head is incomplete: b must be given again with more.
// k belongs to the request that is being answered; head says that it was HEAD.
func (s *scanner) next(b []byte, k *known, head bool) (data []byte, n int, done bool, err error) {
	if s.inBody {
		data, n, done, err = s.body(b)
		s.inBody = !done
		return data, n, done, err
	}
	// Fast path: the head is the one we know.
	if h := len(k.head); h > 0 && len(b) >= h && bytes.Equal(b[:h], k.head) {
		s.answer, n = k.answer, h
	} else if n, err = s.head(b, k, head); n == 0 || err != nil {
		return nil, 0, false, err
	}
	if s.answer.status < 200 {
		return nil, n, false, nil // an interim response: the head of another follows
	}
	s.left, s.chunks = s.answer.length, chunks{}
	data, m, done, err := s.body(b[n:])
	s.inBody = !done
	return data, n + m, done, err
}

// head parses a response head and remembers it.
func (s *scanner) head(b []byte, k *known, toHead bool) (int, error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		if len(b) >= maxHead || !bytes.HasPrefix([]byte("HTTP/1."), b[:min(len(b), 7)]) {
			return 0, errMalformed
		}
		return 0, nil
	}
	n := end + len(headEnd)
	a, ok := parseHead(b[:end+len(lineEnd)], toHead)
	if !ok {
		return 0, errMalformed
	}
	s.answer = a
	k.head, k.answer = append(k.head[:0], b[:n]...), a
	return n, nil
}

func (s *scanner) body(b []byte) (data []byte, n int, done bool, err error) {
	switch s.answer.body {
	case byChunks:
		return s.chunks.next(b)
	case byClose:
		return b, len(b), false, nil
	}
	n = int(min(int64(len(b)), s.left))
	s.left -= int64(n)
	return b[:n], n, s.left == 0, nil
}

// ended tells that the stream ended; it reports whether that completes a
// response.
func (s *scanner) ended() bool {
	complete := s.inBody && s.answer.body == byClose
	s.inBody = false
	return complete
}

// parseHead reads the status line and the fields that say where the body ends.
func parseHead(b []byte, toHead bool) (answer, bool) {
	line, rest := cutLine(b)
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return answer{}, false
	}
	status, ok := parseDecimal(line[9:12])
	if !ok || status < 100 || status == 101 || (len(line) > 12 && line[12] != ' ') {
		return answer{}, false
	}
	a := answer{status: int(status), body: byClose, last: line[7] == '0'}
	if !a.fields(rest) {
		return answer{}, false
	}
	if toHead || status < 200 || status == 204 || status == 304 {
		a.body, a.length = byLength, 0
	}
	a.last = a.last || a.body == byClose
	return a, true
}

func (a *answer) fields(b []byte) bool {
	length := int64(-1)
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return false
		}
		value := bytes.Trim(line[colon+1:], " \t")
		switch name := line[:colon]; {
		case equalFold(name, "content-length"):
			n, ok := parseDecimal(value)
			if !ok || (length >= 0 && n != length) {
				return false
			}
			length = n
		case equalFold(name, "transfer-encoding"):
			if lastToken(value, "chunked") {
				a.body = byChunks
			}
		case equalFold(name, "connection"):
			a.connection(value)
		}
	}
	if length >= 0 && a.body == byClose { // chunks win over a length (RFC 9112, 6.3)
		a.body, a.length = byLength, length
	}
	return true
}

func (a *answer) connection(value []byte) {
	for len(value) > 0 {
		var token []byte
		token, value, _ = bytes.Cut(value, []byte(","))
		switch token = bytes.Trim(token, " \t"); {
		case equalFold(token, "close"):
			a.last = true
		case equalFold(token, "keep-alive"):
			a.last = false
		}
	}
}

// lastToken reports whether a list ends in a word.
func lastToken(list []byte, word string) bool {
	token := bytes.Trim(list[bytes.LastIndexByte(list, ',')+1:], " \t")
	return equalFold(token, word)
}

// cutLine takes a line off b, which ends in CRLF.
func cutLine(b []byte) (line, rest []byte) {
	end := bytes.Index(b, lineEnd)
	return b[:end], b[end+len(lineEnd):]
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseDecimal reads 1*DIGIT, and nothing else.
func parseDecimal(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}
