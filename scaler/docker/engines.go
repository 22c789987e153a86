package docker

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options of Engines. Zero values are replaced by the defaults named.
type Options struct {
	// Calls, Works and Sessions are how many short calls (inspect, create,
	// start), long ones (pull, stop) and those that people hold open (exec,
	// logs) one engine has in flight at most; default 4, 8 and 16. They do
	// not take each other's place.
	Calls, Works, Sessions int
	// Wait is how long a call waits for its turn before it is ErrBusy;
	// default 1 s.
	Wait time.Duration
	// Ping and Call bound one request to the engine; default 3 s and 10 s.
	// Ensure and Remove make several.
	Ping, Call time.Duration
	// Pull bounds one Image as a whole, PullIdle the time without progress of
	// one source; default 10 min and 60 s.
	Pull, PullIdle time.Duration
	// Trip failures in a row make the engine ErrDown for Pause, doubled at
	// each failed trial up to MaxPause; default 3, 1 s and 15 s.
	Trip            int
	Pause, MaxPause time.Duration
	// LogSize and LogFiles bound what an engine keeps of a container's
	// output; default 10 MB ("10m") in 2 files.
	LogSize  string
	LogFiles int
	// Auth gives the credentials for a registry host, empty ones for none;
	// nil: no registry has any.
	Auth func(registry string) (user, password string)
	// Dial replaces how engines are dialled, TLS aside.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time
}

func (o Options) withDefaults() Options {
	set(&o.Calls, 4)
	set(&o.Works, 8)
	set(&o.Sessions, 16)
	set(&o.Wait, time.Second)
	set(&o.Ping, 3*time.Second)
	set(&o.Call, 10*time.Second)
	set(&o.Pull, 10*time.Minute)
	set(&o.PullIdle, time.Minute)
	set(&o.Trip, 3)
	set(&o.Pause, time.Second)
	set(&o.MaxPause, 15*time.Second)
	set(&o.LogSize, "10m")
	set(&o.LogFiles, 2)
	if o.Auth == nil {
		o.Auth = func(string) (string, string) { return "", "" }
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Engines reaches any number of engines. It is safe for use by several
// goroutines. The zero value is not usable; New makes one, Close ends it.
type Engines struct {
	opts Options

	mu    sync.Mutex
	lanes map[string]*lane // by Engine.ID
}

var _ Runtime = (*Engines)(nil)

// New returns Engines that know none yet: an engine is met at its first call.
func New(o Options) *Engines {
	return &Engines{opts: o.withDefaults(), lanes: map[string]*lane{}}
}

// lane returns what is kept for an engine. One whose address or certificates
// changed begins anew; calls of the old one go on.
func (x *Engines) lane(e Engine) *lane {
	key := fingerprint(e)
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.lanes[e.ID]; l != nil {
		if l.key == key { // Fast path
			return l
		}
		l.close()
	}
	l := newLane(&x.opts, e, key)
	x.lanes[e.ID] = l
	return l
}

func fingerprint(e Engine) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", e.Host, e.CA, e.Cert, e.Key))
}

// Forget drops what is kept for an engine that is gone: idle connections and
// the breaker's memory. It may be used again.
func (x *Engines) Forget(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.lanes[id]; l != nil {
		l.close()
		delete(x.lanes, id)
	}
}

// Close forgets all engines. Calls in flight end by themselves.
func (x *Engines) Close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, l := range x.lanes {
		l.close()
		delete(x.lanes, id)
	}
}
