package configs

import (
	"net/netip"
	"time"
)

// Size is a number of bytes. It is written "512", "64KiB", "10MiB" or "1GiB";
// nginx's "64k", "10m" and "1g" mean the same.
type Size int64

// Secret is a text that is never printed: String, formatting verbs, JSON and
// Effective show "***". Convert it to string to use it.
type Secret string

// Config is the whole configuration. Get one from Load; Default is the one of
// an empty file.
type Config struct {
	// The listening side: addresses, limits, timeouts and what is added to
	// forwarded requests.
	Gateway Gateway `yaml:"gateway"`
	// The administrative HTTP server: health, readiness, metrics, upstreams
	// and profiles.
	Admin Admin `yaml:"admin"`
	// The application log (the access log is gateway.access_log).
	Log Log `yaml:"log"`
	// How to reach Consul. Used only when an upstream has a consul source.
	Consul Consul `yaml:"consul"`
	// The pools of servers by name. A name is made of letters, digits, dots,
	// dashes and underscores.
	Upstreams map[string]Upstream `yaml:"upstreams"`
	// Which request goes to which upstream. The first route that matches
	// wins, in the order of the file; a request no route matches gets 404.
	Routes []Route `yaml:"routes"`

	book
}

// Gateway is the listening side.
type Gateway struct {
	// Addresses that accept client connections: IP:port, [IPv6]:port, :port
	// (every address) or unix:/path.
	Listen []Listen `yaml:"listen"`
	// Number of event loops, each with a thread of its own. 0 means one for
	// each CPU the process may use; more than that gains nothing.
	Loops int `yaml:"loops" min:"0" max:"256"`
	// Sizes and numbers past which a request or a connection is refused.
	Limits Limits `yaml:"limits"`
	// How long the gateway waits for a client.
	Timeouts Timeouts `yaml:"timeouts"`
	// Requests served on one client connection before it is closed, which
	// lets clients spread anew; 0 is without end.
	KeepaliveRequests int `yaml:"keepalive_requests" min:"0"`
	// Networks (CIDR, or single addresses) of proxies in front of the gateway.
	// From these the X-Forwarded-* fields of a request are believed and
	// appended to; from everyone else they are replaced.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// Fields the gateway adds to what it forwards.
	Forwarded Forwarded `yaml:"forwarded"`
	// What a client means that closes its sending side after a whole request:
	// cancel gives the request up (499 in the access log, as nginx does),
	// answer still sends the answer.
	ClientHalfClose string `yaml:"client_half_close" enum:"cancel,answer"`
	// Time between a TERM and closing the listeners, in which readiness fails
	// and answers carry "Connection: close", so that a load balancer in front
	// can turn away. 0 closes at once.
	ShutdownDelay time.Duration `yaml:"shutdown_delay"`
	// Time that requests in flight get to finish after the listeners are
	// closed; what is left then is cut. 0 cuts at once.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`
	// One line for each request.
	AccessLog AccessLog `yaml:"access_log"`
	// File in which each second of each upstream with traffic is recorded, a
	// line of about 100 bytes, for the scaler's replay; empty or off records
	// none.
	Trace string `yaml:"trace"`
	// Size at which the trace becomes PATH.1, whose predecessor is lost: the
	// two files take twice this at most.
	TraceSize Size `yaml:"trace_size" min:"64KiB" max:"64GiB"`
}

// Listen is one listening address.
type Listen struct {
	// IP:port, [IPv6]:port, :port (every address) or unix:/path. Port 0 lets
	// the system choose one.
	Address string `yaml:"address" short:"true"`
}

// Limits refuse what is too large.
type Limits struct {
	// Longest request line; a longer one gets 414. RFC 9112 asks for at least
	// 8000 bytes.
	RequestLine Size `yaml:"request_line" min:"512" max:"1MiB"`
	// Largest head of a request (request line and fields), and of an answer; a
	// larger one gets 431, an answer's 502. A connection needs this much memory
	// while a head of that size arrives.
	HeaderSize Size `yaml:"header_size" min:"1KiB" max:"1MiB"`
	// Most header fields of one message; more get 431, in an answer 502.
	HeaderCount int `yaml:"header_count" min:"8" max:"10000"`
	// Largest request body; a larger one gets 413. 0 is without limit, which
	// costs no memory: bodies are streamed.
	BodySize Size `yaml:"body_size"`
	// Most client connections in all; further ones are closed at once. 0 is as
	// many as the process may open.
	Connections int `yaml:"connections" min:"0"`
	// Most client connections of one address; further ones are closed at
	// once. 0 is no limit. Clients behind one NAT share an address.
	ConnectionsPerAddress int `yaml:"connections_per_address" min:"0"`
}

// Timeouts bound the time a client may take. 0 is no bound.
type Timeouts struct {
	// Time from the first byte of a request to the end of its head; then 408.
	Header time.Duration `yaml:"header"`
	// Time between two reads of a request body; then 408.
	Body time.Duration `yaml:"body"`
	// Time a client connection stays open without a request.
	Idle time.Duration `yaml:"idle"`
	// Time between two writes to a client that does not read; then the
	// connection is reset.
	Send time.Duration `yaml:"send"`
	// Time a tunnel (WebSocket, CONNECT) stays open without a byte in either
	// direction.
	TunnelIdle time.Duration `yaml:"tunnel_idle"`
	// Time that the rest of a refused request is read and discarded, so that
	// the client can read the refusal before the connection closes.
	Linger time.Duration `yaml:"linger"`
	// Time to wait for the upstream's answer to "Expect: 100-continue" before
	// the body is asked for all the same.
	ExpectContinue time.Duration `yaml:"expect_continue"`
	// Least average rate of a request body, in bytes a second, measured after
	// the first 10 seconds; slower ones get 408. 0 is no floor.
	BodyRateMin Size `yaml:"body_rate_min"`
}

// Forwarded says which fields the gateway adds to requests.
type Forwarded struct {
	// Send X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host.
	XForwarded bool `yaml:"x_forwarded"`
	// Send Forwarded (RFC 7239).
	Forwarded bool `yaml:"forwarded"`
	// Name under which the gateway adds itself to Via, on requests and
	// answers; empty sends no Via.
	Via string `yaml:"via"`
	// Send a random X-Request-ID when a request has none.
	RequestID bool `yaml:"request_id"`
}

// AccessLog says where and how requests are logged.
type AccessLog struct {
	// File the lines are appended to; "-" is standard output, empty or off
	// writes none. USR1 opens it again after a rotation.
	Path string `yaml:"path"`
	// combined, common, json, or a text of nginx's variables such as
	// '$remote_addr "$request" $status $upstream_addr $request_time'.
	Format string `yaml:"format"`
}

// Admin is the administrative server.
type Admin struct {
	// Address it listens on: IP:port, [IPv6]:port, :port or unix:/path; empty
	// or off disables it. It is for operators: do not expose it.
	Listen string `yaml:"listen"`
	// Bearer token that requests which change something must carry. Without a
	// token nothing can be changed.
	Token Secret `yaml:"token"`
	// File that holds the token, read again when it changes. Instead of token.
	TokenFile string `yaml:"token_file"`
	// Bearer token that every other request must carry, but for probes
	// (/-/healthy, /-/ready, /ping); token does as well. Set it when others
	// than this machine can connect. Empty asks for none.
	ReadToken Secret `yaml:"read_token"`
	// Register this gateway in Consul, so that scalers find its signals. It is
	// registered anew within seconds when the agent forgot it, and removed at
	// the end.
	Register bool `yaml:"register"`
	// Name of the service it registers as.
	RegisterAs string `yaml:"register_as"`
	// Address others reach it at: IP or IP:port. Empty is the one it listens
	// on, which has to be a certain address then.
	Advertise string `yaml:"advertise"`
}

// Log is the application log, written to standard error.
type Log struct {
	// Least severe level that is written.
	Level string `yaml:"level" enum:"debug,info,warn,error"`
	// text, json, or auto: text on a terminal and json otherwise.
	Format string `yaml:"format" enum:"auto,text,json"`
}

// Consul says how to reach Consul.
type Consul struct {
	// Address of the agent: host:port, http://host:port, https://host:port or
	// unix:///path. Below the file, CONSUL_HTTP_ADDR sets it.
	Address string `yaml:"address"`
	// Several agents or servers, tried in this order when one fails. Instead
	// of address.
	Addresses []string `yaml:"addresses"`
	// http or https for addresses that do not say; empty means https when a
	// key of consul.tls is set, and http otherwise. Below the file,
	// CONSUL_HTTP_SSL=true sets https.
	Scheme string `yaml:"scheme" enum:",http,https"`
	// ACL token, sent as X-Consul-Token. Below the file, CONSUL_HTTP_TOKEN sets
	// it.
	Token Secret `yaml:"token"`
	// File that holds the token, read again when it changes. Instead of token.
	// Below the file, CONSUL_HTTP_TOKEN_FILE sets it.
	TokenFile string `yaml:"token_file"`
	// Datacenter to ask; empty is the agent's own.
	Datacenter string `yaml:"datacenter"`
	// Namespace (Consul Enterprise). Below the file, CONSUL_NAMESPACE sets it.
	Namespace string `yaml:"namespace"`
	// Admin partition (Consul Enterprise). Below the file, CONSUL_PARTITION
	// sets it.
	Partition string `yaml:"partition"`
	// Which reads are used: stale (any server answers, works without a leader,
	// usually within 50 ms of it), default (the leader answers) or consistent
	// (the leader asks its peers first).
	Consistency string `yaml:"consistency" enum:"stale,default,consistent"`
	// Age (time since last contact with the leader) past which a stale answer
	// is not believed and read again from the leader. 0 believes any age.
	MaxStale time.Duration `yaml:"max_stale"`
	// Longest time a blocking query waits for a change. Longer means fewer
	// requests to an idle Consul; a change is seen at once either way.
	Wait time.Duration `yaml:"wait" min:"1s" max:"10m"`
	// Most reads a second of one watch, and in one burst. A change that comes
	// alone is read at once whatever this is. Under steady churn more reads
	// follow it faster and cost Consul that much more.
	ReadsPerSecond int `yaml:"reads_per_second" min:"1" max:"1000"`
	// TLS to Consul.
	TLS TLS `yaml:"tls"`
}

// TLS is the client side of a TLS connection.
type TLS struct {
	// File of CA certificates (PEM) that sign the server's; empty uses the
	// system's. Below the file, CONSUL_CACERT sets it.
	CAFile string `yaml:"ca_file"`
	// File of the client's certificate (PEM), for mutual TLS. Below the file,
	// CONSUL_CLIENT_CERT sets it.
	CertFile string `yaml:"cert_file"`
	// File of the client's key (PEM). Below the file, CONSUL_CLIENT_KEY sets
	// it.
	KeyFile string `yaml:"key_file"`
	// Name the server's certificate must carry; empty is the host of the
	// address. Below the file, CONSUL_TLS_SERVER_NAME sets it.
	ServerName string `yaml:"server_name"`
	// Accept any certificate. Anyone on the path can then change what is
	// routed: for experiments only. Below the file, CONSUL_HTTP_SSL_VERIFY=false
	// sets it.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}
