package http1

import "bytes"

// appendForwarding appends what the gateway tells the server of the client and
// of itself.
func appendForwarding(dst, head, host []byte, r *Request, rw *RequestRewrite) []byte {
	if rw.XForwarded {
		dst = appendXForwarded(dst, head, host, r, rw)
	}
	if rw.Forwarded {
		dst = appendForwarded(dst, head, host, r, rw)
	}
	if rw.Via != "" {
		dst = appendVia(dst, r.Minor, rw.Via)
	}
	if rw.RequestID != nil && !r.seen.has(FieldXRequestID) {
		dst = append(dst, "X-Request-ID: "...)
		dst = append(dst, rw.RequestID...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendXForwarded appends X-Forwarded-For, and -Proto and -Host unless a
// trusted peer has set them. The addresses a trusted peer sent, on however
// many lines, come first on one line: many servers read one line only.
func appendXForwarded(dst, head, host []byte, r *Request, rw *RequestRewrite) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	if rw.Trusted {
		dst = appendValues(dst, head, r, FieldXForwardedFor)
	}
	dst = append(dst, clientName(rw)...)
	dst = append(dst, "\r\n"...)
	if !rw.Trusted || !r.seen.has(FieldXForwardedProto) {
		dst = append(dst, "X-Forwarded-Proto: "...)
		dst = append(dst, rw.Proto...)
		dst = append(dst, "\r\n"...)
	}
	if !rw.Trusted || !r.seen.has(FieldXForwardedHost) {
		dst = append(dst, "X-Forwarded-Host: "...)
		dst = append(dst, host...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendForwarded appends a Forwarded line (RFC 7239), after the elements a
// trusted peer sent. Values are quoted, as IPv6 addresses and ports have to
// be; neither an address nor a valid host holds a quote or a backslash.
func appendForwarded(dst, head, host []byte, r *Request, rw *RequestRewrite) []byte {
	dst = append(dst, "Forwarded: "...)
	if rw.Trusted {
		dst = appendValues(dst, head, r, FieldForwarded)
	}
	dst = appendNode(append(dst, "for="...), clientName(rw))
	dst = append(dst, `;host="`...)
	dst = append(dst, host...)
	dst = append(dst, `";proto=`...)
	dst = append(dst, rw.Proto...)
	return append(dst, "\r\n"...)
}

// clientName is the peer's address, or what RFC 7239 6.3 calls a peer without
// one.
func clientName(rw *RequestRewrite) []byte {
	if len(rw.ClientIP) == 0 {
		return []byte("unknown")
	}
	return rw.ClientIP
}

// appendNode appends an address as RFC 7239 6 writes it.
func appendNode(dst, ip []byte) []byte {
	if bytes.IndexByte(ip, ':') < 0 {
		return append(dst, ip...)
	}
	dst = append(dst, `"[`...)
	dst = append(dst, ip...)
	return append(dst, `]"`...)
}

// appendValues appends the non-empty values of the fields of the given ID,
// each with a comma after it.
func appendValues(dst, head []byte, r *Request, id FieldID) []byte {
	if !r.seen.has(id) {
		return dst
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == id && !f.Value.Empty() {
			dst = append(dst, f.Value.Of(head)...)
			dst = append(dst, ", "...)
		}
	}
	return dst
}
