// Package http1 is the HTTP/1.x grammar of the gateway: it parses request and
// response heads, decodes chunked bodies, and writes the heads and chunks
// that go to the other side.
//
// It is one strict grammar (RFC 9110, 9112) with the two repairs the RFC
// demands: one empty line before a request line is skipped, and whitespace
// before the colon of a response field is removed. Whatever two readers could
// understand differently is an Error, never a guess. The heads written here
// are framed anew from what was understood, so that nothing the gateway
// forwards can be read as two messages.
//
// The package holds pure functions on bytes. It does no I/O, starts no
// goroutine, keeps no reference to the caller's buffer, and allocates nothing
// once the slices of a reused Request or Response have grown. A parsed message
// is a set of spans into the buffer it was parsed from and is valid as long as
// those bytes are.
package http1

// Span is a range of bytes within the buffer a message was parsed from.
type Span struct{ Start, End uint32 }

// Of returns the bytes of b that the span covers. b must start where the
// buffer given to Parse started.
func (s Span) Of(b []byte) []byte { return b[s.Start:s.End] }

// Empty reports whether the span covers no byte.
func (s Span) Empty() bool { return s.Start == s.End }

// span makes a Span of two offsets.
func span(start, end int) Span { return Span{uint32(start), uint32(end)} }

// BodyKind is how the end of a message body is found (RFC 9112 6.3).
type BodyKind uint8

// The kinds of body.
const (
	// NoBody ends with the head.
	NoBody BodyKind = iota
	// LengthBody is as long as Content-Length says.
	LengthBody
	// ChunkedBody ends with its last chunk and trailer section.
	ChunkedBody
	// CloseBody ends when the server closes the connection. Only responses
	// have it.
	CloseBody
)
