package peers

import (
	"slices"
	"strings"
)

// reference is the peer that variants are compared with.
const reference = "spillway"

// busyEnough is the share of its core that a proxy must have used for its rate
// to be its own limit.
const busyEnough = 0.95

// Spread is the distribution of one figure over the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

// Limit says what kept a rate from being higher.
type Limit string

// The limits. A rate compares proxies only under LimitProxy.
const (
	LimitProxy  Limit = "proxy"  // its core was busy with it
	LimitClient Limit = "client" // its core was idle at times: wrk or the backend was the limit
	LimitOthers Limit = "others" // its core was busy, but partly with other processes
)

// Row is one peer with one kind of load, over all rounds.
type Row struct {
	Peer        string  `json:"peer"`
	Connections int     `json:"connections"`
	Body        int     `json:"body_bytes"`
	Client      string  `json:"client"`
	CPU         Spread  `json:"cpu_us"`
	CPUUser     float64 `json:"cpu_user_us"`   // median
	CPUSystem   float64 `json:"cpu_system_us"` // median
	Rate        Spread  `json:"rate"`
	P50US       float64 `json:"p50_us"` // median over rounds, as the next
	P99US       float64 `json:"p99_us"`
	Errors      int64   `json:"errors"` // of all rounds
	RSS         int64   `json:"rss_bytes"`
	ProxyBusy   float64 `json:"proxy_busy"`
	CoreBusy    float64 `json:"core_busy"`
	Limit       Limit   `json:"limit"`
	// CPURatio and RateRatio compare with the baseline's measurement of the
	// same round. Nil without a baseline; RateRatio also unless both rows were
	// limited by the proxy.
	CPURatio  *Spread `json:"cpu_ratio,omitempty"`
	RateRatio *Spread `json:"rate_ratio,omitempty"`
	// Cost is set for variants of Spillway: CPU microseconds per request above
	// Spillway's own in the same round.
	Cost *Spread `json:"cost_us,omitempty"`
}

// key tells rows apart.
type key struct {
	peer              string
	connections, body int
	client            string
}

func (s *Sample) key() key { return key{s.Peer, s.Connections, s.Body, s.Client} }

func (r *Row) key() key { return key{r.Peer, r.Connections, r.Body, r.Client} }

// beside is the key of another peer under the same load.
func (k key) beside(peer string) key {
	k.peer = peer
	return k
}

// summarize makes one row for each peer and kind of load, in the order
// in which they first appear.
func summarize(samples []Sample) []Row {
	groups := map[key][]Sample{}
	var order []key
	for _, s := range samples {
		k := s.key()
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], s)
	}
	limits := map[key]Limit{}
	var rows []Row
	for _, k := range order {
		row := rowOf(groups[k])
		limits[k] = row.Limit
		rows = append(rows, row)
	}
	for i := range rows {
		r := &rows[i]
		base := r.key().beside(Baseline)
		own := groups[r.key()]
		r.CPURatio = paired(own, groups[base], Sample.cpu, ratio)
		if r.Limit == LimitProxy && limits[base] == LimitProxy {
			r.RateRatio = paired(own, groups[base], Sample.rate, ratio)
		}
		if strings.HasPrefix(r.Peer, variantMark) {
			r.Cost = paired(own, groups[r.key().beside(reference)], Sample.cpu, difference)
		}
	}
	return rows
}

func rowOf(group []Sample) Row {
	of := func(figure func(Sample) float64) Spread {
		values := make([]float64, len(group))
		for i, s := range group {
			values[i] = figure(s)
		}
		return spreadOf(values)
	}
	row := Row{
		Peer:        group[0].Peer,
		Connections: group[0].Connections,
		Body:        group[0].Body,
		Client:      group[0].Client,
		CPU:         of(Sample.cpu),
		CPUUser:     of(func(s Sample) float64 { return s.CPUUser }).Median,
		CPUSystem:   of(func(s Sample) float64 { return s.CPUSystem }).Median,
		Rate:        of(Sample.rate),
		P50US:       of(func(s Sample) float64 { return float64(s.P50US) }).Median,
		P99US:       of(func(s Sample) float64 { return float64(s.P99US) }).Median,
		ProxyBusy:   of(func(s Sample) float64 { return s.ProxyBusy }).Median,
		CoreBusy:    of(func(s Sample) float64 { return s.CoreBusy }).Median,
	}
	for _, s := range group {
		row.Errors += s.Errors
		row.RSS = max(row.RSS, s.RSS)
	}
	row.Limit = limitOf(row.ProxyBusy, row.CoreBusy)
	return row
}

func limitOf(proxyBusy, coreBusy float64) Limit {
	switch {
	case proxyBusy >= busyEnough:
		return LimitProxy
	case coreBusy >= busyEnough:
		return LimitOthers
	}
	return LimitClient
}

func (s Sample) cpu() float64  { return s.CPU }
func (s Sample) rate() float64 { return s.Rate }

func ratio(own, base float64) float64      { return own / base }
func difference(own, base float64) float64 { return own - base }

// paired compares each round's figure with the other peer's of the same round.
// Rounds in which either is missing are left out; nil if none is left.
func paired(own, base []Sample, figure func(Sample) float64, compare func(own, base float64) float64) *Spread {
	ofRound := map[int]float64{}
	for _, s := range base {
		ofRound[s.Round] = figure(s)
	}
	var values []float64
	for _, s := range own {
		if b := ofRound[s.Round]; b > 0 && figure(s) > 0 {
			values = append(values, compare(figure(s), b))
		}
	}
	if len(values) == 0 {
		return nil
	}
	s := spreadOf(values)
	return &s
}

// spreadOf sorts a copy of values, which must not be empty.
func spreadOf(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	return Spread{
		Median: quantile(v, 0.5),
		Min:    v[0],
		Max:    v[len(v)-1],
		Q1:     quantile(v, 0.25),
		Q3:     quantile(v, 0.75),
	}
}

// quantile interpolates linearly between the two nearest values (type 7 of
// Hyndman and Fan, the default of R and NumPy).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
