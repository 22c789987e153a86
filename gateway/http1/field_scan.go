package http1

// fieldScan reads the field lines of a head.
type fieldScan struct {
	list []Field
	max  int
	// repair removes whitespace before a colon instead of refusing it. RFC
	// 9112 5.1 demands it of responses and forbids it in requests.
	repair bool
	// seen are the fields that occur, twice those that occur more than once.
	seen, twice idSet
}

// parse reads field lines from i on up to and including the empty line. It
// returns the index after that, or 0 if b ends before.
func (s *fieldScan) parse(b []byte, i int) (int, fault) {
	for i < len(b) {
		if b[i] == '\r' {
			return lineEnd(b, i)
		}
		if len(s.list) == s.max {
			return 0, faultFields
		}
		next, f := s.line(b, i)
		if next == 0 {
			return 0, f
		}
		i = next
	}
	return 0, faultNone
}

// line reads one field line and returns the index after it, or 0.
func (s *fieldScan) line(b []byte, start int) (int, fault) {
	nameEnd := scanToken(b, start)
	colon := nameEnd
	if s.repair && nameEnd > start {
		colon = skipSpace(b, nameEnd)
	}
	if colon == len(b) {
		return 0, faultNone
	}
	if b[colon] != ':' || nameEnd == start {
		return 0, nameFault(b, start, nameEnd)
	}
	from := skipSpace(b, colon+1)
	to := scanText(b, from)
	next, f := lineEnd(b, to)
	if next == 0 {
		return 0, f
	}
	for to > from && (b[to-1] == ' ' || b[to-1] == '\t') {
		to--
	}
	id := fieldOf(b[start:nameEnd])
	bit := idSet(1) << id
	s.twice |= s.seen & bit
	s.seen |= bit
	s.list = append(s.list, Field{
		Name: span(start, nameEnd), Value: span(from, to), Line: span(start, next),
		ID: id, repaired: colon != nameEnd,
	})
	return next, faultNone
}

// lineEnd returns the index after the CRLF at i. It returns 0 without a fault
// if b ends before, and with one if there is something else.
func lineEnd(b []byte, i int) (int, fault) {
	switch {
	case i >= len(b):
		return 0, faultNone
	case b[i] == '\n':
		return 0, faultBareLF
	case b[i] != '\r':
		return 0, faultControl
	case i+1 == len(b):
		return 0, faultNone
	case b[i+1] != '\n':
		return 0, faultBareCR
	default:
		return i + 2, faultNone
	}
}

// nameFault says why the bytes from start to end and the one after them are no
// field name and colon.
func nameFault(b []byte, start, end int) fault {
	space := b[end] == ' ' || b[end] == '\t'
	switch {
	case b[end] == '\n':
		return faultBareLF
	case start == end && space:
		return faultFold
	case start == end && b[end] == ':':
		return faultEmptyName
	case space:
		return faultSpaceBeforeColon
	case b[end] == '\r':
		return faultNoColon
	default:
		return faultName
	}
}

// find returns the first field of the given ID; there must be one.
func find(fields []Field, id FieldID) *Field {
	for i := range fields {
		if fields[i].ID == id {
			return &fields[i]
		}
	}
	return nil
}
