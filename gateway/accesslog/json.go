package accesslog

import (
	"strconv"
	"time"
)

// compileJSON returns the named format "json": one object a line, always with
// the same keys in the same order. Counts and seconds are numbers, what is
// unknown is null, several tries are one string as in nginx's variables.
func compileJSON() *Format {
	f := &Format{escape: escapeJSON}
	sep := "{"
	add := func(key string, o op) {
		o.missing = "null"
		f.ops = append(f.ops, op{literal: sep + strconv.Quote(key) + ":"}, o)
		sep = ","
	}
	known := variables()
	str := func(key, of string) {
		v := find(known, of)
		add(key, op{emit: v.emit, safe: v.safe, quoted: true})
	}
	num := func(key string, emit emitter) { add(key, op{emit: emit, safe: true}) }

	add("time", op{emit: jsonTime, safe: true, quoted: true})
	str("remote_addr", "remote_addr")
	str("method", "request_method")
	str("uri", "request_uri")
	str("protocol", "server_protocol")
	str("host", "host")
	num("status", number(func(e *Entry) int64 { return int64(e.Status) }))
	num("bytes_sent", find(known, "bytes_sent").emit)
	num("body_bytes_sent", find(known, "body_bytes_sent").emit)
	num("request_length", find(known, "request_length").emit)
	num("request_time", duration(microseconds, func(e *Entry) time.Duration { return e.RequestTime }))
	num("gateway_time", find(known, "gateway_time").emit)
	str("route", "route")
	str("upstream", "upstream")
	str("upstream_addr", "upstream_addr")
	str("upstream_status", "upstream_status")
	num("upstream_connect_time", lastTry(func(e *Entry) time.Duration { return e.ConnectTime }))
	num("upstream_header_time", lastTry(func(e *Entry) time.Duration { return e.HeaderTime }))
	num("upstream_response_time", lastTry(func(e *Entry) time.Duration { return e.UpstreamTime }))
	num("connection_reused", jsonReused)
	str("request_id", "request_id")
	add("referer", op{emit: f.field("referer"), quoted: true})
	add("user_agent", op{emit: f.field("user-agent"), quoted: true})
	f.ops = append(f.ops, op{literal: "}"})
	return f
}

// find returns a variable that is known to exist.
func find(known []variable, name string) variable {
	for _, v := range known {
		if v.name == name {
			return v
		}
	}
	panic("BUG: no variable " + name)
}

// jsonTime is the time in ISO 8601 with milliseconds.
func jsonTime(dst []byte, e *Entry, r *renderer) ([]byte, bool) {
	const toSecond = len("2006-01-02T15:04:05")
	iso := r.clock.at(e.Time).iso
	dst = append(dst, iso[:toSecond]...)
	ms := strconv.AppendInt(dst, 1000+int64(e.Time.Nanosecond()/1e6), 10)
	ms[len(dst)] = '.' // the leading 1 kept the zeros
	return append(ms, iso[toSecond:]...), true
}

// lastTry is a time of the last try, missing if no server was tried.
func lastTry(get func(*Entry) time.Duration) emitter {
	emit := duration(microseconds, get)
	return func(dst []byte, e *Entry, r *renderer) ([]byte, bool) {
		if len(e.UpstreamAddrs) == 0 {
			return dst, false
		}
		return emit(dst, e, r)
	}
}

func jsonReused(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
	return strconv.AppendBool(dst, e.Reused), len(e.UpstreamAddrs) > 0
}
