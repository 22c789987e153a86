package configs

import "time"

// The kinds of source an upstream can have.
const (
	SourceStatic        = "static"
	SourceFile          = "file"
	SourceConsulKV      = "consul-kv"
	SourceConsulCatalog = "consul-catalog"
	SourceConsulHealth  = "consul-health"
)

func sources() []string {
	return []string{SourceStatic, SourceFile, SourceConsulKV, SourceConsulCatalog, SourceConsulHealth}
}

// Upstream is a pool of servers: where the list comes from and how it is used.
type Upstream struct {
	// Where the list of servers comes from: static (servers below), file,
	// consul-kv (nginx-upsync's layout), consul-catalog (any instance of a
	// service) or consul-health (instances with their checks). static when
	// servers are given.
	Source string `yaml:"source" enum:"static,file,consul-kv,consul-catalog,consul-health"`
	// consul-kv: prefix of the keys PREFIX/IP:port, such as upstreams/web/.
	// Ending in /* (upstreams/*) it discovers upstreams: each child of the
	// prefix becomes one of that name, and this entry is their pattern.
	Key string `yaml:"key"`
	// consul-catalog and consul-health: name of the service.
	Service string `yaml:"service"`
	// consul-catalog and consul-health: only instances with this tag; empty is
	// all.
	Tag string `yaml:"tag"`
	// Datacenter to ask instead of consul.datacenter.
	Datacenter string `yaml:"datacenter"`
	// file: list of servers, one a line as in servers, read again when it
	// changes. nginx's "server ...;" lines are accepted.
	File string `yaml:"file"`
	// static: the servers, each "ADDR [weight=N] [max_fails=N]
	// [fail_timeout=T] [max_conns=N] [down] [backup]". ADDR is IP:port,
	// [IPv6]:port, host:port or unix:/path; without a port it is 80. A host is
	// resolved again and again, each of its addresses is a server.
	Servers []ServerLine `yaml:"servers"`
	// File that keeps the last good list as nginx's "server ...;" text, with a
	// JSON snapshot beside it, from which a start without Consul is served.
	// {name} stands for the upstream's name. Empty keeps none.
	Dump string `yaml:"dump"`
	// How a server is picked: round_robin (smooth, weighted, nginx's order),
	// least_conn, random_two, hash (nginx's hash KEY), hash_consistent
	// (nginx's hash KEY consistent), peak_ewma (the better of two by latency
	// and requests in flight), weighted_least_request (round robin by weight /
	// (in flight + 1) ^ request_bias), maglev (lookup table of equal parts) or
	// hash_bounded (hash_consistent, but no server gets more than hash_bound
	// times its part of the requests in flight). Of nginx and nginx-upsync are accepted:
	// roundrobin, ip_hash (hash of $remote_addr), hash_modula, hash_ketama.
	Balance string `yaml:"balance" enum:"round_robin,least_conn,random_two,hash,hash_consistent,peak_ewma,weighted_least_request,maglev,hash_bounded" also:"roundrobin,leastconn,random,ip_hash,hash_modula,hash_ketama,ketama"`
	// What hash, hash_consistent, maglev and hash_bounded hash: $remote_addr, $request_uri, $uri,
	// $host, $http_NAME (a header field), $arg_NAME (a query parameter) or
	// $cookie_NAME.
	HashKey string `yaml:"hash_key"`
	// peak_ewma: time in which the latency that was seen of a server loses its
	// weight (1/e of it is left). Longer keeps off a slow server longer.
	EWMADecay time.Duration `yaml:"ewma_decay" min:"1ms"`
	// weighted_least_request: how much requests in flight count; 1 halves the
	// weight of a server that has one, more comes nearer to least_conn.
	RequestBias float64 `yaml:"request_bias" min:"0.01" max:"10"`
	// hash_bounded: what a server may have in flight, as a multiple of its part
	// of all. Nearer to 1 spreads popular keys sooner and moves more of them.
	HashBound float64 `yaml:"hash_bound" min:"1" max:"100"`
	// Servers that this gateway uses while one of them can be used; 0 is all.
	// For many gateways with many servers, to save connections. Not for hash
	// policies and maglev.
	Subset int `yaml:"subset" min:"0"`
	// Number of this gateway among those that use a subset, from 0 without
	// gaps, so that each server is in as many subsets as the others; -1 makes
	// one from the name of the computer, which does so by chance.
	SubsetIndex int `yaml:"subset_index" min:"-1"`
	// A cookie that keeps a client with its server.
	Sticky Sticky `yaml:"sticky"`
	// When a suspicious update (empty, or most servers gone at once) is
	// believed: default asks Consul once more, upsync does as nginx-upsync
	// (all but an empty list), strict obeys to the letter.
	Trust string `yaml:"trust" enum:"default,upsync,strict"`
	// Let an update remove the last server; requests then get 503. Without it
	// the last list stays in use.
	AllowEmpty bool `yaml:"allow_empty"`
	// Refuse to start when three first reads of Consul fail, even if there is
	// a dump (as nginx-upsync has it); without it the gateway starts from the
	// dump, or answers 503 until there is a list.
	StrongDependency bool `yaml:"strong_dependency"`
	// Time to establish a connection to a server; then the next is tried
	// (nginx: 60s, in which a client has long left). 0 is none.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// Time between two writes of a request to a server; then 504. 0 is none.
	SendTimeout time.Duration `yaml:"send_timeout"`
	// Time between two reads of an answer, the first included; then 504. 0 is
	// none.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// Idle connections each loop keeps to each server. 0 opens one for each
	// request.
	Keepalive int `yaml:"keepalive" min:"0" max:"65536"`
	// Time an idle connection is kept. It should be below the server's own, so
	// that the gateway closes first.
	KeepaliveTimeout time.Duration `yaml:"keepalive_timeout" min:"1ms"`
	// Requests sent on one connection before it is closed; 0 is without end.
	KeepaliveRequests int `yaml:"keepalive_requests" min:"0"`
	// Requests of different clients that may be under way on one connection
	// to a server (HTTP/1.1 pipelining). Only for servers known to answer
	// pipelined requests in order; only requests that may be sent twice share
	// a connection. 0 and 1 share none.
	Pipeline int `yaml:"pipeline" min:"0" max:"1024"`
	// How long an answer may take before further requests keep off the shared
	// connection to its server for 5s, so that nobody waits behind a slow one.
	PipelineSlow time.Duration `yaml:"pipeline_slow" min:"1ms"`
	// Time that tunnels (WebSocket, CONNECT) to a server go on after it went
	// down, was drained or left the list; then they are closed. 0 lets them
	// go on.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// Time that a server serves on after its source stopped listing it, so that
	// one that is registered anew in a moment is not taken out; additions count
	// at once. One that was critical, in maintenance or down, or fails, goes at
	// once. 0 takes all out at once.
	RemoveDelay time.Duration `yaml:"remove_delay" max:"10m"`
	// When a server that comes and goes is left out until it settles.
	Flap Flap `yaml:"flap"`
	// What is tried again on another server.
	Retry Retry `yaml:"retry"`
	// How servers are probed.
	Health Health `yaml:"health"`
	// How a server that is new or comes back is given its load.
	SlowStart SlowStart `yaml:"slow_start"`
	// When a server that answers worse than the others is ejected.
	Outlier Outlier `yaml:"outlier"`
	// If a smaller part of the servers than this is neither unproven,
	// unhealthy nor ejected, all get requests: the last few would not bear it,
	// and who finds fault with nearly all is most likely wrong. 0 never gives
	// requests to a server that is out.
	PanicThreshold float64 `yaml:"panic_threshold" min:"0" max:"1"`
	// Failures within fail_timeout that make a server unavailable for
	// fail_timeout, for servers that do not say; 0 disables the count. 1 for
	// static and file (nginx), 2 from Consul (nginx-upsync).
	MaxFails int `yaml:"max_fails" min:"0"`
	// Time in which max_fails failures count, and for which the server is then
	// left alone. Longer forgives later.
	FailTimeout time.Duration `yaml:"fail_timeout" min:"1ms"`
}

// Sticky is a cookie that names the server of a client, by a hash. While that
// server cannot be picked another one answers, and the client gets its cookie.
type Sticky struct {
	// Name of the cookie; empty gives none.
	Cookie string `yaml:"cookie"`
	// How long the client keeps it; 0 is until its session ends.
	TTL time.Duration `yaml:"ttl"`
	// Secret that is hashed with the address of the server, so that nobody
	// chooses his server or learns an address. All gateways need the same.
	Key Secret `yaml:"key"`
}

// Retry is the policy of trying a request on another server.
type Retry struct {
	// Most servers tried for one request, the first included; 1 retries never.
	Tries int `yaml:"tries" min:"1" max:"100"`
	// Time since the request arrived in which another try may start. 0 is no
	// bound.
	Timeout time.Duration `yaml:"timeout"`
	// Which outcomes are retried: error (no connection, or it broke), timeout,
	// invalid_header (an answer that is no HTTP), and answers by status.
	On []string `yaml:"on" enum:"error,timeout,invalid_header,http_403,http_404,http_429,http_500,http_502,http_503,http_504"`
	// Retry requests with side effects (POST, PATCH, CONNECT) too after bytes
	// of them were sent: the upstream may then see one twice.
	NonIdempotent bool `yaml:"non_idempotent"`
}

// Route sends matching requests to an upstream. Without conditions it matches
// every request.
type Route struct {
	// Name in metrics and logs; empty takes the place in the list (route-1).
	Name string `yaml:"name"`
	// Host the request must name: api.example.com, or *.example.com for one or
	// more labels in front. Empty is any; case and port do not count.
	Host string `yaml:"host"`
	// Prefix of the path, letter by letter: /api takes /api2 too, /api/ does not
	// take /api. Dot segments are removed first. Empty is any.
	Path string `yaml:"path"`
	// The whole path must equal path.
	PathExact bool `yaml:"path_exact"`
	// Methods the route takes, such as GET (which does not include HEAD); empty
	// is any.
	Methods []string `yaml:"methods"`
	// Name of the upstream. {host.1} stands for what the * of host matched; a
	// request for which there is no such upstream gets 404.
	Upstream string `yaml:"upstream"`
	// Tunnel CONNECT requests to the upstream; without it they are refused.
	Connect bool `yaml:"connect"`
}

// Discovers reports whether the upstream is a pattern for those found under
// its key, and the prefix without the final "*".
func (u *Upstream) Discovers() (prefix string, ok bool) {
	n := len(u.Key)
	if u.Source != SourceConsulKV || n < 2 || u.Key[n-2:] != "/*" {
		return "", false
	}
	return u.Key[:n-1], true
}

// FromConsul reports whether the servers come from Consul.
func (u *Upstream) FromConsul() bool {
	switch u.Source {
	case SourceConsulKV, SourceConsulCatalog, SourceConsulHealth:
		return true
	}
	return false
}
