package http1

// ResponseRewrite says how the gateway frames and marks a response it
// forwards.
type ResponseRewrite struct {
	// Framing is how the body sent to the client ends. NoBody passes
	// Content-Length of a response to HEAD and of a 304 as the server gave it;
	// CloseBody implies Close.
	Framing BodyKind
	// Length is the Content-Length to announce for LengthBody.
	Length int64
	// Close announces that the connection closes after this response.
	Close bool
	// KeepAlive10 announces that it stays open, to an HTTP/1.0 client that
	// asked for it.
	KeepAlive10 bool
	// Upgrade forwards the Upgrade field of a 101 and the connection option
	// for it.
	Upgrade bool
	// Via is the pseudonym to add to Via, "" adds none.
	Via string
	// ForwardTrailers keeps the Trailer field.
	ForwardTrailers bool
	// AddDate is the Date to send if the response has none (never in 1xx),
	// nil adds none.
	AddDate []byte
}

// AppendResponseHead appends to dst the head to send to the client for the
// response r, parsed from head.
func AppendResponseHead(dst, head []byte, r *Response, rw *ResponseRewrite) []byte { return dst }
