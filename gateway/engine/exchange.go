package engine

import (
	"time"

	"spillway/gateway/http1"
	"spillway/gateway/metrics"
	"spillway/gateway/upstream"
)

// exchange is one request and its answer. It couples a client to one server
// connection at a time and knows no descriptor. Its two machines pause and
// go on by themselves, so that both sides may send large bodies at once.
//
//	request:   head ---> body ---------------------> sent
//	                     |  ^ paused: upstream slow    (up is flushed)
//	                     v  |
//	                   [read from client, write to upstream]
//
//	response:  wait ---> head ---> body ------------> done ---> complete
//	           ^  |                |  ^ paused: client slow      (out is flushed)
//	           |  | failed before  v  |
//	           |  v a byte of it  [read from upstream, write to client]
//	          retry, or an answer of the gateway: 502, 503, 504
//	          failed after a byte was passed on: the client is cut
//
//	tunnel:    after 101 (or 2xx to CONNECT) both machines pass raw bytes;
//	           FIN is passed on each way, and the end is when both have it.
//
// The server connection is given back as soon as the answer is read, even if
// the client lags. An exchange lives on its loop's free list in between.
type exchange struct {
	l      *loop
	c      *client
	lp     *loopPool // nil while no route was found
	u      *upconn   // nil between attempts and once the answer is read
	entry  *upstream.Entry
	srv    *server // of entry
	inFlow bool    // counted as in flight of the upstream

	// The request, as the client sent it.
	method    http1.Method
	minor     uint8
	keepAlive bool // the client is ready for another exchange
	upgrade   bool // the client offers to upgrade
	connect   bool // CONNECT, allowed by its route
	expect    bool // the client waits for 100
	trailers  bool // the client takes trailer fields
	bodyKind  http1.BodyKind
	bodyLeft  int64
	chunks    http1.Chunked
	bodyRead  int64 // bytes of the body, without framing
	received  bool  // the request was read whole

	// up holds what goes upstream. While replay holds it begins with the
	// request's first byte; sent is how far the kernel has taken it.
	up     *buffer
	sent   int
	replay bool

	// The response.
	answering  bool // a byte of it was passed to the client
	gotByte    bool // the server sent a byte of it in this attempt
	answered   bool // it was read whole
	tunnel     bool
	upFin      bool // tunnel: the server sent FIN
	clFin      bool // tunnel: the client's FIN was passed on
	closeAfter bool // the client's connection ends with it
	respKind   http1.BodyKind
	outKind    http1.BodyKind
	respLeft   int64
	respChunks http1.Chunked
	status     int

	// Attempts.
	tried    []*upstream.Server
	prefers  *upstream.Server // the client's cookie names it
	alone    bool             // not on a shared connection any more
	retryEnd int64            // no further attempt starts after it, 0 is no bound
	// lastFailure is how the last attempt went wrong, if one did.
	lastFailure failure

	key      []byte // what a hash policy hashes
	times    times
	route    string
	sentAll  int64 // bytes passed to the client
	sentBody int64 // body bytes passed to the client
	rec      record
	next     *exchange // free list
}

// times are readings of the loop's clock, 0 for what has not happened. began
// is of the current attempt, the others of the request.
type times struct {
	start, picked, began, dialed, connected, head, answered int64
}

// retain is how much of a request is kept for another attempt.
const retain = 16 << 10

// startExchange begins the exchange for the request in l.req, parsed from
// head; rest is what was received behind it.
func (l *loop) startExchange(c *client, head, rest []byte) {
	ex := l.newExchange(c)
	c.ex = ex
	r := &l.req
	ex.times.start = l.loop.Clock()
	ex.method, ex.minor, ex.keepAlive = r.Method, r.Minor, r.KeepAlive
	ex.expect, ex.upgrade, ex.trailers = r.Expect100, r.Upgrade, r.TETrailers
	ex.bodyKind, ex.bodyLeft = r.Body()
	ex.received = ex.bodyKind == http1.NoBody
	l.loop.Disarm(&c.Source)
	l.recordRequest(ex, head)

	path := r.Path.Of(head)
	if len(path) == 0 {
		path = pathOf(r.Form)
	}
	lp, found := l.route(r.Host.Of(head), path, r.MethodSpan.Of(head))
	ex.lp = lp
	if found {
		ex.route = l.cfg.Routes.Rules()[l.match.Rule].Name
	}
	if a := l.ownAnswer(ex, head, found); a != nil {
		c.keep(rest)
		ex.answerLocally(a)
		return
	}
	ex.connect = r.Method == http1.MethodConnect
	ex.key = lp.hash.appendKey(ex.key[:0], c, r, head)
	ex.prefers = lp.sticky.server(r, head)
	ex.buildRequest(head, len(rest))
	n, bad := ex.takeBody(rest)
	c.keep(rest[n:])
	if bad != nil {
		ex.refuseBody(bad)
		return
	}
	if d := lp.settings.Retry.Timeout; d > 0 {
		ex.retryEnd = l.loop.Now() + int64(d)
	}
	ex.arrive()
	ex.attempt()
	if c.ex == ex && !ex.received {
		ex.awaitBody()
	}
}

func pathOf(f http1.TargetForm) []byte {
	if f == http1.AsteriskForm {
		return asterisk
	}
	return slash
}

var slash, asterisk = []byte("/"), []byte("*")

// ownAnswer returns the answer the gateway gives without asking a server,
// nil if the request is to be forwarded.
func (l *loop) ownAnswer(ex *exchange, head []byte, found bool) *localAnswer {
	r := &l.req
	switch {
	case !found:
		return &localAnswer{status: 404}
	case r.Method == http1.MethodConnect && !l.match.Connect:
		return &localAnswer{status: 405, close: true, allow: true}
	case ex.lp == nil:
		return &localAnswer{status: 404}
	case r.MaxForwards == 0:
		return l.finalRecipient(head)
	case l.cfg.MaxBody > 0 && ex.bodyKind == http1.LengthBody && ex.bodyLeft > l.cfg.MaxBody:
		return &localAnswer{status: 413, close: true}
	}
	return nil
}

// buildRequest writes the head that goes upstream into up; more is how many
// bytes of the body are at hand.
func (ex *exchange) buildRequest(head []byte, more int) {
	l, c := ex.l, ex.c
	rw := &l.rewrite
	rw.ClientIP, rw.Proto = c.ip[:c.ipLen], "http"
	rw.Trusted = c.trusted
	rw.XForwarded, rw.Forwarded, rw.Via = l.cfg.XForwarded, l.cfg.Forwarded, l.cfg.Via
	rw.Upgrade = ex.upgrade
	rw.DefaultHost = defaultHost
	rw.RequestID = nil
	if l.cfg.RequestID {
		rw.RequestID = l.ids.id()
		ex.recordID(rw.RequestID, head)
	}
	ex.up = l.buffers.get(len(head) + 512 + min(more, retain))
	ex.up.b = http1.AppendRequestHead(ex.up.b, head, &l.req, rw)
	ex.sent, ex.replay = 0, true
}

// defaultHost is the Host of an HTTP/1.0 request that names none. nginx sends
// the upstream's name; a name that no server can mistake for its own is safer.
var defaultHost = []byte("localhost")

func (l *loop) newExchange(c *client) *exchange {
	ex := l.freeEx
	if ex == nil {
		ex = &exchange{l: l, tried: make([]*upstream.Server, 0, 4)}
	} else {
		l.freeEx, ex.next = ex.next, nil
	}
	ex.c = c
	return ex
}

// free gives the exchange back. It must be detached from its connections.
func (l *loop) free(ex *exchange) {
	l.buffers.put(ex.up)
	clear(ex.tried)
	*ex = exchange{
		l: l, next: l.freeEx,
		tried: ex.tried[:0], key: ex.key[:0], rec: ex.rec.reset(),
		chunks: http1.Chunked{Trailer: ex.chunks.Trailer[:0]}, respChunks: http1.Chunked{Trailer: ex.respChunks.Trailer[:0]},
	}
	l.freeEx = ex
}

// complete ends the exchange: the answer is with the client, whole, at now.
func (ex *exchange) complete(now int64) {
	c := ex.c
	keep := ex.keepAlive && !ex.closeAfter && ex.received
	inputLeft := !ex.received
	ex.finish(ex.status, now)
	c.answered(keep, inputLeft)
}

// canceled ends the exchange because the client is gone (499), or because it
// was cut in the middle of an answer.
func (ex *exchange) canceled() {
	l := ex.l
	status := ex.status
	if !ex.tunnel {
		l.m.Canceled.Inc()
		if !ex.answering {
			status = statusClientClosed
		}
	}
	if ex.u != nil && ex.lp != nil && !ex.tunnel {
		ex.lp.m.Canceled.Inc()
	}
	ex.dropUpstream()
	ex.finish(status, l.loop.Clock())
}

// statusClientClosed is nginx's code for a client that left before its answer.
const statusClientClosed = 499

// finish counts and logs the exchange, which ended at now, and frees it.
func (ex *exchange) finish(status int, now int64) {
	l := ex.l
	if ex.tunnel {
		l.m.TunnelsActive.Dec()
	}
	ex.leave(now, status >= 500)
	if lp := ex.lp; lp != nil {
		lp.m.Requests.Inc(status)
		total := now - ex.times.start
		lp.m.Duration.Observe(total)
		if ex.times.answered != 0 && !ex.tunnel {
			inside := ex.times.answered - ex.times.picked
			lp.m.UpstreamDuration.Observe(inside)
			lp.m.Overhead.Observe(total - inside)
		}
	}
	if l.log != nil {
		l.logExchange(ex, status, now)
	}
	ex.c.ex = nil
	l.free(ex)
}

// dropUpstream closes the server connection of an exchange that ends early.
func (ex *exchange) dropUpstream() {
	u := ex.u
	if u != nil && u.pipe != nil {
		ex.endAttempt()
		u.leave(ex)
		return
	}
	ex.endAttempt()
	if u != nil {
		u.close()
	}
}

// endAttempt detaches the exchange from its server.
func (ex *exchange) endAttempt() {
	if ex.entry != nil {
		status := ex.tryStatus()
		ex.recordTry(status)
		if status != 0 {
			ex.lp.answered(ex.srv)
		}
		ex.entry.Inflight.Add(-1)
		ex.entry, ex.srv = nil, nil
	}
	if u := ex.u; u != nil {
		if u.ex == ex {
			u.ex = nil
		}
		ex.u = nil
	}
}

// tryStatus is what the server answered in this attempt, 0 for nothing.
func (ex *exchange) tryStatus() int {
	if ex.times.head == 0 {
		return 0
	}
	return ex.status
}

// clientTimeout is the client's timer while the exchange runs: the body
// stalls, or 100 does not come.
func (ex *exchange) clientTimeout() {
	l, c := ex.l, ex.c
	t := &l.cfg.Timeouts
	switch {
	case ex.tunnel:
		l.m.Timeouts[metrics.TimeoutTunnel].Inc()
		c.abort()
	case ex.expect && ex.answering:
		// It need not send its body any more: the server's timer decides.
	case ex.expect:
		ex.expect = false
		if c.send(continueLine, nil) {
			ex.awaitBody()
		}
	case ex.received:
		// The request came whole meanwhile: the server's timer decides.
	case ex.blocked():
		l.arm(&c.Source, t.Body) // it is we who do not read
	case t.MinBodyRate > 0 && ex.paceKept():
		ex.awaitBody()
	default:
		l.m.Timeouts[metrics.TimeoutBody].Inc()
		ex.refuseBody(errBodyTimeout)
	}
}

var (
	continueLine   = []byte("HTTP/1.1 100 Continue\r\n\r\n")
	errBodyTimeout = &http1.Error{Status: 408, Reason: "request body took too long"}
	errBodyTooBig  = &http1.Error{Status: 413, Reason: "request body is longer than allowed"}
)

// awaitBody arms the client's timer for the next piece of the body. While
// there is a floor to the rate, progress alone does not move the deadline.
func (ex *exchange) awaitBody() {
	l, c := ex.l, ex.c
	t := &l.cfg.Timeouts
	c.paced, c.pacedAt = ex.bodyRead, l.loop.Now()
	switch {
	case c.out != nil:
		return // the send timer runs
	case ex.expect:
		d := t.Expect
		if d <= 0 {
			d = time.Second
		}
		l.arm(&c.Source, d)
	case t.MinBodyRate > 0:
		l.arm(&c.Source, paceEvery(t.Body))
	default:
		l.arm(&c.Source, t.Body)
	}
}

// paceEvery is how often the rate of a body is looked at.
func paceEvery(body time.Duration) time.Duration {
	const every = 5 * time.Second
	if body > 0 && body < every {
		return body
	}
	return every
}

// paceKept reports whether the body came at the least rate allowed since it
// was last looked at. It is not judged soon after a pause that was ours; at
// first all that is asked is that it does not stand still.
func (ex *exchange) paceKept() bool {
	c, t := ex.c, &ex.l.cfg.Timeouts
	elapsed, came := ex.l.loop.Now()-c.pacedAt, ex.bodyRead-c.paced
	switch {
	case elapsed < int64(paceEvery(t.Body))/2:
		return true
	case c.pacedAt-ex.times.start < int64(t.bodyGrace()):
		return came > 0 || t.Body <= 0 || elapsed < int64(t.Body)
	}
	return came*int64(time.Second) >= t.MinBodyRate*elapsed
}

// bodyGrace is BodyGrace with its default.
func (t *Timeouts) bodyGrace() time.Duration {
	if t.BodyGrace <= 0 {
		return 10 * time.Second
	}
	return t.BodyGrace
}
