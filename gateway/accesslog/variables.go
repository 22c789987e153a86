package accesslog

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// emitter appends a variable's value as it is, unescaped. It reports whether
// there is a value.
type emitter func(dst []byte, e *Entry, r *renderer) ([]byte, bool)

type variable struct {
	name string
	emit emitter
	safe bool // the value needs no escaping
}

// variables are all names but those of request fields ($http_name).
func variables() []variable {
	pid := strconv.Itoa(os.Getpid())
	return []variable{
		{name: "remote_addr", emit: text(func(e *Entry) []byte { return e.ClientIP })},
		{name: "remote_user", emit: absent},
		{name: "time_local", safe: true, emit: func(dst []byte, e *Entry, r *renderer) ([]byte, bool) {
			return append(dst, r.clock.at(e.Time).local...), true
		}},
		{name: "time_iso8601", safe: true, emit: func(dst []byte, e *Entry, r *renderer) ([]byte, bool) {
			return append(dst, r.clock.at(e.Time).iso...), true
		}},
		{name: "msec", safe: true, emit: func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
			return appendSeconds(dst, time.Duration(e.Time.UnixNano()), milliseconds), true
		}},
		{name: "pid", safe: true, emit: func(dst []byte, _ *Entry, _ *renderer) ([]byte, bool) {
			return append(dst, pid...), true
		}},

		{name: "request", emit: requestLine},
		{name: "request_method", emit: text(func(e *Entry) []byte { return e.Method })},
		{name: "request_uri", emit: requestURI},
		{name: "uri", emit: normalURI},
		{name: "args", emit: text(func(e *Entry) []byte { return splitTarget(e).query })},
		{name: "query_string", emit: text(func(e *Entry) []byte { return splitTarget(e).query })},
		{name: "server_protocol", safe: true, emit: protocol},
		{name: "host", emit: host},
		{name: "request_length", safe: true, emit: number(func(e *Entry) int64 { return e.RequestBytes })},
		{name: "request_id", emit: text(func(e *Entry) []byte { return e.RequestID })},
		{name: "route", emit: name(func(e *Entry) string { return e.Route })},

		{name: "status", safe: true, emit: status},
		{name: "bytes_sent", safe: true, emit: number(func(e *Entry) int64 { return e.BytesSent })},
		{name: "body_bytes_sent", safe: true, emit: number(func(e *Entry) int64 { return e.BodyBytesSent })},
		{name: "request_time", safe: true, emit: duration(milliseconds, func(e *Entry) time.Duration { return e.RequestTime })},
		{name: "gateway_time", safe: true, emit: duration(microseconds, func(e *Entry) time.Duration { return e.Overhead })},

		{name: "upstream", emit: name(func(e *Entry) string { return e.Upstream })},
		{name: "upstream_addr", emit: tries(func(dst []byte, e *Entry, i int) []byte {
			return append(dst, e.UpstreamAddrs[i]...)
		})},
		{name: "upstream_status", safe: true, emit: tries(tryStatus)},
		{name: "upstream_connect_time", safe: true, emit: tryTime(func(t TryTimes) time.Duration { return t.Connect })},
		{name: "upstream_header_time", safe: true, emit: tryTime(func(t TryTimes) time.Duration { return t.Header })},
		{name: "upstream_response_time", safe: true, emit: tryTime(func(t TryTimes) time.Duration { return t.Response })},
		{name: "connection_reused", safe: true, emit: func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
			if e.Reused {
				return append(dst, '1'), true
			}
			return append(dst, '0'), true
		}},
	}
}

func absent(dst []byte, _ *Entry, _ *renderer) ([]byte, bool) { return dst, false }

func text(get func(*Entry) []byte) emitter {
	return func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
		v := get(e)
		return append(dst, v...), len(v) > 0
	}
}

func name(get func(*Entry) string) emitter {
	return func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
		v := get(e)
		return append(dst, v...), v != ""
	}
}

func number(get func(*Entry) int64) emitter {
	return func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
		return strconv.AppendInt(dst, get(e), 10), true
	}
}

func duration(p precision, get func(*Entry) time.Duration) emitter {
	return func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
		d := get(e)
		if d < 0 {
			return dst, false
		}
		return appendSeconds(dst, d, p), true
	}
}

// tries emits one item for each server tried.
func tries(item func(dst []byte, e *Entry, i int) []byte) emitter {
	return func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
		for i := range e.UpstreamAddrs {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = item(dst, e, i)
		}
		return dst, len(e.UpstreamAddrs) > 0
	}
}

func tryStatus(dst []byte, e *Entry, i int) []byte {
	if i >= len(e.UpstreamStatus) || e.UpstreamStatus[i] == 0 {
		return append(dst, '-')
	}
	return strconv.AppendInt(dst, int64(e.UpstreamStatus[i]), 10)
}

func tryTime(pick func(TryTimes) time.Duration) emitter {
	return tries(func(dst []byte, e *Entry, i int) []byte {
		d := pick(timesOf(e, i))
		if d < 0 {
			return append(dst, '-')
		}
		return appendSeconds(dst, d, milliseconds)
	})
}

func timesOf(e *Entry, try int) TryTimes {
	switch {
	case try == len(e.UpstreamAddrs)-1:
		return TryTimes{e.ConnectTime, e.HeaderTime, e.UpstreamTime}
	case try < len(e.Earlier):
		return e.Earlier[try]
	}
	return TryTimes{Unknown, Unknown, Unknown}
}

// status has three digits, as in nginx.
func status(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
	if e.Status < 100 {
		return append(dst, "000"...), true
	}
	return strconv.AppendInt(dst, int64(e.Status), 10), true
}

func requestLine(dst []byte, e *Entry, r *renderer) ([]byte, bool) {
	if len(e.Method) == 0 {
		return append(dst, e.Target...), len(e.Target) > 0
	}
	dst = append(append(dst, e.Method...), ' ')
	dst = append(append(dst, e.Target...), ' ')
	return protocol(dst, e, r)
}

func protocol(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
	if len(e.Method) == 0 {
		return dst, false
	}
	return append(append(dst, "HTTP/1."...), '0'+e.Minor%10), true
}

// host is in lower case and without port; empty, not "-", if the request
// names none.
func host(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
	h := e.Host
	if i := bytes.LastIndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i:], ']') < 0 {
		h = h[:i]
	}
	for _, c := range h {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, true
}
