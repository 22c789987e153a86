package http1

import "bytes"

// stepTrailer takes one byte of the trailer section (RFC 9112 7.1.2).
func (d *Chunked) stepTrailer(c byte, lim *Limits) fault {
	if d.trailer++; d.trailer > lim.Trailer {
		return faultTrailerLong
	}
	switch d.state {
	case atTrailerStart:
		return d.startTrailer(c, lim)
	case atTrailerName:
		if c == ':' {
			d.state = atTrailerValue
		} else if class[c]&classToken == 0 {
			return nameFault([]byte{0, c}, 0, 1)
		}
	case atTrailerValue:
		if c == '\r' {
			d.state = atTrailerLF
		} else if class[c]&classText == 0 {
			_, f := lineEnd([]byte{c}, 0)
			return f
		}
	case atTrailerLF:
		if c != '\n' {
			return faultBareCR
		}
		d.state = atTrailerStart
	default: // atLastLF
		if c != '\n' {
			return faultBareCR
		}
		d.state = atEnd
		return faultNone
	}
	d.keep(c)
	if d.state == atTrailerStart {
		d.endTrailer()
	}
	return faultNone
}

// startTrailer takes the first byte of a line of the trailer section.
func (d *Chunked) startTrailer(c byte, lim *Limits) fault {
	if c == '\r' {
		d.state = atLastLF
		return faultNone
	}
	if class[c]&classToken == 0 {
		return nameFault([]byte{c}, 0, 0)
	}
	if d.lines++; d.lines > lim.Fields {
		return faultFields
	}
	d.state, d.lineStart = atTrailerName, len(d.Trailer)
	d.keep(c)
	return faultNone
}

// keep appends a byte of a trailer line to Trailer. If it does not fit, the
// section is dropped whole: a part of it would say something else.
func (d *Chunked) keep(c byte) {
	if d.overflow || len(d.Trailer) == cap(d.Trailer) {
		d.overflow, d.Trailer = true, d.Trailer[:0]
		return
	}
	d.Trailer = append(d.Trailer, c)
}

// endTrailer drops the line just read if it may not be forwarded.
func (d *Chunked) endTrailer() {
	if d.overflow {
		return
	}
	line := d.Trailer[d.lineStart:]
	if !trailerAllowed(line[:bytes.IndexByte(line, ':')]) {
		d.Trailer = d.Trailer[:d.lineStart]
	}
}

// trailerAllowed reports whether a field may be sent in a trailer section:
// not if it frames, routes, authenticates, modifies or describes the message,
// since a recipient that merges trailers would act on it late (RFC 9110
// 6.5.1).
func trailerAllowed(name []byte) bool {
	switch id := fieldOf(name); {
	case id == FieldOther:
	case id == FieldUserAgent || id == FieldReferer || id == FieldServer:
		return true
	default:
		return false
	}
	for _, p := range [...]string{"content-", "x-forwarded-", "proxy-", "if-", "access-control-"} {
		if len(name) >= len(p) && foldEqual(name[:len(p)], p) {
			return false
		}
	}
	for _, n := range [...]string{
		"age", "authorization", "authentication-info", "cache-control", "cookie", "cookie2", "expires", "location",
		"pragma", "range", "retry-after", "set-cookie", "set-cookie2", "vary", "warning", "www-authenticate", "x-real-ip",
	} {
		if foldEqual(name, n) {
			return false
		}
	}
	return true
}
