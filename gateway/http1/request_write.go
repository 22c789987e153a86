package http1

// RequestRewrite says what the gateway adds to a request it forwards.
type RequestRewrite struct {
	// ClientIP is the peer's address in text form, without port.
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
	// for it. Set it only if Request.Upgrade is set.
	Upgrade bool
	// StripExpect removes Expect, for a gateway that answered it itself.
	StripExpect bool
}

// AppendRequestHead appends to dst the head to send upstream for the request
// r, parsed from head.
func AppendRequestHead(dst, head []byte, r *Request, rw *RequestRewrite) []byte { return dst }
