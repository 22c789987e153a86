package http1

// FieldID names a field the gateway treats by name.
type FieldID uint8

// The known fields; FieldOther is any other valid name.
const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldContentLength
	FieldTransferEncoding
	FieldUpgrade
	FieldTE
	FieldTrailer
	FieldKeepAlive
	FieldProxyConnection
	FieldProxyAuthenticate
	FieldProxyAuthorization
	FieldHTTP2Settings
	FieldExpect
	FieldXForwardedFor
	FieldXForwardedProto
	FieldXForwardedHost
	FieldForwarded
	FieldVia
	FieldXRequestID
	FieldMaxForwards
	FieldUserAgent
	FieldReferer
	FieldDate
	FieldServer
)

// Field is one field line of a head.
type Field struct {
	// Name is the field name as it was sent, Value the field value without
	// the whitespace around it.
	Name, Value Span
	// Line is the whole line, CRLF included.
	Line Span
	// ID is the field's name if the gateway knows it.
	ID FieldID

	// named: a connection option names the field, so it ends here.
	named bool
	// repaired: whitespace before the colon has to be removed.
	repaired bool
}

// idSet is a set of FieldIDs.
type idSet uint32

func (s idSet) has(id FieldID) bool { return s>>id&1 != 0 }

// The sets the gateway treats alike.
const (
	forwardingFields idSet = 1<<FieldXForwardedFor | 1<<FieldXForwardedProto | 1<<FieldXForwardedHost
	// ownFields can never be removed by a connection option: they frame or
	// route the message, or the gateway itself answers for them.
	ownFields = forwardingFields | 1<<FieldHost | 1<<FieldContentLength | 1<<FieldTransferEncoding |
		1<<FieldForwarded | 1<<FieldVia | 1<<FieldXRequestID | 1<<FieldExpect | 1<<FieldMaxForwards | 1<<FieldDate
	// hopFields end at the gateway in both directions (RFC 9110 7.6.1).
	hopFields idSet = 1<<FieldConnection | 1<<FieldKeepAlive | 1<<FieldProxyConnection |
		1<<FieldProxyAuthenticate | 1<<FieldProxyAuthorization | 1<<FieldHTTP2Settings |
		1<<FieldTE | 1<<FieldTransferEncoding
)

// fieldOf recognises a field name by its length and first letter, then by the
// rest. name is a token.
func fieldOf(name []byte) FieldID {
	switch len(name) {
	case 2, 3, 4, 6, 7:
		return shortFieldOf(name)
	case 9:
		return match(name, "forwarded", FieldForwarded)
	case 10:
		switch name[0] | 0x20 {
		case 'c':
			return match(name, "connection", FieldConnection)
		case 'k':
			return match(name, "keep-alive", FieldKeepAlive)
		case 'u':
			return match(name, "user-agent", FieldUserAgent)
		}
	case 12:
		if name[0]|0x20 == 'm' {
			return match(name, "max-forwards", FieldMaxForwards)
		}
		return match(name, "x-request-id", FieldXRequestID)
	case 14:
		if name[0]|0x20 == 'h' {
			return match(name, "http2-settings", FieldHTTP2Settings)
		}
		return match(name, "content-length", FieldContentLength)
	case 15:
		return match(name, "x-forwarded-for", FieldXForwardedFor)
	case 16, 17, 18, 19:
		return longFieldOf(name)
	}
	return FieldOther
}

func shortFieldOf(name []byte) FieldID {
	switch len(name)<<8 | int(name[0]|0x20) {
	case 2<<8 | 't':
		return match(name, "te", FieldTE)
	case 3<<8 | 'v':
		return match(name, "via", FieldVia)
	case 4<<8 | 'd':
		return match(name, "date", FieldDate)
	case 4<<8 | 'h':
		return match(name, "host", FieldHost)
	case 6<<8 | 'e':
		return match(name, "expect", FieldExpect)
	case 6<<8 | 's':
		return match(name, "server", FieldServer)
	case 7<<8 | 'r':
		return match(name, "referer", FieldReferer)
	case 7<<8 | 't':
		return match(name, "trailer", FieldTrailer)
	case 7<<8 | 'u':
		return match(name, "upgrade", FieldUpgrade)
	}
	return FieldOther
}

func longFieldOf(name []byte) FieldID {
	switch len(name)<<8 | int(name[0]|0x20) {
	case 16<<8 | 'p':
		return match(name, "proxy-connection", FieldProxyConnection)
	case 16<<8 | 'x':
		return match(name, "x-forwarded-host", FieldXForwardedHost)
	case 17<<8 | 't':
		return match(name, "transfer-encoding", FieldTransferEncoding)
	case 17<<8 | 'x':
		return match(name, "x-forwarded-proto", FieldXForwardedProto)
	case 18<<8 | 'p':
		return match(name, "proxy-authenticate", FieldProxyAuthenticate)
	case 19<<8 | 'p':
		return match(name, "proxy-authorization", FieldProxyAuthorization)
	}
	return FieldOther
}

func match(name []byte, lower string, id FieldID) FieldID {
	if foldEqual(name, lower) {
		return id
	}
	return FieldOther
}
