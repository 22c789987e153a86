package http1

// TargetForm is the form of a request target (RFC 9112 3.2).
type TargetForm uint8

// The forms of a request target.
const (
	OriginForm    TargetForm = iota // /path?query
	AbsoluteForm                    // http://host/path?query
	AuthorityForm                   // host:port, of CONNECT only
	AsteriskForm                    // *, of OPTIONS only
)

// Request is one parsed request head. It may be reused: Parse overwrites all
// of it and keeps the array behind Fields.
type Request struct {
	// Method and MethodSpan are the method by name and as sent.
	Method     Method
	MethodSpan Span
	// Target is the request target as sent, of the form Form.
	Target Span
	Form   TargetForm
	// Path and Query are the parts of an origin-form or absolute-form target,
	// as sent and without the question mark. The path of an absolute-form may
	// be empty, which means "/". Both are empty in the other forms.
	Path, Query Span
	// Host is the authority the request is for: that of the target if it has
	// one, else the Host field's. It is empty only for an HTTP/1.0 request
	// that has neither.
	Host Span
	// Minor is 0 for HTTP/1.0 and 1 for HTTP/1.1 and any later HTTP/1.x.
	Minor uint8
	// Fields are the field lines in the order they were sent.
	Fields []Field
	// ContentLength is the value of Content-Length, -1 if there is none.
	ContentLength int64
	// Chunked says that the body is in chunked transfer coding.
	Chunked bool
	// KeepAlive says that the client is ready for another exchange on this
	// connection (RFC 9112 9.3).
	KeepAlive bool
	// Expect100 says that the client may wait for 100 (Continue) before it
	// sends the body (RFC 9110 10.1.1). Never set for HTTP/1.0 or without a
	// body.
	Expect100 bool
	// Upgrade says that the client offers another protocol: an Upgrade field
	// named by Connection, in HTTP/1.1, other than h2c.
	Upgrade bool
	// TETrailers says that the client wants trailer fields (RFC 9110 10.1.4).
	TETrailers bool
	// MaxForwards is the value of Max-Forwards of a TRACE or OPTIONS request,
	// -1 if there is none.
	MaxForwards int
	// HeadLen is the length of the head, the empty line before the request
	// line and the one after the fields included.
	HeadLen int

	// line is the request line with its CRLF, seen the fields that occur.
	line Span
	seen idSet
}

// Parse reads one request head from the start of b and returns its length.
//
// It returns 0 and no error if b holds only a part of the head: call again
// with more bytes; b must then start with the same byte. One empty line before
// the request line is skipped (RFC 9112 2.2). The error is always an *Error
// with the status to answer; the connection must be closed after it. Limits
// are enforced as soon as they are passed, even if the head is incomplete.
// After an error, or while incomplete, what r holds is undefined.
func (r *Request) Parse(b []byte, lim *Limits) (n int, err error) {
	l := lim.withDefaults()
	n, f := r.parse(b, &l)
	if f != faultNone {
		return 0, &requestErrors[f]
	}
	return n, nil
}

// Body returns how the request body ends and, for LengthBody, its length.
// A Content-Length of 0 is NoBody.
func (r *Request) Body() (BodyKind, int64) {
	switch {
	case r.Chunked:
		return ChunkedBody, 0
	case r.ContentLength > 0:
		return LengthBody, r.ContentLength
	default:
		return NoBody, 0
	}
}
