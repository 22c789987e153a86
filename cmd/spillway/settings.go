package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"spillway/configs"
	"spillway/gateway"
	"spillway/gateway/accesslog"
	"spillway/gateway/balance"
	"spillway/gateway/engine"
	"spillway/gateway/http1"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
	"spillway/upsync"
)

// loadChecked loads a configuration and compiles what can be compiled, so
// that a mistake found there is told with its place as well.
func loadChecked(src configs.Source) (*configs.Config, error) {
	cfg, err := configs.Load(src)
	if err != nil {
		return nil, err
	}
	var mistakes configs.Errors
	var fault *route.Error
	if _, err := route.Compile(routeRules(cfg)); errors.As(err, &fault) {
		mistakes = append(mistakes, mistake(cfg, "routes["+strconv.Itoa(fault.Rule)+"]."+fault.Key, strconv.Quote(fault.Value), fault.Want))
	}
	if log := accessLog(cfg); log.Path != "" {
		if _, err := accesslog.Compile(log.Format); err != nil {
			mistakes = append(mistakes, mistake(cfg, "gateway.access_log.format", strconv.Quote(log.Format), err.Error()))
		}
	}
	mistakes = append(mistakes, serverMistakes(cfg)...)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return cfg, nil
}

// serverMistakes are the static servers that upsync would not take.
func serverMistakes(cfg *configs.Config) (found configs.Errors) {
	for _, name := range cfg.UpstreamNames() {
		for i, s := range cfg.Upstreams[name].Servers {
			if _, err := upsync.ParseServer(s.String()); err != nil {
				key := fmt.Sprintf("upstreams.%s.servers[%d]", name, i)
				found = append(found, mistake(cfg, key, strconv.Quote(s.String()), err.Error()))
			}
		}
	}
	return found
}

// mistake is one at the place an option is from.
func mistake(cfg *configs.Config, key, found, allowed string) *configs.Error {
	e := &configs.Error{Key: key, Found: found, Allowed: allowed}
	if o := cfg.Origin(key); o.From == "file" {
		e.File, e.Line, e.Col = o.File, o.Line, o.Col
	} else {
		e.From = o.From
	}
	return e
}

// gatewaySettings is the part of a configuration the gateway is told.
func gatewaySettings(cfg *configs.Config) gateway.Settings {
	s := gateway.Settings{
		Routes:    routeRules(cfg),
		Engine:    engineConfig(&cfg.Gateway),
		AccessLog: accessLog(cfg),
	}
	for _, l := range cfg.Gateway.Listen {
		s.Listen = append(s.Listen, l.Address)
	}
	return s
}

func routeRules(cfg *configs.Config) []route.Rule {
	var rules []route.Rule
	for _, r := range cfg.Routes {
		rules = append(rules, route.Rule{
			Name: r.Name, Host: r.Host, Path: r.Path, PathExact: r.PathExact,
			Methods: r.Methods, Upstream: r.Upstream, Connect: r.Connect,
		})
	}
	return rules
}

func accessLog(cfg *configs.Config) gateway.AccessLog {
	l := cfg.Gateway.AccessLog
	if l.Path == "off" {
		return gateway.AccessLog{}
	}
	return gateway.AccessLog{Path: l.Path, Format: l.Format}
}

// trace says where signals are recorded.
func trace(cfg *configs.Config) gateway.Trace {
	t := gateway.Trace{Path: cfg.Gateway.Trace, Size: int64(cfg.Gateway.TraceSize)}
	if t.Path == "off" {
		t.Path = ""
	}
	return t
}

func engineConfig(g *configs.Gateway) engine.Config {
	t := &g.Timeouts
	return engine.Config{
		Limits: http1.Limits{
			RequestLine: int(g.Limits.RequestLine), HeadBytes: int(g.Limits.HeaderSize), Fields: g.Limits.HeaderCount,
		},
		MaxBody:  int64(g.Limits.BodySize),
		MaxConns: g.Limits.Connections, MaxConnsPerAddr: g.Limits.ConnectionsPerAddress,
		KeepaliveRequests: g.KeepaliveRequests,
		Timeouts: engine.Timeouts{
			Header: t.Header, Body: t.Body, Idle: t.Idle, Send: t.Send, Tunnel: t.TunnelIdle,
			Linger: t.Linger, Expect: t.ExpectContinue, MinBodyRate: int64(t.BodyRateMin),
		},
		TrustedProxies: g.TrustedProxies,
		XForwarded:     g.Forwarded.XForwarded, Forwarded: g.Forwarded.Forwarded,
		RequestID: g.Forwarded.RequestID, Via: g.Forwarded.Via,
		AnswerHalfClosed: g.ClientHalfClose == "answer",
	}
}

// poolSettings is how the servers of an upstream are used.
func poolSettings(u *configs.Upstream) *upstream.Settings {
	return &upstream.Settings{
		Balance: u.Balance, HashKey: u.HashKey, Prepare: balance.Prepare(u.Balance),
		Tuning:         tuning(u),
		Sticky:         upstream.Sticky{Cookie: u.Sticky.Cookie, TTL: u.Sticky.TTL, Key: string(u.Sticky.Key)},
		ConnectTimeout: u.ConnectTimeout, SendTimeout: u.SendTimeout, ReadTimeout: u.ReadTimeout,
		Keepalive: u.Keepalive, KeepaliveTimeout: u.KeepaliveTimeout, KeepaliveRequests: u.KeepaliveRequests,
		Pipeline: u.Pipeline, PipelineSlow: u.PipelineSlow,
		DrainTimeout: u.DrainTimeout,
		Retry:        retryPolicy(&u.Retry),
		Check:        check(&u.Health), Outlier: outlier(&u.Outlier), PanicThreshold: u.PanicThreshold,
		SlowStart: upstream.SlowStart{
			Window: u.SlowStart.Window, Aggression: u.SlowStart.Aggression, Min: u.SlowStart.Min, MaxOverload: u.SlowStart.MaxOverload,
		},
	}
}

// tuning is what the policy of balancing is told.
func tuning(u *configs.Upstream) upstream.Tuning {
	t := upstream.Tuning{Decay: u.EWMADecay, Bias: u.RequestBias, Bound: u.HashBound, Subset: u.Subset, Gateway: uint64(u.SubsetIndex)}
	if u.SubsetIndex < 0 {
		name, _ := os.Hostname() // without one all take the same number
		t.Gateway = balance.SubsetNumber(name)
	}
	return t
}

// check is how the servers of an upstream are probed.
func check(h *configs.Health) upstream.Check {
	c := upstream.Check{
		Kind: h.Type, Port: h.Port, Method: h.Method, Path: h.Path, Host: h.Host, Headers: h.Headers, Body: h.Body, Service: h.Service,
		Interval: h.Interval, FastInterval: h.FastInterval, Timeout: h.Timeout, Jitter: h.Jitter,
		Rise: h.Rise, Fall: h.Fall, ProbeFirst: h.ProbeFirst,
	}
	for _, text := range h.Status {
		if first, last, ok := configs.ParseStatus(text); ok { // checked when the file was read
			c.Status = append(c.Status, upstream.StatusRange{First: first, Last: last})
		}
	}
	return c
}

func outlier(o *configs.Outlier) upstream.Outlier {
	return upstream.Outlier{
		Enabled: o.Enabled, ConsecutiveGateway: o.ConsecutiveGateway, Consecutive5xx: o.Consecutive5xx,
		SuccessFactor: o.SuccessFactor, SuccessVolume: o.SuccessVolume, SuccessHosts: o.SuccessHosts, Window: o.Window,
		LatencyFactor: o.LatencyFactor, LatencyMin: o.LatencyMin, ConnectProbe: o.ConnectProbe, Interval: o.Interval,
		BaseTime: o.BaseTime, MaxTime: o.MaxTime, MaxShare: o.MaxShare,
	}
}

func retryPolicy(r *configs.Retry) upstream.Retry {
	p := upstream.Retry{Tries: r.Tries, Timeout: r.Timeout, NonIdempotent: r.NonIdempotent}
	for _, on := range r.On {
		switch on {
		case "error":
			p.OnError = true
		case "timeout":
			p.OnTimeout = true
		case "invalid_header":
			p.OnInvalid = true
		default: // http_NNN, checked when the file was read
			if code, err := strconv.Atoi(on[len("http_"):]); err == nil {
				p.Status = append(p.Status, code)
			}
		}
	}
	slices.Sort(p.Status)
	return p
}
