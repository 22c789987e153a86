package consul

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Kind is what a watch reads.
type Kind uint8

// The kinds of reads: all keys below a prefix, the instances of a service
// without and with their health.
const (
	KV Kind = iota + 1
	Catalog
	Health
)

// String is the name of the source in configuration and snapshots.
func (k Kind) String() string {
	return map[Kind]string{KV: "consul-kv", Catalog: "consul-catalog", Health: "consul-health"}[k]
}

// Query is one thing to watch.
type Query struct {
	Kind Kind
	// Name is the KV prefix or the service. A prefix is a string prefix:
	// without a '/' at its end it also covers longer names.
	Name string
	// Upsync reads health as nginx-upsync does: whatever is not passing is
	// down.
	Upsync bool
	// Tag is one that instances of a service must have, empty for all. It is
	// compared here: a filtered query wakes as often.
	Tag string
	// Datacenter is asked instead of Config.Datacenter.
	Datacenter string
}

// path is the endpoint, escaped.
func (q Query) path() string {
	switch q.Kind {
	case KV:
		parts := strings.Split(q.Name, "/")
		for i, p := range parts {
			parts[i] = url.PathEscape(p)
		}
		return "/v1/kv/" + strings.Join(parts, "/")
	case Catalog:
		return "/v1/catalog/service/" + url.PathEscape(q.Name)
	}
	return "/v1/health/service/" + url.PathEscape(q.Name)
}

// values are the parameters that do not change from read to read.
func (q Query) values() url.Values {
	v := url.Values{}
	if q.Kind == KV {
		v.Set("recurse", "")
	}
	return v
}

func (q Query) decoder(cfg *Config) decoder {
	if q.Kind == KV {
		return newKVDecoder(cfg.MaxEntries)
	}
	return &serviceDecoder{max: cfg.MaxEntries, health: q.Kind == Health, upsync: q.Upsync, tag: q.Tag}
}

// decoder turns bodies into sets. decode reads a whole body into a staged set
// and reports whether it differs from the committed one; nothing is kept of a
// body that fails.
type decoder interface {
	decode(io.Reader) (changed bool, err error)
	absent() (changed bool) // stages the empty set
	fillAnswer(*Answer)     // hands out the staged set
	commit()                // the staged set becomes the committed one
}

// Observation is what is known of an answer beside its content.
type Observation struct {
	// Index is the registry's index of the answer, At when its head arrived,
	// Address which endpoint gave it.
	Index   uint64
	At      time.Time
	Address string
	// LastContact is how long ago the answering server heard of its leader.
	LastContact time.Duration
	// Each of these makes a removal suspicious:
	// NoLeader: the answering server knows no leader (and the answer does not
	// come from the streaming backend, where that is a known false alarm).
	// TooStale: LastContact is above Config.MaxStale.
	// Filtered: ACLs removed entries from the answer.
	// Backward: the index is lower than one seen before.
	// Reconnected: the first answer after a failure or from another address.
	NoLeader, TooStale, Filtered, Backward, Reconnected bool
	// Confirmed says a consistent read gave this answer.
	Confirmed bool
}

// Answer is one read that was decoded completely. Of KV and Servers one is
// set, by the kind of the query. Both must not be changed.
type Answer struct {
	Observation
	KV      *KVSet
	Servers []*Found
	// Decoding is the time spent reading and decoding the body.
	Decoding time.Duration
}

// observe reads Consul's headers.
func observe(h http.Header, maxStale time.Duration) Observation {
	o := Observation{Index: parseIndex(h.Get("X-Consul-Index"))}
	if ms, err := strconv.ParseInt(h.Get("X-Consul-LastContact"), 10, 64); err == nil && ms > 0 {
		o.LastContact = time.Duration(min(ms, int64(time.Hour/time.Millisecond))) * time.Millisecond
	}
	streaming := h.Get("X-Consul-Query-Backend") == "streaming"
	o.NoLeader = h.Get("X-Consul-KnownLeader") == "false" && !streaming
	o.TooStale = o.LastContact > maxStale
	o.Filtered = h.Get("X-Consul-Results-Filtered-By-ACLs") == "true"
	return o
}

// parseIndex returns 1 for an index that is missing, 0, no number or too
// large to be one: 1 is always safe to send, 0 would not block.
func parseIndex(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > maxIndex {
		return 1
	}
	return n
}

const maxIndex = 1 << 60

// StatusError is an answer that is none: Consul refused or failed.
type StatusError struct {
	Code       int
	Message    string
	RetryAfter time.Duration // of a 429 or 503, 0 if not said
}

// Error implements error.
func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("consul answered %d", e.Code)
	}
	return fmt.Sprintf("consul answered %d: %s", e.Code, e.Message)
}

// statusError reads the reason Consul gives, at most a line of it.
func statusError(resp *http.Response) *StatusError {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	e := &StatusError{Code: resp.StatusCode, Message: line}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = min(time.Duration(s)*time.Second, 5*time.Minute)
	}
	return e
}
