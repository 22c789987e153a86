package main

import (
	"math"
	"strings"
	"time"

	"spillway/configs"
	"spillway/gateway/admin"
	"spillway/gateway/upstream"
	"spillway/upsync"
	"spillway/upsync/consul"
)

// consulConfig says how Consul is reached.
func consulConfig(c *configs.Consul) consul.Config {
	maxStale := c.MaxStale
	if maxStale == 0 {
		maxStale = math.MaxInt64 // any age is believed
	}
	return consul.Config{
		Addresses: c.Endpoints(), Token: string(c.Token), TokenFile: c.TokenFile,
		Datacenter: c.Datacenter, Namespace: c.Namespace, Partition: c.Partition,
		Consistency: c.Consistency, MaxStale: maxStale, Wait: c.Wait, Reads: c.ReadsPerSecond,
		TLS: consul.TLS{
			CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile,
			ServerName: c.TLS.ServerName, InsecureSkipVerify: c.TLS.InsecureSkipVerify,
		},
	}
}

// syncUpstream is one upstream as the syncer is told of it; pool is nil for a
// pattern.
func syncUpstream(name string, u *configs.Upstream, pool *upstream.Pool) upsync.Upstream {
	maxFails := u.MaxFails
	up := upsync.Upstream{
		Name: name, Source: upsync.Kind(u.Source), Key: u.Key,
		Service: u.Service, Tag: u.Tag, Datacenter: u.Datacenter, Path: u.File,
		MaxFails: &maxFails, FailTimeout: u.FailTimeout,
		Policy:           upsync.Policy{Trust: upsync.Trust(u.Trust), AllowEmpty: u.AllowEmpty},
		Flap:             flap(&u.Flap),
		RemoveDelay:      u.RemoveDelay,
		Dump:             u.Dump,
		StrongDependency: u.StrongDependency,
		Pool:             pool,
	}
	if pool != nil {
		up.Dump = strings.ReplaceAll(u.Dump, "{name}", name)
	}
	for _, s := range u.Servers {
		up.Servers = append(up.Servers, s.String())
	}
	return up
}

// flap is when servers that come and go are left out.
func flap(f *configs.Flap) upsync.Flap {
	if !f.Enabled {
		return upsync.Flap{}
	}
	return upsync.Flap{Suppress: f.Suppress, Reuse: f.Reuse, HalfLife: f.HalfLife, MaxSuppress: f.MaxSuppress}
}

// syncInfo tells the admin server how an upstream follows its source.
func syncInfo(s *upsync.Syncer, name string) admin.SyncInfo {
	st, ok := s.Status(name)
	if !ok {
		return admin.SyncInfo{}
	}
	info := admin.SyncInfo{
		Source: string(st.Kind), Index: st.Index, LastSuccess: st.Verified, Degraded: degradedWhy(&st),
	}
	for _, r := range st.Rejects {
		info.Rejects = append(info.Rejects, admin.Reject{Key: r.Key, Reason: r.Reason})
	}
	if st.LastErrorAt.After(st.Verified) {
		info.LastError, info.LastErrorAt = st.LastError, st.LastErrorAt
	}
	if !st.Verified.IsZero() {
		info.WatchAge = time.Since(st.Verified)
	}
	if !st.Last.At.IsZero() {
		info.LastDecision = decision(&st.Last)
	}
	return info
}

func decisions(s *upsync.Syncer, name string) []admin.Decision {
	var all []admin.Decision
	for _, d := range s.Decisions(name) {
		all = append(all, decision(&d))
	}
	return all
}

func decision(d *upsync.Decision) admin.Decision {
	return admin.Decision{
		At: d.At, Verdict: string(d.Outcome), Reason: d.Reason, Index: d.Index,
		Added: len(d.Added), Removed: len(d.Removed), Changed: len(d.Changed),
	}
}

// degradedWhy says why an upstream's servers may be out of date, "" if they
// are not.
func degradedWhy(st *upsync.Status) string {
	switch st.Source {
	case upsync.SourceDump:
		return "served from the dump of " + st.SetAt.UTC().Format(time.RFC3339)
	case upsync.SourceNone:
		return "its source was never heard"
	}
	return ""
}

// health sums up the upstreams for readiness: which wait for their first
// servers, and which are served from second best.
func health(s *upsync.Syncer) (waiting, degraded string) {
	var wait, worse []string
	for _, st := range s.Statuses() {
		switch why := degradedWhy(&st); {
		case why == "":
		case st.Source == upsync.SourceNone:
			wait = append(wait, st.Name)
		default:
			worse = append(worse, st.Name+": "+why)
		}
	}
	if len(wait) > 0 {
		waiting = "no servers yet for " + strings.Join(wait, ", ")
	}
	return waiting, strings.Join(worse, "; ")
}
