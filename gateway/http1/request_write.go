package http1

// RequestRewrite says what the gateway adds to a request it forwards.
type RequestRewrite struct {
	// ClientIP is the peer's address in text form, without port. Empty is a
	// peer without one (a unix socket), called "unknown".
	ClientIP []byte
	// Proto is the scheme the client used, "http" or "https".
	Proto string
	// Trusted says that the peer is a proxy whose forwarding fields are
	// believed: they are appended to or kept instead of replaced.
	Trusted bool
	// XForwarded maintains X-Forwarded-For, -Proto and -Host. If false they
	// pass as any other field.
	XForwarded bool
	// Forwarded maintains Forwarded (RFC 7239). If false it passes.
	Forwarded bool
	// Via is the pseudonym to add to Via (RFC 9110 7.6.3), "" adds none.
	Via string
	// RequestID is the X-Request-ID to send if the request has none, nil adds
	// none.
	RequestID []byte
	// DefaultHost is the Host of a request that names none (HTTP/1.0).
	DefaultHost []byte
	// Upgrade forwards the request's Upgrade field and the connection option
	// for it. It has no effect unless Request.Upgrade is set.
	Upgrade bool
	// StripExpect removes Expect, for a gateway that answered it itself.
	StripExpect bool
}

// AppendRequestHead appends to dst the head to send upstream for the request
// r, parsed from head.
//
// The method, the path and query, and all end-to-end fields are sent as they
// came, in their order and case. The version is HTTP/1.1; an absolute-form
// target becomes origin-form and its authority replaces Host (RFC 9112 3.2.2);
// hop-by-hop fields end here (RFC 9110 7.6.1); the body is framed as r says.
// No "Connection: keep-alive" is sent, HTTP/1.1 implies it. The strings in rw
// must be valid field values.
func AppendRequestHead(dst, head []byte, r *Request, rw *RequestRewrite) []byte {
	w := headWriter{dst: dst, head: head, run: r.line.Start}
	host := r.Host.Of(head)
	if len(host) == 0 {
		host = rw.DefaultHost
	}
	w.requestLine(r, host)
	touched := r.touched(rw)
	for i := range r.Fields {
		if f := &r.Fields[i]; f.named || touched.has(f.ID) {
			w.requestField(f, r, host)
		}
	}
	w.flush(r.HeadLen - len("\r\n"))
	w.dst = appendRequestFraming(w.dst, r, rw)
	w.dst = appendForwarding(w.dst, head, host, r, rw)
	return append(w.dst, "\r\n"...)
}

// touched are the fields that do not pass as they are.
func (r *Request) touched(rw *RequestRewrite) idSet {
	t := hopFields | 1<<FieldContentLength
	if r.Form == AbsoluteForm || r.Form == AuthorityForm || r.Host.Empty() {
		t |= 1 << FieldHost
	}
	if !rw.Upgrade || !r.Upgrade {
		t |= 1 << FieldUpgrade
	}
	if !r.Chunked {
		t |= 1 << FieldTrailer
	}
	if !r.Expect100 || rw.StripExpect {
		t |= 1 << FieldExpect
	}
	if r.MaxForwards > 0 {
		t |= 1 << FieldMaxForwards
	}
	switch {
	case rw.XForwarded && rw.Trusted:
		t |= 1 << FieldXForwardedFor // gathered into one line at the end
	case rw.XForwarded:
		t |= forwardingFields
	}
	if rw.Forwarded {
		t |= 1 << FieldForwarded
	}
	return t
}

// requestLine writes the request line, unless it can start the first run, and
// a Host if the request has no such field.
func (w *headWriter) requestLine(r *Request, host []byte) {
	if r.Form == AbsoluteForm || w.head[r.line.End-3] != '1' {
		w.run = r.line.End
		w.dst = append(w.dst, r.MethodSpan.Of(w.head)...)
		w.dst = append(w.dst, ' ')
		w.dst = appendTarget(w.dst, w.head, r)
		w.dst = append(w.dst, " HTTP/1.1\r\n"...)
	}
	if !r.seen.has(FieldHost) {
		w.dst = append(w.dst, "Host: "...)
		w.dst = append(w.dst, host...)
		w.dst = append(w.dst, "\r\n"...)
	}
}

// appendTarget appends the request target; an absolute-form is reduced to
// origin-form, or to an asterisk for OPTIONS of a whole server (RFC 9112
// 3.2.4).
func appendTarget(dst, head []byte, r *Request) []byte {
	if r.Form != AbsoluteForm {
		return append(dst, r.Target.Of(head)...)
	}
	rest := head[r.Host.End:r.Target.End]
	switch {
	case len(rest) == 0 && r.Method == MethodOptions:
		return append(dst, '*')
	case r.Path.Empty():
		dst = append(dst, '/')
	}
	return append(dst, rest...)
}

// requestField replaces or removes one field that does not pass as it is.
func (w *headWriter) requestField(f *Field, r *Request, host []byte) {
	switch f.ID {
	case FieldHost:
		w.bytes(f, host)
	case FieldContentLength:
		w.number(f, r.ContentLength)
	case FieldMaxForwards:
		w.number(f, int64(r.MaxForwards-1))
	default:
		w.skip(f.Line)
	}
}

// appendRequestFraming appends the fields of this connection: those that
// frame the body and the connection options.
func appendRequestFraming(dst []byte, r *Request, rw *RequestRewrite) []byte {
	if r.Chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	upgrade := rw.Upgrade && r.Upgrade
	switch {
	case upgrade && r.TETrailers:
		return append(dst, "TE: trailers\r\nConnection: upgrade, TE\r\n"...)
	case upgrade:
		return append(dst, "Connection: upgrade\r\n"...)
	case r.TETrailers:
		return append(dst, "TE: trailers\r\nConnection: TE\r\n"...)
	default:
		return dst
	}
}
