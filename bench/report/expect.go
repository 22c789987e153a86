package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one threshold, such as p99<5ms.
type Condition struct {
	metric  string
	compare string
	limit   float64 // microseconds, a share, or a rate
	text    string
}

// metrics are what conditions can be about.
var quantileMetrics = []string{"mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"}

// ParseExpect reads conditions separated by commas:
//
//	p99<5ms        corrected latency: mean p50 p90 p95 p99 p99.9 p99.99 max
//	errors<0.01%   share of the requests; errors=0
//	rate>=4900     answers a second
func ParseExpect(text string) ([]Condition, error) {
	var all []Condition
	for part := range strings.SplitSeq(text, ",") {
		c, err := parseCondition(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func parseCondition(text string) (Condition, error) {
	at := strings.IndexAny(text, "<>=")
	if at <= 0 {
		return Condition{}, fmt.Errorf("cannot read condition %q: want something like p99<5ms or errors=0", text)
	}
	c := Condition{metric: text[:at], compare: text[at : at+1], text: text}
	value := text[at+1:]
	if rest, ok := strings.CutPrefix(value, "="); ok {
		c.compare, value = c.compare+"=", rest
	}
	var err error
	if c.limit, err = parseLimit(c.metric, value); err != nil {
		return Condition{}, fmt.Errorf("cannot read condition %q: %w", text, err)
	}
	return c, nil
}

func parseLimit(metric, value string) (float64, error) {
	switch {
	case slices.Contains(quantileMetrics, metric):
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%q is no duration such as 5ms", value)
		}
		return float64(d) / 1e3, nil
	case metric == "errors":
		number, percent := strings.CutSuffix(value, "%")
		share, err := strconv.ParseFloat(number, 64)
		if err != nil || share < 0 {
			return 0, fmt.Errorf("%q is no share such as 0.01%%", value)
		}
		if percent {
			share /= 100
		}
		return share, nil
	case metric == "rate":
		rate, err := strconv.ParseFloat(strings.TrimSuffix(value, "/s"), 64)
		if err != nil || rate < 0 {
			return 0, fmt.Errorf("%q is no rate", value)
		}
		return rate, nil
	}
	return 0, fmt.Errorf("%q is none of %s, errors, rate", metric, strings.Join(quantileMetrics, ", "))
}

// Latency is the limit of a condition on latency, 0 of others.
func (c *Condition) Latency() time.Duration {
	if !slices.Contains(quantileMetrics, c.metric) {
		return 0
	}
	return time.Duration(c.limit * 1e3)
}

// Check holds the condition against a report. A latency condition is not met if
// nothing was answered.
func (c *Condition) Check(r *Report) Threshold {
	actual := c.actual(r)
	t := Threshold{Text: c.text, Actual: actual, OK: c.holds(actual)}
	if c.metric != "errors" && r.Answered == 0 {
		t.OK = false
	}
	return t
}

func (c *Condition) actual(r *Report) float64 {
	q := &r.Latency.Corrected
	switch c.metric {
	case "mean":
		return q.Mean
	case "p50":
		return q.P50
	case "p90":
		return q.P90
	case "p95":
		return q.P95
	case "p99":
		return q.P99
	case "p99.9":
		return q.P999
	case "p99.99":
		return q.P9999
	case "max":
		return q.Max
	case "errors":
		return r.ErrorShare()
	}
	return r.Rate.Achieved
}

func (c *Condition) holds(actual float64) bool {
	switch c.compare {
	case "<":
		return actual < c.limit
	case "<=":
		return actual <= c.limit
	case ">":
		return actual > c.limit
	case ">=":
		return actual >= c.limit
	}
	return actual == c.limit
}
