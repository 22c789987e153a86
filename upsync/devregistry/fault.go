package devregistry

import (
	"net/http"
	"strings"
	"sync"
)

// Fault stands between the network and the registry for one request: it may
// answer itself, never answer, or spoil what the registry answers.
type Fault func(next http.Handler) http.Handler

// FaultFunc picks the fault of a request; nil lets it through.
type FaultFunc func(*http.Request) Fault

// SetFault replaces the fault injector; nil ends all faults. Requests under
// way keep the fault they began with.
func (r *Registry) SetFault(f FaultFunc) {
	r.faultMu.Lock()
	defer r.faultMu.Unlock()
	r.fault = f
}

func (r *Registry) faultOf(req *http.Request) Fault {
	r.faultMu.Lock()
	f := r.fault
	r.faultMu.Unlock()
	if f == nil {
		return nil
	}
	return f(req)
}

// Always puts one fault on every request.
func Always(f Fault) FaultFunc { return func(*http.Request) Fault { return f } }

// OnPath puts the faults of f on paths that begin with prefix only.
func OnPath(prefix string, f FaultFunc) FaultFunc {
	return func(req *http.Request) Fault {
		if !strings.HasPrefix(req.URL.Path, prefix) {
			return nil
		}
		return f(req)
	}
}

// OnBlocking puts the faults of f on blocking queries only.
func OnBlocking(f FaultFunc) FaultFunc {
	return func(req *http.Request) Fault {
		if index := req.URL.Query().Get("index"); index == "" || index == "0" {
			return nil
		}
		return f(req)
	}
}

// Script gives each request the next fault of the list, nil lets one through,
// and lets everything through after the last.
func Script(faults ...Fault) FaultFunc {
	var mu sync.Mutex
	next := 0
	return func(*http.Request) Fault {
		mu.Lock()
		defer mu.Unlock()
		if next == len(faults) {
			return nil
		}
		next++
		return faults[next-1]
	}
}
