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
	fieldIDs // how many there are
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

	// named: a Connection option names the field, so it ends here.
	named bool
	// repaired: whitespace before the colon has to be removed.
	repaired bool
}

// idSet is a set of FieldIDs.
type idSet uint32

// set makes an idSet.
func set(ids ...FieldID) idSet {
	var s idSet
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

func (s idSet) has(id FieldID) bool { return s&(1<<id) != 0 }
