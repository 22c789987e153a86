package http1

// parse reads one request head; see Parse.
func (r *Request) parse(b []byte, lim *Limits) (int, fault) {
	start := 0
	if len(b) > 0 && (b[0] == '\r' || b[0] == '\n') { // RFC 9112 2.2
		var f fault
		if start, f = lineEnd(b, 0); start == 0 {
			return 0, f
		}
	}
	// A head that is as long as it may be and has no end is too long: nothing
	// past the limit is ever looked at.
	full := len(b) >= start+lim.HeadBytes
	if full {
		b = b[:start+lim.HeadBytes]
	}
	*r = Request{Fields: r.Fields[:0], ContentLength: -1, MaxForwards: -1}
	n, f := r.parseHead(b, start, lim)
	if n == 0 && f == faultNone && full {
		f = faultHeadLong
	}
	return n, f
}

func (r *Request) parseHead(b []byte, start int, lim *Limits) (int, fault) {
	line := b[:min(len(b), start+lim.RequestLine)]
	i, f := r.parseLine(line, start)
	if i == 0 {
		if f == faultNone && len(line) == start+lim.RequestLine {
			f = r.lineLong()
		}
		return 0, f
	}
	if f = r.parseTarget(b); f != faultNone {
		return 0, f
	}
	s := fieldScan{list: r.Fields, max: lim.Fields}
	n, f := s.parse(b, i)
	r.Fields, r.seen, r.HeadLen = s.list, s.seen, n
	if n == 0 {
		return 0, f
	}
	return n, r.interpret(b, &s)
}

// parseLine reads the request line at i and returns the index after it: one
// token, one space, visible ASCII, one space, the version, CRLF.
func (r *Request) parseLine(b []byte, i int) (int, fault) {
	end := scanToken(b, i)
	if end == len(b) {
		return 0, faultNone
	}
	if b[end] != ' ' || end == i {
		return 0, faultMethod
	}
	r.MethodSpan = span(i, end)
	r.Method = methodOf(b[i:end])
	from := end + 1
	to := scanTarget(b, from)
	if to == len(b) {
		return 0, faultNone
	}
	if b[to] != ' ' {
		return 0, targetFault(b[to])
	}
	if to == from {
		return 0, faultRequestLine
	}
	r.Target = span(from, to)
	version, minor, f := scanVersion(b, to+1)
	if version == 0 {
		return 0, f
	}
	next, f := lineEnd(b, version)
	if f == faultControl {
		f = faultVersion
	}
	r.Minor, r.line = minor, span(i, next)
	return next, f
}

// targetFault says what the byte that ends a target, and is no space, means.
func targetFault(c byte) fault {
	switch c {
	case '\r':
		return faultRequestLine
	case '\n':
		return faultBareLF
	default:
		return faultTarget
	}
}

// lineLong says which part of the request line is too long (RFC 9112 3).
func (r *Request) lineLong() fault {
	if r.MethodSpan.Empty() {
		return faultMethodLong
	}
	return faultTargetLong
}

// interpret gives the fields of a whole head their meaning.
func (r *Request) interpret(b []byte, s *fieldScan) fault {
	if f := r.parseHost(b, s); f != faultNone {
		return f
	}
	body, f := parseFraming(b, s, r.Minor)
	if f != faultNone {
		return f
	}
	r.ContentLength, r.Chunked = body.length, body.chunked
	r.KeepAlive = r.Minor > 0
	const rare = 1<<FieldConnection | 1<<FieldUpgrade | 1<<FieldTE | 1<<FieldExpect | 1<<FieldMaxForwards
	if s.seen&rare == 0 {
		return faultNone // Fast path
	}
	return r.interpretRare(b, s)
}

func (r *Request) interpretRare(b []byte, s *fieldScan) fault {
	opts, f := connectionOptions(b, s.list)
	if f != faultNone {
		return f
	}
	r.KeepAlive = opts.persistent(r.Minor)
	if r.Minor > 0 {
		r.Upgrade = opts&optionUpgrade != 0 && s.seen.has(FieldUpgrade) &&
			!offersH2C(b, s.list)
		r.TETrailers = s.seen.has(FieldTE) && hasElement(b, s.list, FieldTE, "trailers")
	}
	if f = r.parseExpect(b, s); f != faultNone {
		return f
	}
	return r.parseMaxForwards(b, s)
}

// parseHost checks the Host field and makes it the effective host unless the
// target has one (RFC 9112 3.2, 3.2.2).
func (r *Request) parseHost(b []byte, s *fieldScan) fault {
	if s.twice.has(FieldHost) {
		return faultHostTwice
	}
	if !s.seen.has(FieldHost) {
		if r.Minor > 0 {
			return faultHostMissing
		}
		return faultNone
	}
	value := find(s.list, FieldHost).Value
	if value.Empty() && r.Minor == 0 {
		return faultNone
	}
	if !validAuthority(value.Of(b)) {
		return faultHost
	}
	if r.Form == OriginForm || r.Form == AsteriskForm {
		r.Host = value
	}
	return faultNone
}

// parseExpect takes 100-continue and refuses any other expectation. In
// HTTP/1.0, and where there is no body to wait with, it means nothing (RFC
// 9110 10.1.1).
func (r *Request) parseExpect(b []byte, s *fieldScan) fault {
	if r.Minor == 0 || !s.seen.has(FieldExpect) {
		return faultNone
	}
	value := find(s.list, FieldExpect).Value.Of(b)
	if s.twice.has(FieldExpect) || !tokenEqual(value, "100-continue") {
		return faultExpect
	}
	kind, _ := r.Body()
	r.Expect100 = kind != NoBody
	return faultNone
}

// parseMaxForwards reads Max-Forwards, which only TRACE and OPTIONS have (RFC
// 9110 7.6.2). A number too large for an int32 is cut to that.
func (r *Request) parseMaxForwards(b []byte, s *fieldScan) fault {
	if r.Method != MethodTrace && r.Method != MethodOptions || !s.seen.has(FieldMaxForwards) {
		return faultNone
	}
	n, ok := parseDigits(find(s.list, FieldMaxForwards).Value.Of(b))
	if !ok || s.twice.has(FieldMaxForwards) {
		return faultMaxForwards
	}
	r.MaxForwards = int(min(n, 1<<31-1))
	return faultNone
}
