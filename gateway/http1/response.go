package http1

// Response is one parsed response head. It may be reused: Parse overwrites
// all of it and keeps the array behind Fields.
type Response struct {
	// Status is the status code, 100 to 599.
	Status int
	// Minor is 0 for HTTP/1.0 and 1 for HTTP/1.1 and any later HTTP/1.x.
	Minor uint8
	// Reason is the reason phrase, which may be empty.
	Reason Span
	// Fields are the field lines in the order they were sent.
	Fields []Field
	// ContentLength is the value of Content-Length, -1 if there is none or if
	// the response is one in which it means nothing (1xx, 204, 2xx to
	// CONNECT).
	ContentLength int64
	// Chunked says that the body is in chunked transfer coding (for a response
	// to HEAD: would be).
	Chunked bool
	// KeepAlive says that the server keeps the connection open after this
	// response. Never set for a CloseBody.
	KeepAlive bool
	// KeepAliveTimeout is N of "Keep-Alive: timeout=N" in seconds, -1 if there
	// is none.
	KeepAliveTimeout int
	// Upgrade says that the server switches protocols: a 101 with an Upgrade
	// field named by Connection.
	Upgrade bool
	// HeadLen is the length of the head, its last empty line included.
	HeadLen int

	// line is the status line with its CRLF, seen the fields that occur.
	line Span
	seen idSet
}

// Parse reads the head of one response to a request of method toMethod from
// the start of b and returns its length.
//
// It returns 0 and no error if b holds only a part of the head: call again
// with more bytes; b must then start with the same byte. The error is always
// an *Error of status 502; the connection must be closed after it.
// After an error, or while incomplete, what r holds is undefined.
func (r *Response) Parse(b []byte, lim *Limits, toMethod Method) (n int, err error) {
	l := lim.withDefaults()
	n, f := r.parse(b, &l, toMethod)
	if f != faultNone {
		return 0, &responseErrors[f]
	}
	return n, nil
}

// Body returns how the body of a response to a request of method toMethod
// ends and, for LengthBody, its length (RFC 9112 6.3). A Content-Length of 0
// is NoBody.
func (r *Response) Body(toMethod Method) (BodyKind, int64) {
	switch {
	case toMethod == MethodHead || r.Status == 304 || r.unframed(toMethod):
		return NoBody, 0
	case r.Chunked:
		return ChunkedBody, 0
	case r.ContentLength > 0:
		return LengthBody, r.ContentLength
	case r.ContentLength == 0:
		return NoBody, 0
	default:
		return CloseBody, 0
	}
}

// unframed reports whether Content-Length and Transfer-Encoding mean nothing
// in this response (RFC 9112 6.3 rules 1 and 2).
func (r *Response) unframed(toMethod Method) bool {
	return r.Status < 200 || r.Status == 204 || toMethod == MethodConnect && r.Status < 300
}
