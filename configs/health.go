package configs

import (
	"strconv"
	"strings"
	"time"
)

// Health is how the servers of an upstream are probed.
type Health struct {
	// tcp (a connection), http (a request) or grpc (grpc.health.v1.Health over
	// cleartext HTTP/2). Empty probes nothing. A word in place of the mapping
	// sets it: "health: tcp".
	Type string `yaml:"type" enum:",tcp,http,grpc" short:"true"`
	// Port to probe instead of the server's own; 0 is its own.
	Port int `yaml:"port" min:"0" max:"65535"`
	// http: method of the request.
	Method string `yaml:"method"`
	// http: path, with its query, of the request.
	Path string `yaml:"path"`
	// http and grpc: Host of the request; empty is the server's address.
	Host string `yaml:"host"`
	// http and grpc: header fields that are sent too.
	Headers map[string]string `yaml:"headers"`
	// http: statuses that are good, each "200" or "200-399".
	Status []string `yaml:"status"`
	// http: text that must occur in the first 64 KiB of the answer's body.
	// Empty asks for none.
	Body string `yaml:"body"`
	// grpc: service that is asked for; empty is the server as a whole.
	Service string `yaml:"service"`
	// Time between two probes of a server that does well.
	Interval time.Duration `yaml:"interval" min:"10ms"`
	// Time between two probes of a server that failed the last one, or is out.
	FastInterval time.Duration `yaml:"fast_interval" min:"10ms"`
	// Time a probe may take.
	Timeout time.Duration `yaml:"timeout" min:"1ms"`
	// Part by which intervals vary, so that gateways do not probe in step: 0.2
	// is 10% either way.
	Jitter float64 `yaml:"jitter" min:"0" max:"1"`
	// Good probes in a row that let a server back in.
	Rise int `yaml:"rise" min:"1" max:"100"`
	// Bad probes in a row that take a server out.
	Fall int `yaml:"fall" min:"1" max:"100"`
	// Send a new server requests only after its first good probe. Servers of
	// the first list serve at once.
	ProbeFirst bool `yaml:"probe_first"`
}

// SlowStart is how a server that is new or comes back is given its load.
type SlowStart struct {
	// Time to its full load; 0 gives it all at once. A duration in place of
	// the mapping sets it: "slow_start: 30s".
	Window time.Duration `yaml:"window" short:"true"`
	// Shape of the ramp, (age/window)^(1/aggression): 1 is linear, more is
	// steeper at first.
	Aggression float64 `yaml:"aggression" min:"0.1" max:"10"`
	// Part of its load it gets at least.
	Min float64 `yaml:"min" min:"0.01" max:"1"`
	// What the other servers get at most meanwhile, as a multiple of their
	// part when all serve fully. If most are new, those get more instead.
	MaxOverload float64 `yaml:"max_overload" min:"1" max:"100"`
}

// Outlier is when a server that answers worse than the others is ejected.
type Outlier struct {
	// Count how requests end, and eject. true or false in place of the mapping
	// sets it: "outlier: true".
	Enabled bool `yaml:"enabled" short:"true"`
	// Gateway failures in a row that eject: no connection, reset, timeout, an
	// answer that is no HTTP, and 502, 503 or 504. 0 is off.
	ConsecutiveGateway int `yaml:"consecutive_gateway" min:"0"`
	// Failures in a row that eject, every 5xx included. 0 is off: an
	// application may answer 500 to what it is asked.
	Consecutive5xx int `yaml:"consecutive_5xx" min:"0"`
	// Eject whose rate of success is below the mean of all by so many standard
	// deviations. 0 is off.
	SuccessFactor float64 `yaml:"success_factor" min:"0"`
	// Requests within window that a server must have had to be compared.
	SuccessVolume int `yaml:"success_volume" min:"1"`
	// Servers that must have had so many for anything to be compared.
	SuccessHosts int `yaml:"success_hosts" min:"2"`
	// Time over which success counts; older requests fade.
	Window time.Duration `yaml:"window" min:"100ms"`
	// Eject whose mean time to the head of an answer is so many times the
	// median of the others. 0 is off.
	LatencyFactor float64 `yaml:"latency_factor" min:"0"`
	// And above that median by so much.
	LatencyMin time.Duration `yaml:"latency_min"`
	// Probe a server at once that did not take a connection, and eject it if
	// the probe fails too, until probes succeed.
	ConnectProbe bool `yaml:"connect_probe"`
	// Time between two comparisons.
	Interval time.Duration `yaml:"interval" min:"50ms"`
	// Time of the first ejection; the n-th in a row takes n times as long.
	BaseTime time.Duration `yaml:"base_time" min:"10ms"`
	// Time that an ejection takes at most.
	MaxTime time.Duration `yaml:"max_time" min:"10ms"`
	// Part of the servers that may be ejected at a time. One always may; those
	// that cannot be reached always are.
	MaxShare float64 `yaml:"max_share" min:"0" max:"1"`
}

func defaultHealth() Health {
	return Health{
		Method: "GET", Path: "/", Status: []string{"200-399"},
		Interval: 5 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second, Jitter: 0.2,
		Rise: 2, Fall: 3, ProbeFirst: true,
	}
}

func defaultSlowStart() SlowStart {
	return SlowStart{Aggression: 1, Min: 0.1, MaxOverload: 2}
}

func defaultOutlier() Outlier {
	return Outlier{
		ConsecutiveGateway: 5, SuccessFactor: 1.9, SuccessVolume: 100, SuccessHosts: 5, Window: 10 * time.Second,
		LatencyMin: 50 * time.Millisecond, ConnectProbe: true, Interval: time.Second,
		BaseTime: 30 * time.Second, MaxTime: 5 * time.Minute, MaxShare: 0.3,
	}
}

// ParseStatus reads a status ("200") or a range of them ("200-399", both
// included).
func ParseStatus(text string) (first, last int, ok bool) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, ok1 := parseCode(low)
	last, ok2 := parseCode(high)
	return first, last, ok1 && ok2 && first <= last
}

func parseCode(text string) (int, bool) {
	if len(text) != 3 || text[0] < '1' || text[0] > '5' {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}

// health checks how the servers of an upstream are probed and compared.
func (k *checker) health(path string, u *Upstream) {
	h := &u.Health
	for i, s := range h.Status {
		if _, _, ok := ParseStatus(s); !ok {
			k.fail(item(path+".health.status", i), strconv.Quote(s), "a status such as 200, or a range such as 200-399", "")
		}
	}
	if !isToken(h.Method) {
		k.fail(path+".health.method", strconv.Quote(h.Method), "a method such as GET", "")
	}
	if !isRequestPath(h.Path) {
		k.fail(path+".health.path", strconv.Quote(h.Path), "a path such as /healthz", "")
	}
	if !isFieldValue(h.Host) || strings.ContainsAny(h.Host, "/?#@ ") {
		k.fail(path+".health.host", strconv.Quote(h.Host), "a host such as app.example.com", "")
	}
	for name, value := range h.Headers {
		if !isToken(name) || !isFieldValue(value) {
			k.fail(path+".health.headers."+name, strconv.Quote(value), "a name of letters, digits and dashes, and printable text", "")
		}
	}
	if o := &u.Outlier; o.MaxTime < o.BaseTime {
		k.fail(path+".outlier.max_time", formatDuration(o.MaxTime), "at least base_time, "+formatDuration(o.BaseTime), "")
	}
}

// isRequestPath reports whether s can stand in a request line.
func isRequestPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' })
}

// isFieldValue reports whether s can be sent as a field's value.
func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
