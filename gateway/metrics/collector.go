package metrics

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"spillway/gateway/upstream"
)

// Sources is where the collector reads from. Each function is called once a
// scrape, on the scraping goroutine, and may be nil: what it would give is
// not reported then.
type Sources struct {
	// Loops returns the counters of every loop, in order of the loops.
	Loops func() []*Loop
	// Upstreams calls yield with the counters of each upstream, one per loop;
	// nil stands for a loop that has none. A name is given once.
	Upstreams func(yield func(name string, per []*Upstream))
	// Pools returns the pools whose servers are reported.
	Pools func() []*upstream.Pool
	// Now is the engine's clock in nanoseconds, against which a failed
	// server's time is judged.
	Now func() int64
	// Announced calls yield with the capacity announced for each upstream.
	Announced func(yield func(upstream string, ordered float64, eta time.Time))
	// Health calls yield for each upstream whose servers are watched.
	Health func(yield func(upstream string, h HealthStatus))
	// Sync, Config and AccessLog say how the rest of the gateway does.
	Sync      func() []SyncStatus
	Config    func() ConfigStatus
	AccessLog func() AccessLogStatus
	// Version and Revision are shown by spillway_build_info.
	Version, Revision string
}

// HealthStatus is how an upstream's servers were judged.
type HealthStatus struct {
	// Panic says that all servers get requests because too few are admitted.
	Panic bool
	// ProbesGood and ProbesBad count probes, Ejections ejections by reason.
	ProbesGood, ProbesBad uint64
	Ejections             map[string]uint64
}

// SyncStatus is how well one upstream follows its source.
type SyncStatus struct {
	Upstream string
	// State says where the current servers come from, "consul", "file",
	// "static" or "dump".
	State string
	// Index is the registry's, 0 if the source has none.
	Index uint64
	// LastSuccess is when the source last answered, zero for never.
	LastSuccess time.Time
	// Convergence has the times from the head of an answer that changed
	// something to the change published, Apply those from the set decoded to
	// the last loop serving from it. Nil is not measured.
	Convergence, Apply *Histogram
	// Errors counts failed reads by reason, Decisions judged lists by verdict.
	// Both must be safe to read.
	Errors, Decisions map[string]uint64
	// Rejected counts entries of lists that were not used, or not wholly.
	Rejected uint64
	// Overrides is how many orders of operators about servers hold, Frozen
	// whether one keeps the set as it is, Flapping how many servers are left
	// out because they come and go.
	Overrides, Flapping int
	Frozen              bool
}

// ConfigStatus is the outcome of the last reading of the configuration.
type ConfigStatus struct {
	OK          bool
	LastSuccess time.Time
}

// AccessLogStatus is what the access log lost.
type AccessLogStatus struct {
	Dropped, WriteErrors uint64
}

// Collector merges and names the counters when it is scraped. It keeps
// nothing between scrapes.
type Collector struct {
	src   Sources
	table [metricCount]definition
	descs [metricCount]*prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a collector registered with reg, together with those of the Go
// runtime and of the process.
func New(reg prometheus.Registerer, src Sources) (*Collector, error) {
	c := &Collector{src: src, table: definitions()}
	for i, d := range c.table {
		c.descs[i] = prometheus.NewDesc(d.name, d.help, d.labels, nil)
	}
	for _, col := range []prometheus.Collector{
		c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(col); err != nil {
			return nil, fmt.Errorf("cannot register metrics: %w", err)
		}
	}
	return c, nil
}

// NewHandler returns the handler of /metrics over a registry of its own. What
// cannot be collected is left out of the answer, not failed.
func NewHandler(src Sources) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	if _, err := New(reg, src); err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
	}), nil
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It may run while all loops write.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := scrape{c, ch}
	if c.src.Loops != nil {
		s.loops(c.src.Loops())
	}
	if c.src.Upstreams != nil {
		c.src.Upstreams(s.upstream)
	}
	if c.src.Pools != nil && c.src.Now != nil {
		s.servers(c.src.Pools(), c.src.Now())
	}
	if c.src.Announced != nil {
		c.src.Announced(s.announced)
	}
	if c.src.Health != nil {
		c.src.Health(s.watched)
	}
	if c.src.Sync != nil {
		for _, st := range c.src.Sync() {
			s.sync(&st)
		}
	}
	if c.src.Config != nil {
		s.config(c.src.Config())
	}
	if c.src.AccessLog != nil {
		st := c.src.AccessLog()
		s.count(accessLogDropped, st.Dropped)
		s.count(accessLogErrors, st.WriteErrors)
	}
	s.value(buildInfo, 1, c.src.Version, c.src.Revision, runtime.Version())
}

// scrape is one run of Collect.
type scrape struct {
	*Collector
	ch chan<- prometheus.Metric
}

func (s scrape) value(m metric, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.descs[m], s.table[m].kind, v, valid(labels)...)
}

func (s scrape) count(m metric, n uint64, labels ...string) { s.value(m, float64(n), labels...) }

// hist reports the sum of histograms.
func (s scrape) hist(m metric, parts []*Histogram, labels ...string) {
	var sum, total uint64
	var each [Buckets + 1]uint64
	for _, h := range parts {
		for k := range each {
			each[k] += h.buckets[k].Load()
		}
		sum += h.Sum()
	}
	buckets := make(map[float64]uint64, Buckets)
	for k, n := range each {
		total += n
		if k < Buckets {
			buckets[Bound(k)] = total
		}
	}
	s.ch <- prometheus.MustNewConstHistogram(s.descs[m], total, float64(sum)/1e9, buckets, valid(labels)...)
}

// valid makes label values UTF-8, which names from a registry need not be.
func valid(labels []string) []string {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	return labels
}
