package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// renderer makes lines of entries. It belongs to one loop: it keeps what it
// can reuse from one line to the next.
type renderer struct {
	format  *Format
	clock   clock
	scratch []byte
}

// line appends the line for e. With a limit above 0, values are cut to that
// many bytes before they are escaped.
func (r *renderer) line(dst []byte, e *Entry, limit int) []byte {
	for i := range r.format.ops {
		if o := &r.format.ops[i]; o.emit == nil {
			dst = append(dst, o.literal...)
		} else {
			dst = r.value(dst, o, e, limit)
		}
	}
	return append(dst, '\n')
}

func (r *renderer) value(dst []byte, o *op, e *Entry, limit int) []byte {
	start := len(dst)
	if o.quoted {
		dst = append(dst, '"')
	}
	from := len(dst)
	dst, ok := o.emit(dst, e, r)
	if !ok {
		return append(dst[:start], o.missing...)
	}
	if !o.safe {
		if limit > 0 {
			dst = dst[:min(len(dst), from+limit)]
		}
		dst = r.escape(dst, from)
	}
	if o.quoted {
		dst = append(dst, '"')
	}
	return dst
}

// escape rewrites dst[from:] so that it can be told from the text around it.
func (r *renderer) escape(dst []byte, from int) []byte {
	how := r.format.escape
	i := from
	for i < len(dst) && how.clean(dst[i]) {
		i++
	}
	if i == len(dst) { // Fast path: nothing to escape.
		return dst
	}
	// Slow path: the tail is set aside and written again.
	r.scratch = append(r.scratch[:0], dst[i:]...)
	return how.append(dst[:i], r.scratch)
}

// escaping says how values are written. The zero value is nginx's default.
type escaping uint8

const (
	escapeDefault escaping = iota // \xHH for what is not printable ASCII, " and \
	escapeJSON                    // as in a JSON string
	escapeNone                    // as they are
)

// missing is what stands for a variable without value, as in nginx.
func (how escaping) missing() string {
	if how == escapeDefault {
		return "-"
	}
	return ""
}

// clean reports whether a byte surely needs no escaping.
func (how escaping) clean(c byte) bool {
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' || how == escapeNone
}

func (how escaping) append(dst, v []byte) []byte {
	if how == escapeJSON {
		return appendJSON(dst, v)
	}
	for _, c := range v {
		if how.clean(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', 'x', hexUpper[c>>4], hexUpper[c&15])
		}
	}
	return dst
}

const hexUpper = "0123456789ABCDEF"

// appendJSON appends the inside of a JSON string. Bytes that are no UTF-8
// become U+FFFD, where nginx would write a line no JSON parser takes.
func appendJSON(dst, v []byte) []byte {
	for len(v) > 0 {
		c := v[0]
		if c < utf8.RuneSelf {
			dst = appendJSONByte(dst, c)
			v = v[1:]
			continue
		}
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, `\uFFFD`...)
		} else {
			dst = append(dst, v[:n]...)
		}
		v = v[n:]
	}
	return dst
}

func appendJSONByte(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c >= 0x20:
		return append(dst, c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\r':
		return append(dst, '\\', 'r')
	case c == '\t':
		return append(dst, '\\', 't')
	case c == '\b':
		return append(dst, '\\', 'b')
	case c == '\f':
		return append(dst, '\\', 'f')
	}
	return append(dst, '\\', 'u', '0', '0', hexUpper[c>>4], hexUpper[c&15])
}

// clock keeps the text of the last second it was asked for.
type clock struct {
	second     int64
	local, iso []byte
}

func (c *clock) at(t time.Time) *clock {
	if s := t.Unix(); s != c.second || c.local == nil {
		c.second = s
		c.local = t.AppendFormat(c.local[:0], "02/Jan/2006:15:04:05 -0700")
		c.iso = t.AppendFormat(c.iso[:0], "2006-01-02T15:04:05-07:00")
	}
	return c
}

// precision is how many digits stand behind a second's decimal point.
type precision int

const (
	milliseconds precision = 3
	microseconds precision = 6
)

// appendSeconds appends a duration of at least 0 in seconds, cut (not
// rounded) to the precision, as nginx does.
func appendSeconds(dst []byte, d time.Duration, p precision) []byte {
	dst = strconv.AppendInt(dst, int64(d/time.Second), 10)
	dst = append(dst, '.')
	rest := d % time.Second
	for unit := time.Second / 10; p > 0; p-- {
		dst = append(dst, '0'+byte(rest/unit))
		rest %= unit
		unit /= 10
	}
	return dst
}
