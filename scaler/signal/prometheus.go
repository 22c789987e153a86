package signal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Queries are PromQL expressions, each with one number as its answer.
type Queries struct {
	Arrivals string // requests a second
	InFlight string
	P95      string // seconds
	Errors   string // a second; "" is not known
}

// PrometheusOptions of a Prometheus source. URL and Queries are required.
type PrometheusOptions struct {
	URL     string             // http://host:9090
	Queries map[string]Queries // by upstream
	Token   func() string
	// Interval between two rounds (5 s), Timeout of a round (3 s).
	Interval, Timeout time.Duration
	Client            *http.Client
	Now               func() time.Time
	Log               *slog.Logger
}

// Prometheus is a source that asks a Prometheus server, by its HTTP API
// (https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries).
// It counts as one gateway: a round in which a query fails, or has no number
// as its answer, reports nothing. It knows no servers.
type Prometheus struct {
	opt    PrometheusOptions
	caller caller

	mu   sync.Mutex
	seen map[string]*sampled
}

// sampled are the last rounds of one upstream.
type sampled struct {
	seconds []Second
	asked   time.Time // of the last good round
}

// NewPrometheus returns a source that knows nothing until Run or Poll is
// called.
func NewPrometheus(opt PrometheusOptions) *Prometheus {
	if opt.Interval <= 0 {
		opt.Interval = 5 * time.Second
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 3 * time.Second
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	return &Prometheus{opt: opt, caller: newCaller(opt.Client, opt.Token), seen: map[string]*sampled{}}
}

// Run polls each Interval until ctx ends.
func (p *Prometheus) Run(ctx context.Context) {
	tick := time.NewTicker(p.opt.Interval)
	defer tick.Stop()
	for {
		p.Poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// queriers is how many upstreams are asked for at the same time.
const queriers = 8

// Poll asks for every upstream once. The time for an answer is one for all of
// them: a server that hangs delays a round, not each query.
func (p *Prometheus) Poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	var wg sync.WaitGroup
	slots := make(chan struct{}, queriers)
	for name, q := range p.opt.Queries {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p.ask(ctx, name, q)
		})
	}
	wg.Wait()
}

func (p *Prometheus) ask(ctx context.Context, name string, q Queries) {
	asked := p.opt.Now()
	s, err := p.sample(ctx, q)
	if err != nil {
		p.opt.Log.Warn("no answer of Prometheus", "upstream", name, "err", err)
		return
	}
	p.enter(name, s, asked)
}

// sample asks the queries of one upstream.
func (p *Prometheus) sample(ctx context.Context, q Queries) (Second, error) {
	var s Second
	var p95 float64
	for _, x := range []struct {
		what, query string
		into        *float64
	}{{"arrivals", q.Arrivals, &s.Arrivals}, {"in_flight", q.InFlight, &s.InFlight}, {"p95", q.P95, &p95}, {"errors", q.Errors, &s.Errors}} {
		if x.query == "" {
			continue
		}
		v, err := p.query(ctx, x.query)
		if errors.Is(err, errNoNumber) && x.what == "p95" && s.Arrivals == 0 {
			continue // no requests have no latency
		}
		if err != nil {
			return s, fmt.Errorf("cannot query %s: %w", x.what, err)
		}
		*x.into = v
	}
	s.Completions = s.Arrivals
	s.P95 = time.Duration(min(p95, 3600) * float64(time.Second))
	return s, nil
}

// enter puts a sample in for every second since the last one, one interval at
// most.
func (p *Prometheus) enter(name string, s Second, asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.seen[name]
	if u == nil {
		u = &sampled{}
		p.seen[name] = u
	}
	u.asked = asked
	s.Reporting, s.Expected = 1, 1
	end := asked.Unix()
	first := end - int64(p.opt.Interval/time.Second) + 1
	if n := len(u.seconds); n > 0 {
		first = u.bridge(u.seconds[n-1].At.Unix()+1, first)
	}
	for t := first; t <= end; t++ {
		s.At = time.Unix(t, 0).UTC()
		u.seconds = append(u.seconds, s)
	}
	if extra := len(u.seconds) - keep; extra > 0 {
		u.seconds = append([]Second(nil), u.seconds[extra:]...)
	}
}

// bridge fills the seconds from next up to first, of which nothing is known, and
// returns where to go on.
func (u *sampled) bridge(next, first int64) int64 {
	if first-next >= keep {
		u.seconds = nil
		return first
	}
	for ; next < first; next++ {
		u.seconds = append(u.seconds, Second{At: time.Unix(next, 0).UTC(), Expected: 1})
	}
	return next
}

// Snapshot implements Source.
func (p *Prometheus) Snapshot(upstream string, window time.Duration) Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opt.Now()
	s := Snapshot{Upstream: upstream, At: now, Expected: 1}
	u := p.seen[upstream]
	if u == nil {
		return s
	}
	s.Age = now.Sub(u.asked)
	if s.Age <= 3*p.opt.Interval+p.opt.Timeout {
		s.Reporting = 1
	}
	n := min(len(u.seconds), int(window/time.Second))
	s.Seconds = append([]Second(nil), u.seconds[len(u.seconds)-max(n, 0):]...)
	return s
}

var errNoNumber = errors.New("the answer is not one number")

func (p *Prometheus) query(ctx context.Context, query string) (float64, error) {
	u := strings.TrimSuffix(p.opt.URL, "/") + "/api/v1/query?" + url.Values{"query": {query}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return 0, fmt.Errorf("cannot ask: %w", err)
	}
	resp, err := p.caller.do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := readBounded(resp.Body)
	if err != nil {
		return 0, err
	}
	return decodeQuery(body)
}

// decodeQuery reads the one number of an instant query's answer: a scalar, or a
// vector of one element. NaN, what 0/0 is, is no number.
func decodeQuery(body []byte) (float64, error) {
	var a struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return 0, fmt.Errorf("cannot decode answer: %w", err)
	}
	if a.Status != "success" {
		return 0, fmt.Errorf("answered %q: %.200s", a.Status, a.Error)
	}
	value := a.Data.Result
	if a.Data.ResultType == "vector" {
		var vector []struct{ Value json.RawMessage }
		if err := json.Unmarshal(value, &vector); err != nil || len(vector) != 1 {
			return 0, errNoNumber
		}
		value = vector[0].Value
	}
	var point []any
	if err := json.Unmarshal(value, &point); err != nil || len(point) != 2 {
		return 0, errNoNumber
	}
	text, _ := point[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || !counts(v) {
		return 0, errNoNumber
	}
	return v, nil
}
