package signals

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"spillway/gateway/upstream"
)

// Options are what a Recorder is made of.
type Options struct {
	// Gateway is this gateway's id, which it is registered under if it is.
	Gateway string
	// Sample has every loop tell what it counted since it was last asked.
	Sample func(context.Context) ([]Tally, error)
	// Adopted has every loop tell which snapshots it picks from, for the
	// upstreams that are wanted.
	Adopted func(ctx context.Context, wanted func(upstream string) bool) ([]Adoption, error)
	// Trace, if not nil, is given every second with traffic.
	Trace *Trace
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// Log is for operators; nil is slog.Default.
	Log *slog.Logger
}

// Recorder keeps the last seconds of all upstreams. It is safe for use by
// several goroutines.
type Recorder struct {
	opt Options

	mu      sync.Mutex
	from    int64 // no second before it was recorded
	last    int64 // the newest second, 0 before the first
	series  map[string]*series
	members membership
	failed  bool // the last sample could not be taken
}

// New returns a recorder without seconds.
func New(o Options) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Recorder{
		opt: o, series: map[string]*series{},
		members: membership{now: o.Now, known: map[*upstream.Pool]*upstream.Snapshot{}},
	}
}

// Note takes over which servers a pool has now. Call it when a pool joins and
// after each of its changes.
func (r *Recorder) Note(p *upstream.Pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members.note(p)
}

// Left tells that a pool is not used any more.
func (r *Recorder) Left(p *upstream.Pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members.drop(p)
}

// Run samples at the end of each second of the wall clock until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := r.opt.Now()
		timer.Reset(now.Truncate(time.Second).Add(time.Second).Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			r.sample(ctx)
		}
	}
}

// sampleLimit is how long the loops may take to answer. With one that takes
// longer the gateway has other troubles, and the seconds are lost.
const sampleLimit = 5 * time.Second

func (r *Recorder) sample(ctx context.Context) {
	now := r.opt.Now().Unix()
	if !r.due(now) {
		return
	}
	limited, stop := context.WithTimeout(ctx, sampleLimit)
	defer stop()
	tallies, err := r.opt.Sample(limited)
	if ctx.Err() != nil {
		return
	}
	r.complain(err)
	if err == nil {
		r.record(now, tallies)
	}
}

// due reports whether a second ended since the last one recorded. A clock that
// was set back a little is waited for.
func (r *Recorder) due(now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now > r.last || r.last-now > patience
}

// patience is how many seconds a clock may be set back or be ahead by before
// the seconds recorded are given up.
const patience = 10

// complain logs once that samples cannot be taken.
func (r *Recorder) complain(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !r.failed {
		r.opt.Log.Error("cannot sample the traffic", "error", err)
	}
	r.failed = err != nil
}

// record adds what the loops counted up to now, the end of a second.
func (r *Recorder) record(now int64, tallies []Tally) {
	total := map[string]*sums{}
	answers := map[string]map[string]uint64{}
	for i := range tallies {
		merge(&tallies[i], total, answers)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(total, answers, r.advance(now))
	for name, s := range r.series {
		if now-s.newest >= Window {
			delete(r.series, name)
		}
	}
	r.members.forget()
}

func merge(t *Tally, total map[string]*sums, answers map[string]map[string]uint64) {
	for i := range t.Parts {
		p := &t.Parts[i]
		s := total[p.Upstream]
		if s == nil {
			s = &sums{}
			total[p.Upstream] = s
		}
		s.add(p)
	}
	for _, s := range t.Servers {
		if answers[s.Upstream] == nil {
			answers[s.Upstream] = map[string]uint64{}
		}
		answers[s.Upstream][s.Addr] += s.Answers
	}
}

// advance makes now the newest second and returns the first one that the
// sample stands for; mu is held. A clock that jumped makes the record begin
// anew.
func (r *Recorder) advance(now int64) (first int64) {
	first = r.last + 1
	if jump := now - r.last; jump < 1 || jump > patience {
		clear(r.series)
		r.from, first = now, now
	}
	r.last = now
	return first
}

// put stores the sample, which stands for the seconds from first on; mu is
// held.
func (r *Recorder) put(total map[string]*sums, answers map[string]map[string]uint64, first int64) {
	n := r.last - first + 1
	for _, name := range slices.Sorted(maps.Keys(total)) {
		if whole := total[name].share(r.last, 0, 1); whole.quiet() {
			continue
		}
		s := r.series[name]
		if s == nil {
			s = &series{}
			r.series[name] = s
		}
		s.answers = answers[name]
		for i := range n {
			s.put(total[name].share(first+i, uint64(i), uint64(n)))
		}
	}
	if r.opt.Trace != nil {
		r.trace(first)
	}
}

// trace writes the seconds from first on; mu is held.
func (r *Recorder) trace(first int64) {
	names := slices.Sorted(maps.Keys(r.series))
	for t := first; t <= r.last; t++ {
		for _, name := range names {
			if sec := r.series[name].at(t); !sec.quiet() {
				r.opt.Trace.add(name, &sec)
			}
		}
	}
	r.opt.Trace.flush()
}
