package engine

import (
	"bytes"
	"time"

	"spillway/gateway/accesslog"
)

// record is what the access log needs of a request after its bytes are gone.
// It stays empty while no access log is configured.
type record struct {
	format *accesslog.Buffer // whose fields were copied
	text   []byte            // method, target, host, then the fields the format asks for
	ends   []int             // where each of them ends
	id     []byte
	addrs  []string
	status []int
	values [][]byte
	head   int64
	reused bool
}

// reset keeps the memory.
func (r record) reset() record {
	clear(r.addrs)
	clear(r.values)
	return record{
		text: r.text[:0], ends: r.ends[:0], id: r.id[:0],
		addrs: r.addrs[:0], status: r.status[:0], values: r.values[:0],
	}
}

func (r *record) add(b []byte) {
	r.text = append(r.text, b...)
	r.ends = append(r.ends, len(r.text))
}

// part returns the i-th text that was added.
func (r *record) part(i int) []byte {
	from := 0
	if i > 0 {
		from = r.ends[i-1]
	}
	return r.text[from:r.ends[i]]
}

// recordRequest copies what will be logged of the request in l.req.
func (l *loop) recordRequest(ex *exchange, head []byte) {
	if l.log == nil {
		return
	}
	r, rec := &l.req, &ex.rec
	rec.format, rec.head = l.log, int64(len(head))
	rec.add(r.MethodSpan.Of(head))
	rec.add(r.Target.Of(head))
	rec.add(r.Host.Of(head))
	for _, name := range l.logFields {
		rec.add(fieldValue(r, head, name))
	}
}

// recordID notes the request's id: the client's if it sent one, else ours.
func (ex *exchange) recordID(id, head []byte) {
	if ex.l.log == nil {
		return
	}
	if own := fieldValue(&ex.l.req, head, "x-request-id"); own != nil {
		id = own
	}
	ex.rec.id = append(ex.rec.id[:0], id...)
}

// recordTry notes how the attempt at the current server ended.
func (ex *exchange) recordTry(status int) {
	if ex.l.log == nil || ex.entry == nil {
		return
	}
	rec := &ex.rec
	rec.addrs = append(rec.addrs, ex.entry.Addr)
	rec.status = append(rec.status, status)
	rec.reused = ex.u != nil && ex.u.reused
}

// logExchange writes the access log's line.
func (l *loop) logExchange(ex *exchange, status int, now int64) {
	rec := &ex.rec
	if len(rec.ends) < 3 {
		return // the log was switched on after the request began
	}
	t := &ex.times
	e := &l.entry
	*e = accesslog.Entry{
		Time: time.Now(), ClientIP: ex.c.ip[:ex.c.ipLen], Minor: ex.minor, Status: status,
		Method: rec.part(0), Target: rec.part(1), Host: rec.part(2),
		BytesSent: ex.sentAll, BodyBytesSent: ex.sentBody, RequestBytes: rec.head + ex.bodyRead,
		UpstreamAddrs: rec.addrs, UpstreamStatus: rec.status, Reused: rec.reused, RequestID: rec.id,
		ConnectTime: between(t.dialed, t.connected), HeaderTime: between(t.picked, t.head),
		UpstreamTime: between(t.picked, t.answered), RequestTime: time.Duration(now - t.start), Overhead: time.Duration(now - t.start),
	}
	if ex.lp != nil {
		e.Upstream = ex.lp.pool.Name
	}
	if t.answered != 0 {
		e.Overhead -= e.UpstreamTime
	}
	e.Route = ex.route
	for i := range l.logFields {
		var v []byte
		if rec.format == l.log { // else the format changed, and with it the fields
			v = valueOrNil(rec.part(3 + i))
		}
		rec.values = append(rec.values, v)
	}
	e.Headers = rec.values
	if rec.reused {
		e.ConnectTime = 0
	}
	l.log.Log(e)
}

// logRefused writes the line of a request that could not be understood, of
// which head was received, and whose answer a is in the loop's scratch.
func (l *loop) logRefused(c *client, a *localAnswer, head []byte) {
	if l.log == nil {
		return
	}
	l.entry = accesslog.Entry{
		Time: time.Now(), ClientIP: c.ip[:c.ipLen], Minor: 1, Status: a.status, Target: firstLine(head),
		BytesSent: int64(len(l.out)), BodyBytesSent: int64(len(l.localBody(a))), RequestBytes: int64(len(head)),
		ConnectTime: accesslog.Unknown, HeaderTime: accesslog.Unknown, UpstreamTime: accesslog.Unknown,
	}
	l.log.Log(&l.entry)
}

// firstLine is what stands before the first line end, cut at 256 bytes: who
// sends no request need not fill the log.
func firstLine(b []byte) []byte {
	b = bytes.TrimLeft(b[:min(len(b), 256)], "\r\n")
	if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
		b = b[:i]
	}
	return b
}

func valueOrNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// between is the time from one reading to another, Unknown if one is missing.
func between(from, to int64) time.Duration {
	if from == 0 || to == 0 {
		return accesslog.Unknown
	}
	return time.Duration(to - from)
}
