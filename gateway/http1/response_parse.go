package http1

// parse reads one response head; see Parse.
func (r *Response) parse(b []byte, lim *Limits, toMethod Method) (int, fault) {
	full := len(b) >= lim.HeadBytes
	if full {
		b = b[:lim.HeadBytes]
	}
	*r = Response{Fields: r.Fields[:0], ContentLength: -1, KeepAliveTimeout: -1}
	n, f := r.parseHead(b, lim, toMethod)
	if n == 0 && f == faultNone && full {
		f = faultHeadLong
	}
	return n, f
}

func (r *Response) parseHead(b []byte, lim *Limits, toMethod Method) (int, fault) {
	line := b[:min(len(b), lim.RequestLine)]
	i, f := r.parseLine(line)
	if i == 0 {
		if f == faultNone && len(line) == lim.RequestLine {
			f = faultStatusLine
		}
		return 0, f
	}
	s := fieldScan{list: r.Fields, max: lim.Fields, repair: true}
	n, f := s.parse(b, i)
	r.Fields, r.seen, r.HeadLen = s.list, s.seen, n
	if n == 0 {
		return 0, f
	}
	return n, r.interpret(b, &s, toMethod)
}

// parseLine reads the status line (RFC 9112 4) and returns the index after
// it. The space before an empty reason phrase may be missing.
func (r *Response) parseLine(b []byte) (int, fault) {
	i, minor, f := scanVersion(b, 0)
	if i == 0 {
		return 0, f
	}
	r.Minor = minor
	if i, f = r.parseStatus(b, i); i == 0 {
		return 0, f
	}
	end := i
	if b[i] == ' ' {
		end = scanText(b, i+1)
		r.Reason = span(i+1, end)
	} else if b[i] != '\r' && b[i] != '\n' {
		return 0, faultStatusLine
	}
	next, f := lineEnd(b, end)
	r.line = span(0, next)
	return next, f
}

// parseStatus reads " 200" at i and returns the index after it, or 0. There is
// a byte at that index.
func (r *Response) parseStatus(b []byte, i int) (int, fault) {
	const form = " 100"
	for k := range len(form) {
		if i+k == len(b) {
			return 0, faultNone
		}
		c := b[i+k]
		if k == 0 && c != ' ' || k > 0 && (c < '0' || c > '9') {
			return 0, faultStatusLine
		}
		if k > 0 {
			r.Status = r.Status*10 + int(c-'0')
		}
	}
	if r.Status < 100 || r.Status > 599 {
		return 0, faultStatusLine
	}
	if i += len(form); i == len(b) {
		return 0, faultNone
	}
	return i, faultNone
}

// interpret gives the fields of a whole head their meaning.
func (r *Response) interpret(b []byte, s *fieldScan, toMethod Method) fault {
	if !r.unframed(toMethod) {
		body, f := parseFraming(b, s, r.Minor)
		if f != faultNone {
			return f
		}
		r.ContentLength, r.Chunked = body.length, body.chunked
	}
	kind, _ := r.Body(toMethod)
	r.KeepAlive = r.Minor > 0 && kind != CloseBody
	if s.seen&(1<<FieldConnection|1<<FieldKeepAlive) == 0 {
		return faultNone // Fast path
	}
	return r.interpretConnection(b, s, kind)
}

func (r *Response) interpretConnection(b []byte, s *fieldScan, kind BodyKind) fault {
	opts, f := connectionOptions(b, s.list)
	if f != faultNone {
		return f
	}
	r.KeepAlive = opts.persistent(r.Minor) && kind != CloseBody
	r.Upgrade = r.Status == 101 && opts&optionUpgrade != 0 && s.seen.has(FieldUpgrade)
	if s.seen.has(FieldKeepAlive) {
		r.KeepAliveTimeout = keepAliveTimeout(b, s.list)
	}
	return faultNone
}

// keepAliveTimeout returns the smallest "timeout=N" of the Keep-Alive fields
// in seconds, -1 if there is none (RFC 2068 19.7.1.1).
func keepAliveTimeout(b []byte, fields []Field) int {
	least := int64(-1)
	for i := range fields {
		if fields[i].ID != FieldKeepAlive {
			continue
		}
		for list := fields[i].Value.Of(b); len(list) > 0; {
			var elem []byte
			elem, list = nextElement(list)
			n, ok := timeoutParameter(elem)
			if ok && (least < 0 || n < least) {
				least = n
			}
		}
	}
	return int(min(least, 1<<31-1))
}

func timeoutParameter(elem []byte) (int64, bool) {
	name := elem[:scanToken(elem, 0)]
	if !foldEqual(name, "timeout") || len(name) == len(elem) || elem[len(name)] != '=' {
		return 0, false
	}
	return parseDigits(elem[len(name)+1:])
}
