package configs

import (
	"slices"
	"strings"
	"time"
)

// Default is the configuration of an empty file. It has no route and is
// therefore not valid yet.
func Default() *Config {
	return &Config{
		Gateway: defaultGateway(),
		Admin:   Admin{Listen: "127.0.0.1:9901", RegisterAs: "spillway-gateway"},
		Log:     Log{Level: "info", Format: "auto"},
		Consul: Consul{
			Address:        "127.0.0.1:8500",
			Consistency:    "stale",
			MaxStale:       30 * time.Second,
			Wait:           5 * time.Minute,
			ReadsPerSecond: 10,
		},
		Upstreams: map[string]Upstream{},
	}
}

func defaultGateway() Gateway {
	return Gateway{
		Listen: []Listen{{Address: "127.0.0.1:8080"}},
		Limits: Limits{
			RequestLine: 8 << 10,
			HeaderSize:  32 << 10,
			HeaderCount: 128,
		},
		Timeouts: Timeouts{
			Header:         60 * time.Second,
			Body:           60 * time.Second,
			Idle:           75 * time.Second,
			Send:           60 * time.Second,
			TunnelIdle:     time.Hour,
			Linger:         2 * time.Second,
			ExpectContinue: time.Second,
		},
		Forwarded:       Forwarded{XForwarded: true},
		ClientHalfClose: "cancel",
		ShutdownTimeout: 30 * time.Second,
		AccessLog:       AccessLog{Format: "combined"},
		TraceSize:       256 << 20,
	}
}

// DefaultUpstream is an upstream of that source that says nothing else.
func DefaultUpstream(source string) Upstream {
	u := Upstream{
		Source:           source,
		Balance:          "round_robin",
		HashKey:          "$request_uri",
		EWMADecay:        10 * time.Second,
		RequestBias:      1,
		HashBound:        1.25,
		SubsetIndex:      -1,
		Trust:            "default",
		ConnectTimeout:   5 * time.Second,
		SendTimeout:      60 * time.Second,
		ReadTimeout:      60 * time.Second,
		Keepalive:        64,
		KeepaliveTimeout: 60 * time.Second,
		PipelineSlow:     20 * time.Millisecond,
		Retry:            Retry{Tries: 3, On: []string{"error", "timeout"}},
		MaxFails:         1,
		FailTimeout:      10 * time.Second,
		Flap:             defaultFlap(),
		Health:           defaultHealth(),
		SlowStart:        defaultSlowStart(),
		Outlier:          defaultOutlier(),
		PanicThreshold:   0.5,
	}
	if u.FromConsul() {
		u.MaxFails = 2
	}
	return u
}

// Endpoints are the addresses of Consul to try in order, as URLs:
// "http://HOST:PORT", "https://HOST:PORT" or "unix:///PATH".
func (c *Consul) Endpoints() []string {
	list := c.Addresses
	if len(list) == 0 {
		list = []string{c.Address}
	}
	urls := slices.Clone(list)
	for i, a := range urls {
		if !strings.Contains(a, "://") {
			urls[i] = c.scheme() + "://" + a
		}
	}
	return urls
}

// scheme is the scheme of addresses that do not say one.
func (c *Consul) scheme() string {
	switch {
	case c.Scheme != "":
		return c.Scheme
	case c.TLS != TLS{}:
		return "https"
	}
	return "http"
}
