// Package engine_test is the conformance and adversarial suite of the data
// plane. It is a black box: it speaks to the gateway over TCP only, with a
// scripted client (wire) in front and a scripted server (backend) behind,
// both on raw bytes with a deadline on every step.
//
// Every byte a backend receives is read again by a strict reader of the
// suite's own (strict_test.go) and by net/http; both have to find the same
// well-formed requests and nothing else. Every test gets this check.
//
// What is tested is started by startProxy from a proxyConfig, the only place
// that knows the engine's types. With SPILLWAY_SUT=nginx in the environment
// an nginx takes its place: that run validates the suite, and the tests say
// where nginx differs (proxy.differs).
package engine_test

import (
	"hash/fnv"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// proxyConfig is everything the suite sets on a gateway. The zero value of
// each field means the default given by withDefaults; those are generous, so
// that no test meets a limit it did not ask for.
type proxyConfig struct {
	// Backends is the upstream "web" in short; Pools names more.
	Backends []string
	Pools    map[string]poolConfig
	// Routes in order; none means everything goes to "web".
	Routes []routeRule

	// Loops is how many, 0 leaves it to the test's name: one to three.
	Loops  int
	Limits limits
	Times  times

	// AnswerHalfClosed is `client_half_close: answer`: a FIN after a complete
	// request does not cancel it.
	AnswerHalfClosed bool

	// Trusted peers (prefixes) may set X-Forwarded-*.
	Trusted []string
	// Via is the pseudonym to announce, "" none.
	Via string
	// Forwarded and RequestID add the fields of that name.
	Forwarded, RequestID bool

	// Listen are the addresses, default one on the loopback.
	Listen []string
	// LogFormat is the access log's, "" none.
	LogFormat string
}

type poolConfig struct {
	Specs    []upstream.Spec
	Settings upstream.Settings
}

type routeRule struct {
	Host, Path, Upstream string
	Connect              bool
}

// limits bound what a client may send.
type limits struct {
	RequestLine int   // bytes
	HeadBytes   int   // bytes
	Fields      int   // field lines
	Body        int64 // bytes of a request body
	Conns       int   // connections in total
	ConnsPerIP  int
	Requests    int // of one connection
}

// times bound how long a client may take, and the gateway's patience.
type times struct {
	Header   time.Duration // to send a request head, from its first byte
	Idle     time.Duration // between requests
	Body     time.Duration // between two reads of a request body
	BodyRate int           // bytes a second a request body has to keep, 0 none
	Grace    time.Duration // from when on it has to
	Send     time.Duration // between two writes to a client
	Expect   time.Duration // until the gateway itself answers 100 to Expect
	Tunnel   time.Duration // without a byte in either direction
}

// proxy is a running gateway.
type proxy struct {
	t     testing.TB
	Addr  string   // the first of Addrs
	Addrs []string // as in proxyConfig.Listen
	// apply replaces the servers of a pool, as a registry does.
	apply func(pool string, specs []upstream.Spec)
	// mute finds out that a server of a pool does not answer.
	mute func(pool, addr string)
	// active returns the client connections now on each loop, nil if unknown.
	active func() []int64
	// inflight returns the exchanges the servers are charged with.
	inflight func() int64
	// counters sums what the loops have counted.
	counters func() counters
	// reload replaces what a reload may: routes, limits, times and the access
	// log's format. Requests under way go on.
	reload func(proxyConfig)
	// put adds or replaces an upstream, take removes it.
	put  func(pool string, c poolConfig)
	take func(pool string)
	// logged returns the lines of the access log so far.
	logged func() []string
	// shutdown drains within d and returns the connections cut.
	shutdown func(d time.Duration) int
	close    func()
}

type counters struct{ accepted, handoffs, shortages, panics uint64 }

// startProxy starts what is tested. It ends with the test.
func startProxy(t testing.TB, cfg proxyConfig) *proxy {
	t.Helper()
	if cfg.Loops == 0 {
		cfg.Loops = loopsFor(t)
	}
	cfg = cfg.withDefaults()
	var p *proxy
	if underNginx() {
		p = startNginx(t, cfg)
	} else {
		p = startEngine(t, cfg)
	}
	p.t = t
	if reload := p.reload; reload != nil {
		p.reload = func(cfg proxyConfig) { t.Helper(); reload(cfg.withDefaults()) }
	}
	t.Cleanup(p.close)
	return p
}

// loopsFor spreads the tests over gateways of one, two and three loops: every
// run covers each number, and the same test always gets the same.
// SPILLWAY_LOOPS sets it for all.
func loopsFor(t testing.TB) int {
	t.Helper()
	n := 1
	if !underNginx() {
		h := fnv.New32a()
		h.Write([]byte(t.Name()))
		n = 1 + int(h.Sum32()%3)
	}
	if s := os.Getenv("SPILLWAY_LOOPS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("SPILLWAY_LOOPS: %v", err)
		}
	}
	t.Logf("SPILLWAY_LOOPS=%d", n)
	return n
}

func underNginx() bool { return os.Getenv("SPILLWAY_SUT") == "nginx" }

// differs reports, and notes, that nginx is under test and does not behave
// as the gateway has to.
func differs(t testing.TB, how string) bool {
	if underNginx() {
		t.Logf("nginx differs: %s", how)
	}
	return underNginx()
}

// front starts a gateway before one upstream of these backends.
func front(t testing.TB, backends ...*backend) *proxy {
	t.Helper()
	return startProxy(t, proxyConfig{Backends: addrs(backends)})
}

func addrs(backends []*backend) []string {
	var as []string
	for _, b := range backends {
		as = append(as, b.addr)
	}
	return as
}

func (p *proxy) dial() *wire {
	p.t.Helper()
	return dial(p.t, p.Addr)
}

// alive proves that the gateway serves: a plain request on a connection of
// its own gets that status.
func (p *proxy) alive(status int) {
	p.t.Helper()
	c := p.dial()
	defer c.close()
	c.send(get("/alive"))
	c.answer(status)
}

// settles waits until no client connection and no exchange is left: nothing
// leaked. Every client has to be gone.
func (p *proxy) settles() {
	p.t.Helper()
	if differs(p.t, "it does not tell") {
		return
	}
	late := deadline()
	for {
		clients := int64(0)
		for _, n := range p.active() {
			clients += n
		}
		n := p.inflight()
		if clients == 0 && n == 0 {
			return
		}
		if late() {
			p.t.Fatalf("%d client connections and %d exchanges are left of none", clients, n)
		}
		runtime.Gosched()
	}
}

func (c proxyConfig) withDefaults() proxyConfig {
	pools := map[string]poolConfig{}
	for name, p := range c.Pools {
		p.Settings = defaultSettings(p.Settings)
		pools[name] = p
	}
	if c.Backends != nil {
		pools["web"] = poolConfig{Specs: specs(c.Backends...), Settings: defaultSettings(upstream.Settings{})}
	}
	c.Pools = pools
	if c.Routes == nil {
		c.Routes = []routeRule{{Upstream: "web"}}
	}
	orInt(&c.Limits.RequestLine, 16<<10)
	orInt(&c.Limits.HeadBytes, 32<<10)
	orInt(&c.Limits.Fields, 128)
	orInt(&c.Limits.Body, 1<<40)
	if c.Listen == nil {
		c.Listen = []string{"127.0.0.1:0"}
	}
	for _, d := range []*time.Duration{
		&c.Times.Header, &c.Times.Idle, &c.Times.Body,
		&c.Times.Send, &c.Times.Expect, &c.Times.Tunnel,
	} {
		orInt(d, 3*patience)
	}
	return c
}

func defaultSettings(s upstream.Settings) upstream.Settings {
	if s.Balance == "" {
		s.Balance = "round_robin"
	}
	orInt(&s.ConnectTimeout, 3*patience)
	orInt(&s.SendTimeout, 3*patience)
	orInt(&s.ReadTimeout, 3*patience)
	orInt(&s.Keepalive, 64)
	orInt(&s.KeepaliveTimeout, 3*patience)
	if s.Retry.Tries == 0 {
		s.Retry = upstream.Retry{Tries: 3, OnError: true}
	}
	return s
}

func orInt[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// specs describes servers without passive failure accounting, so that a
// backend which misbehaves on purpose stays in rotation.
func specs(addrs ...string) []upstream.Spec {
	var ss []upstream.Spec
	for _, a := range addrs {
		ss = append(ss, upstream.Spec{Addr: a, Weight: 1, FailTimeout: upstream.DefaultFailTimeout})
	}
	return ss
}

// deadline returns a function that reports whether patience has run out.
func deadline() func() bool {
	end := time.Now().Add(patience)
	return func() bool { return time.Now().After(end) }
}
