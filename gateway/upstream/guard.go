package upstream

import "time"

// The kinds of Check.
const (
	CheckTCP  = "tcp"
	CheckHTTP = "http"
	CheckGRPC = "grpc"
)

// Check says how servers are probed; without a Kind they are not. It is a
// plain value, immutable once given to a pool.
type Check struct {
	// Kind is CheckTCP (a connection), CheckHTTP (a request) or CheckGRPC
	// (grpc.health.v1.Health over cleartext HTTP/2).
	Kind string
	// Port to probe instead of the server's own, 0 is its own.
	Port int
	// Method, Path, Host and Headers are of the request. An empty Host is the
	// server's address.
	Method, Path, Host string
	Headers            map[string]string
	// Status are the good ones; Body, if set, must occur in the first 64 KiB
	// of the answer.
	Status []StatusRange
	Body   string
	// Service is what a gRPC server is asked about, "" for all of it.
	Service string

	// Interval is between two probes of a server that does well, FastInterval
	// of one whose state may be about to change or that is out. Both are
	// varied by Jitter (0.2 is 10 % either way). Timeout bounds one probe.
	Interval, FastInterval, Timeout time.Duration
	Jitter                          float64
	// Rise good probes in a row admit a server, Fall bad ones bar it. The
	// first good one of a new server does.
	Rise, Fall int
	// ProbeFirst keeps requests from a new server until its first good probe.
	ProbeFirst bool
}

// Guarded reports whether the settings have servers watched at all.
func (s *Settings) Guarded() bool {
	return s.Check.Kind != "" || s.Outlier.Enabled || s.SlowStart.Window > 0
}

// StatusRange is from First to Last, both included.
type StatusRange struct{ First, Last int }

// Outlier says when a server that does worse than the others is ejected; it is
// the policy of Envoy's outlier detection and uses its words. A plain value.
type Outlier struct {
	Enabled bool
	// ConsecutiveGateway failures in a row eject: no connection, reset,
	// timeout, an answer that is no HTTP, and 502, 503, 504. Consecutive5xx
	// counts those and every other 5xx. 0 is off.
	ConsecutiveGateway, Consecutive5xx int
	// SuccessFactor ejects whose rate of success over Window is below the mean
	// of all less so many standard deviations; only servers with SuccessVolume
	// requests in it count, and there must be SuccessHosts of them. 0 is off.
	SuccessFactor float64
	SuccessVolume int
	SuccessHosts  int
	Window        time.Duration
	// LatencyFactor ejects whose mean time to the head of an answer is so many
	// times the median of its peers, and LatencyMin above it. 0 is off.
	LatencyFactor float64
	LatencyMin    time.Duration
	// ConnectProbe probes a server at once that refused a connection, and
	// ejects it if the probe fails too.
	ConnectProbe bool
	// Interval is how often servers are compared.
	Interval time.Duration
	// The first ejection lasts BaseTime, the n-th in a row n times that, at
	// most MaxTime. No more than MaxShare of the servers are ejected at a
	// time, but always one.
	BaseTime, MaxTime time.Duration
	MaxShare          float64
}

// SlowStart says how a server that comes (back) into service is given its
// load; without a Window it gets all at once. A plain value.
type SlowStart struct {
	// Window is how long it takes to the full share. The share grows as
	// (age/Window)^(1/Aggression), from Min (of 1).
	Window     time.Duration
	Aggression float64
	Min        float64
	// MaxOverload bounds what the others get meanwhile, as a multiple of
	// their part when all serve fully: new servers get more if need be.
	MaxOverload float64
}
