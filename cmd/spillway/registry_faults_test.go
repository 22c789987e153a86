package main_test

import (
	"net/http"
	"sync"

	"spillway/upsync/devregistry"
)

// unlessConsistent puts a fault on stale and default reads.
func unlessConsistent(f devregistry.Fault) devregistry.FaultFunc { return consistentOr(nil, f) }

// consistentOr puts one fault on consistent reads and another on the rest.
func consistentOr(consistent, rest devregistry.Fault) devregistry.FaultFunc {
	onRest, onConsistent := onReads(rest), onReads(consistent)
	return func(req *http.Request) devregistry.Fault {
		if req.URL.Query().Has("consistent") {
			return onConsistent(req)
		}
		return onRest(req)
	}
}

// oncePerSource puts a fault on one read of each source.
func oncePerSource(f devregistry.Fault) devregistry.FaultFunc {
	var mu sync.Mutex
	done := map[string]bool{}
	reads := onReads(f)
	return func(req *http.Request) devregistry.Fault {
		mu.Lock()
		defer mu.Unlock()
		if done[req.URL.Path] || reads(req) == nil {
			return nil
		}
		done[req.URL.Path] = true
		return f
	}
}

// unlessFresh puts a fault on stale reads: those that go to the leader are
// not touched.
func unlessFresh(f devregistry.Fault) devregistry.FaultFunc {
	reads := onReads(f)
	return func(req *http.Request) devregistry.Fault {
		if !req.URL.Query().Has("stale") {
			return nil
		}
		return reads(req)
	}
}

// toHost puts a fault on reads that came to one address of several.
func toHost(host string, f devregistry.Fault) devregistry.FaultFunc {
	reads := onReads(f)
	return func(req *http.Request) devregistry.Fault {
		if req.Host != host {
			return nil
		}
		return reads(req)
	}
}
