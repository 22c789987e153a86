// Package report holds what a load run has found and writes it: text, JSON, CSV
// and one self-contained HTML page. It also compares two reports.
//
// The JSON form of Report is the format of saved runs; its fields are documented
// below, and fields are only ever added within one Schema. Durations are
// microseconds, times RFC 3339, rates a second.
//
// The package measures nothing and starts no goroutine. It reads no files but
// those it is given.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Schema is the version of the JSON form.
const Schema = 1

// Report is one measurement: a run, or several of the same kind (trials).
type Report struct {
	Schema      int         `json:"schema"`
	Started     time.Time   `json:"started"`
	Command     []string    `json:"command,omitempty"` // arguments of the run
	Environment Environment `json:"environment"`
	Load        Load        `json:"load"`

	Latency  Latency `json:"latency_us"`
	Rate     Rate    `json:"rate"`
	Requests uint64  `json:"requests"` // sent
	Answered uint64  `json:"answered"` // complete responses, expected or not
	Unsent   uint64  `json:"unsent"`   // planned, but no connection came free in time
	Errors   Errors  `json:"errors"`
	// Status counts answers by code.
	Status      map[string]uint64 `json:"status,omitempty"`
	Connections uint64            `json:"connections_opened"`
	Received    uint64            `json:"received_bytes"`
	Duration    float64           `json:"duration_s"` // measured, all trials together

	// Valid is false if the generator, not the target, was the limit; Invalid
	// says why.
	Valid      bool        `json:"valid"`
	Invalid    []string    `json:"invalid,omitempty"`
	Notes      []string    `json:"notes,omitempty"`
	Thresholds []Threshold `json:"thresholds,omitempty"`

	Generator Generator `json:"generator"`
	Server    *Server   `json:"server,omitempty"`

	Search *Search `json:"search,omitempty"` // how the rate was found, if it was

	Trials   []Trial  `json:"trials,omitempty"` // if there were several
	Timeline []Second `json:"timeline,omitempty"`
	Events   []Event  `json:"events,omitempty"`
	// Watched is what somebody else saw during the run: sizes, states.
	Watched []Watched `json:"watched,omitempty"`
	// Histogram is the corrected latency: upper bound in microseconds and count
	// of every bucket that holds something.
	Histogram [][2]float64 `json:"histogram_us,omitempty"`
}

// Load is what was asked for.
type Load struct {
	URL         string   `json:"url"`
	Scenario    string   `json:"scenario,omitempty"`
	ScenarioSHA string   `json:"scenario_sha256,omitempty"`
	Requests    []string `json:"requests,omitempty"` // kinds, if several
	Connections int      `json:"connections"`
	Pipeline    int      `json:"pipeline"`
	Fresh       bool     `json:"connection_per_request,omitempty"`
	Loop        string   `json:"loop"` // "open" or "closed"
	Schedule    string   `json:"schedule,omitempty"`
	Arrivals    string   `json:"arrivals,omitempty"`
	Seconds     float64  `json:"seconds"` // of one trial
	Warmup      float64  `json:"warmup_s"`
	Timeout     float64  `json:"timeout_s"`
}

// Latency holds the distributions beside each other.
type Latency struct {
	// Corrected counts from the planned time of sending. In a closed loop it is
	// the same as Raw.
	Corrected Quantiles `json:"corrected"`
	// Raw counts from the time of sending.
	Raw Quantiles `json:"raw"`
	// GeneratorLag is how much later than planned a request left though a
	// connection was free.
	GeneratorLag Quantiles `json:"generator_lag"`
	// Connect is the time of handshakes.
	Connect Quantiles `json:"connect"`
}

// Quantiles of one distribution, in microseconds.
type Quantiles struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95,omitempty"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	P9999 float64 `json:"p99_99"`
	Max   float64 `json:"max"`
}

// Rate is in requests a second. Planned is 0 in a closed loop.
type Rate struct {
	Planned  float64 `json:"planned"`
	Achieved float64 `json:"achieved"`
}

// Errors are requests that failed, and connections that failed without one.
type Errors struct {
	Total  uint64            `json:"total"`
	ByKind map[string]uint64 `json:"by_kind"`
}

// Threshold is a condition on the run and what came of it.
type Threshold struct {
	Text   string  `json:"text"`
	Actual float64 `json:"actual"` // microseconds, a share, or a rate
	OK     bool    `json:"ok"`
}

// Generator is what making the load took.
type Generator struct {
	CPU  float64 `json:"cpu_us_per_request"`
	Busy float64 `json:"busy"` // share of its processor, of the busiest loop
}

// Server is what the process under test and its children took.
type Server struct {
	PID                 int     `json:"pid"`
	CPU                 float64 `json:"cpu_us_per_request"`
	CPUUser             float64 `json:"cpu_user_us_per_request"`
	CPUSystem           float64 `json:"cpu_system_us_per_request"`
	RSSPeak             int64   `json:"rss_peak_bytes"`
	PSSPeak             int64   `json:"pss_peak_bytes"`
	SwitchesVoluntary   float64 `json:"context_switches_voluntary_per_request"`
	SwitchesInvoluntary float64 `json:"context_switches_involuntary_per_request"`
	FDs                 int     `json:"fds_peak"`
	Threads             int     `json:"threads_peak"`
	Processes           int     `json:"processes_peak"`
	Ended               bool    `json:"ended,omitempty"` // it was gone at the end
}

// Trial is one of several runs.
type Trial struct {
	Index  int     `json:"index"`
	Rate   float64 `json:"rate"`
	Mean   float64 `json:"mean_us"`
	P50    float64 `json:"p50_us"`
	P90    float64 `json:"p90_us"`
	P99    float64 `json:"p99_us"`
	Errors uint64  `json:"errors"`
	CPU    float64 `json:"cpu_us_per_request,omitempty"` // of the server
	Valid  bool    `json:"valid"`
}

// Second is one second of the timeline. Latencies are corrected ones.
type Second struct {
	Trial       int     `json:"trial,omitempty"`
	At          float64 `json:"at_s"` // start, from the end of the warm-up
	Planned     float64 `json:"planned"`
	Sent        uint64  `json:"sent"`
	Answered    uint64  `json:"answered"`
	Errors      uint64  `json:"errors"`
	Connections uint64  `json:"connections"` // opened
	Mean        float64 `json:"mean_us"`
	P50         float64 `json:"p50_us"`
	P90         float64 `json:"p90_us"`
	P95         float64 `json:"p95_us,omitempty"`
	P99         float64 `json:"p99_us"`
	Max         float64 `json:"max_us"`
}

// Event is something that happened during the run and may explain the timeline.
type Event struct {
	Trial int     `json:"trial,omitempty"`
	At    float64 `json:"at_s"`
	Text  string  `json:"text"`
}

// Watched is a chart of values over the time of the run.
type Watched struct {
	Title string `json:"title"`
	Unit  string `json:"unit"`
	Lines []Line `json:"lines"`
}

// Line is one value over time; it holds until its next point.
type Line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"` // seconds from the end of the warm-up, value
}

// Search is the way to the highest rate that holds.
type Search struct {
	SLO    string  `json:"slo"`
	Rate   float64 `json:"rate"`  // 0: none holds
	Limit  string  `json:"limit"` // what was in the way: "target", "generator" or "--max"
	Probes []Probe `json:"probes"`
}

// Probe is one try.
type Probe struct {
	Rate    float64 `json:"rate"`
	Outcome string  `json:"outcome"` // "holds", "fails" or "unclear"
}

// ErrorShare is the share of requests that failed.
func (r *Report) ErrorShare() float64 {
	if r.Requests == 0 {
		if r.Errors.Total > 0 {
			return 1
		}
		return 0
	}
	return float64(r.Errors.Total) / float64(r.Requests)
}

// WriteJSON writes the saved form.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("cannot write report: %w", err)
	}
	return nil
}

// ReadFile reads a saved report.
func ReadFile(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read report: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("cannot read report %q: %w", path, err)
	}
	if r.Schema < 1 || r.Schema > Schema {
		return nil, fmt.Errorf("cannot read report %q: schema %d, this program knows 1 to %d", path, r.Schema, Schema)
	}
	return r, nil
}
