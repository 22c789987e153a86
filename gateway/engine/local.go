package engine

import (
	"net/http"
	"strconv"

	"spillway/gateway/http1"
)

// localAnswer is an answer the gateway makes itself.
type localAnswer struct {
	status int
	close  bool // the connection ends with it
	allow  bool // say which methods there are
	trace  []byte
}

// answerLocally answers the client and ends the exchange.
func (ex *exchange) answerLocally(a *localAnswer) {
	l, c := ex.l, ex.c
	ex.dropUpstream()
	ex.status, ex.answering, ex.answered = a.status, true, true
	if ex.inFlow {
		ex.leave(l.loop.Clock(), a.status >= 500)
	}
	l.m.Responses.Inc(a.status)
	a.close = a.close || !ex.keepAlive || !ex.received || c.lastRequest()
	ex.closeAfter = a.close
	l.out = l.appendLocal(l.out[:0], a)
	if ex.minor == 0 && !a.close {
		l.out = insertKeepAlive(l.out)
	}
	body := l.localBody(a)
	ex.sentBody = int64(len(body))
	if ex.method == http1.MethodHead {
		l.out = l.out[:len(l.out)-len(body)]
		ex.sentBody = 0
	}
	if c.send(l.out, nil) && c.out == nil {
		ex.complete(l.loop.Clock())
	}
}

// appendLocal appends the whole message.
func (l *loop) appendLocal(dst []byte, a *localAnswer) []byte {
	body := l.localBody(a)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(a.status)...)
	dst = append(dst, "\r\nDate: "...)
	dst = append(dst, l.date.at(l.loop.Now())...)
	switch {
	case a.trace != nil:
		dst = append(dst, "\r\nContent-Type: message/http"...)
	case len(body) > 0:
		dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8"...)
	}
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	if a.allow {
		dst = append(dst, "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"...)
	}
	if a.close {
		dst = append(dst, "\r\nConnection: close"...)
	}
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

// insertKeepAlive tells an HTTP/1.0 client that the connection stays.
func insertKeepAlive(msg []byte) []byte {
	const field = "Connection: keep-alive\r\n"
	at := 0
	for i := range msg {
		if msg[i] == '\n' {
			at = i + 1
			break
		}
	}
	msg = append(msg, field...)
	copy(msg[at+len(field):], msg[at:])
	copy(msg[at:], field)
	return msg
}

func (l *loop) localBody(a *localAnswer) []byte {
	switch {
	case a.trace != nil:
		return a.trace
	case a.status < 300:
		return nil
	}
	l.body = strconv.AppendInt(l.body[:0], int64(a.status), 10)
	l.body = append(l.body, ' ')
	l.body = append(l.body, statusText(a.status)...)
	return append(l.body, '\n')
}

func statusText(code int) string {
	if s := http.StatusText(code); s != "" {
		return s
	}
	return "Error"
}

// finalRecipient answers a request whose Max-Forwards is 0 (RFC 9110 7.6.2):
// TRACE with the request as received, without what may be secret (9.3.8),
// OPTIONS with what the gateway can.
func (l *loop) finalRecipient(head []byte) *localAnswer {
	r := &l.req
	if r.Method != http1.MethodTrace {
		return &localAnswer{status: 200, allow: true}
	}
	first := r.Fields
	end := uint32(len(head) - 2)
	if len(first) > 0 {
		end = first[0].Line.Start
	}
	msg := append([]byte(nil), head[:end]...)
	for i := range r.Fields {
		f := &r.Fields[i]
		if !secret(f.Name.Of(head)) {
			msg = append(msg, f.Line.Of(head)...)
		}
	}
	return &localAnswer{status: 200, trace: append(msg, "\r\n"...)}
}

// secret reports whether a field is kept out of an echo.
func secret(name []byte) bool {
	for _, s := range []string{"authorization", "proxy-authorization", "cookie", "x-consul-token"} {
		if foldEqual(name, s) {
			return true
		}
	}
	return false
}

// foldEqual compares a field name with a lower-case one.
func foldEqual(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, b := range name {
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}
