package http1

import "strconv"

// ResponseRewrite says how the gateway frames and marks a response it
// forwards.
type ResponseRewrite struct {
	// Framing is how the body sent to the client ends. NoBody passes
	// Content-Length as the server gave it, for a response to HEAD, a 304 or
	// an empty body; to announce chunked in a response to HEAD, say
	// ChunkedBody. CloseBody implies Close.
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
//
// Status, reason and all end-to-end fields are sent as they came, in their
// order and case. The version is HTTP/1.1, whatever the client's (RFC 9110
// 2.5); hop-by-hop fields end here; the body is framed as rw says. The strings
// in rw must be valid field values.
func AppendResponseHead(dst, head []byte, r *Response, rw *ResponseRewrite) []byte {
	w := headWriter{dst: dst, head: head}
	w.statusLine(r)
	touched := r.touched(rw)
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.named || touched.has(f.ID):
			w.skip(f.Line)
		case f.repaired:
			w.bytes(f, f.Value.Of(head))
		}
	}
	w.flush(r.HeadLen - len("\r\n"))
	w.dst = appendResponseFraming(w.dst, r, rw)
	if rw.Via != "" {
		w.dst = appendVia(w.dst, r.Minor, rw.Via)
	}
	if rw.AddDate != nil && r.Status >= 200 && !r.seen.has(FieldDate) {
		w.dst = append(w.dst, "Date: "...)
		w.dst = append(w.dst, rw.AddDate...)
		w.dst = append(w.dst, "\r\n"...)
	}
	return append(w.dst, "\r\n"...)
}

// keepsLength reports whether Content-Length passes as the server gave it.
func (r *Response) keepsLength(rw *ResponseRewrite) bool {
	switch rw.Framing {
	case NoBody:
		return r.ContentLength >= 0
	case LengthBody:
		return r.ContentLength == rw.Length
	default:
		return false
	}
}

// keepsUpgrade reports whether Upgrade passes: in the switch itself, and where
// it says which protocol is required (RFC 9110 15.5.22).
func (r *Response) keepsUpgrade(rw *ResponseRewrite) bool {
	return r.seen.has(FieldUpgrade) && (r.Status == 101 && rw.Upgrade || r.Status == 426)
}

// touched are the fields that do not pass.
func (r *Response) touched(rw *ResponseRewrite) idSet {
	t := hopFields
	if !r.keepsLength(rw) {
		t |= 1 << FieldContentLength
	}
	if !r.keepsUpgrade(rw) {
		t |= 1 << FieldUpgrade
	}
	if !rw.ForwardTrailers {
		t |= 1 << FieldTrailer
	}
	return t
}

// statusLine writes the status line, unless it can start the first run: then
// it is HTTP/1.1 and has the space that ends the status code.
func (w *headWriter) statusLine(r *Response) {
	const code = "HTTP/1.1 200"
	if w.head[versionLen-1] == '1' && w.head[len(code)] == ' ' {
		return
	}
	w.run = r.line.End
	w.dst = append(w.dst, "HTTP/1.1 "...)
	w.dst = strconv.AppendInt(w.dst, int64(r.Status), 10)
	w.dst = append(w.dst, ' ')
	w.dst = append(w.dst, r.Reason.Of(w.head)...)
	w.dst = append(w.dst, "\r\n"...)
}

// appendResponseFraming appends the fields of this connection: those that
// frame the body and the connection options.
func appendResponseFraming(dst []byte, r *Response, rw *ResponseRewrite) []byte {
	switch {
	case rw.Framing == ChunkedBody:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case rw.Framing == LengthBody && !r.keepsLength(rw):
		dst = appendLength(dst, rw.Length)
	}
	closes := rw.Close || rw.Framing == CloseBody
	upgrade := r.keepsUpgrade(rw)
	switch {
	case upgrade && closes && r.Status != 101:
		return append(dst, "Connection: close, upgrade\r\n"...)
	case upgrade:
		return append(dst, "Connection: upgrade\r\n"...)
	case closes:
		return append(dst, "Connection: close\r\n"...)
	case rw.KeepAlive10:
		return append(dst, "Connection: keep-alive\r\n"...)
	default:
		return dst
	}
}
