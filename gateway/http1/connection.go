package http1

// maxOptions bounds the connection options of a message: each is compared
// with each field.
const maxOptions = 64

// options are the connection options the gateway acts on.
type options uint8

const (
	optionClose options = 1 << iota
	optionKeepAlive
	optionUpgrade
)

// connectionOptions reads the Connection fields (RFC 9110 7.6.1) and marks the
// fields they name. Fields the gateway answers for are never marked.
func connectionOptions(b []byte, fields []Field) (opts options, f fault) {
	count := 0
	for i := range fields {
		if fields[i].ID != FieldConnection {
			continue
		}
		for list := fields[i].Value.Of(b); len(list) > 0; {
			var elem []byte
			elem, list = nextElement(list)
			if len(elem) == 0 {
				continue
			}
			if count++; count > maxOptions {
				return opts, faultOptions
			}
			if !isToken(elem) {
				return opts, faultOption
			}
			opts |= option(b, elem, fields)
		}
	}
	return opts, faultNone
}

// option acts on one connection option.
func option(b, elem []byte, fields []Field) options {
	switch {
	case foldEqual(elem, "close"):
		return optionClose
	case foldEqual(elem, "keep-alive"):
		return optionKeepAlive
	case foldEqual(elem, "upgrade"):
		return optionUpgrade
	}
	for i := range fields {
		f := &fields[i]
		if !ownFields.has(f.ID) && sameName(f.Name.Of(b), elem) {
			f.named = true
		}
	}
	return 0
}

// persistent reports whether the sender keeps the connection open (RFC 9112
// 9.3).
func (o options) persistent(minor uint8) bool {
	return o&optionClose == 0 && (minor > 0 || o&optionKeepAlive != 0)
}

// hasElement reports whether a field of the given ID lists the token lower, in
// any case.
func hasElement(b []byte, fields []Field, id FieldID, lower string) bool {
	for i := range fields {
		if fields[i].ID != id {
			continue
		}
		for list := fields[i].Value.Of(b); len(list) > 0; {
			var elem []byte
			if elem, list = nextElement(list); tokenEqual(elem, lower) {
				return true
			}
		}
	}
	return false
}

// offersH2C reports whether an Upgrade field lists HTTP/2 over cleartext. It
// is never relayed: the tunnel would carry requests past the gateway.
func offersH2C(b []byte, fields []Field) bool {
	for i := range fields {
		if fields[i].ID != FieldUpgrade {
			continue
		}
		for list := fields[i].Value.Of(b); len(list) > 0; {
			var elem []byte
			elem, list = nextElement(list)
			if name := elem[:scanToken(elem, 0)]; foldEqual(name, "h2c") {
				return true
			}
		}
	}
	return false
}
