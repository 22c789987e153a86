package http1

// framing is what a head says of the body's end.
type framing struct {
	length  int64
	chunked bool
}

// parseFraming reads Content-Length and Transfer-Encoding (RFC 9112 6.1 to
// 6.3). Where the RFC lets a recipient repair (both fields, equal lengths
// twice) it refuses: another recipient may have repaired differently.
func parseFraming(b []byte, s *fieldScan, minor uint8) (framing, fault) {
	none := framing{length: -1}
	coded := s.seen.has(FieldTransferEncoding)
	switch {
	case coded && s.seen.has(FieldContentLength):
		return none, faultBothLengths
	case coded && minor == 0:
		return none, faultCoding10
	case coded:
		return framing{length: -1, chunked: true}, parseCoding(b, s)
	case s.twice.has(FieldContentLength):
		return none, faultLengthTwice
	case s.seen.has(FieldContentLength):
		n, ok := parseDigits(find(s.list, FieldContentLength).Value.Of(b))
		if !ok {
			return none, faultLength
		}
		return framing{length: n}, faultNone
	default:
		return none, faultNone
	}
}

// parseCoding accepts one Transfer-Encoding line that says chunked and
// nothing else.
func parseCoding(b []byte, s *fieldScan) fault {
	value := find(s.list, FieldTransferEncoding).Value.Of(b)
	if !s.twice.has(FieldTransferEncoding) && tokenEqual(value, "chunked") {
		return faultNone
	}
	return codingFault(b, s.list)
}

// codingFault tells an honest coding the gateway does not know, to be
// answered 501, from a disguised or misplaced chunked, to be answered 400.
func codingFault(b []byte, fields []Field) fault {
	chunked, unknown := 0, 0
	for i := range fields {
		if fields[i].ID != FieldTransferEncoding {
			continue
		}
		list := fields[i].Value.Of(b)
		for more := true; more; more = list != nil {
			var elem []byte
			elem, list = nextElement(list)
			switch {
			case tokenEqual(elem, "chunked") && chunked == 0:
				chunked++
			case chunked > 0 || !isToken(elem) || disguised(elem):
				return faultCoding // nothing may follow chunked
			default:
				unknown++
			}
		}
	}
	if unknown == 0 {
		return faultCoding
	}
	return faultCodingUnknown
}

// disguised reports whether a coding holds the letters of chunked, or is
// identity, which RFC 9112 no longer has: some recipients take either for
// something it is not.
func disguised(coding []byte) bool {
	const chunked = "chunked"
	for i := 0; i+len(chunked) <= len(coding); i++ {
		if foldEqual(coding[i:i+len(chunked)], chunked) {
			return true
		}
	}
	return foldEqual(coding, "identity")
}
