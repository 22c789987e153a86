package join

import "time"

// Request is the body of POST /v1/join.
type Request struct {
	Token      string `json:"token"`
	InstanceID string `json:"instance_id"` // as the cloud lists it
	Name       string `json:"name"`
	Address    string `json:"address"`
	CSR        string `json:"csr"` // PEM
}

// Answer is what a machine gets.
type Answer struct {
	Cert   string `json:"cert"` // PEM
	CA     string `json:"ca"`   // PEM: whose clients its engine obeys
	Secret string `json:"secret"`
	Config Config `json:"config"`
}

// Config is what the scaler wants of a machine's engine.
type Config struct {
	Labels  map[string]string `json:"labels,omitempty"`
	Mirrors []string          `json:"mirrors,omitempty"` // of registries, nearest first
	// Options are more of daemon.json; labels and mirrors there are replaced.
	Options map[string]any `json:"options,omitempty"`
}

// Report is the body of POST /v1/stage. The times are of the machine's clock,
// in Unix milliseconds; with Now the scaler makes its own of them.
type Report struct {
	Name  string `json:"name"`
	At    int64  `json:"at"`
	Now   int64  `json:"now"`
	Took  int64  `json:"took,omitempty"` // milliseconds
	Error string `json:"error,omitempty"`
}

// Renewal is the body of POST /v1/lease. The stages are all that were reached:
// a scaler that has begun anew hears of them again.
type Renewal struct {
	Now    int64    `json:"now"`
	Stages []Report `json:"stages"`
}

// Stage is a stage a machine reached, or failed to reach within its deadline
// (Error), by the scaler's clock.
type Stage struct {
	Machine string
	Name    string
	At      time.Time
	Took    time.Duration
	Error   string
}

// Listed is what a cloud's list says of a machine. Empty fields are not known.
type Listed struct {
	Name, Address string
}

func (r *Report) valid() bool { return r.Name != "" && len(r.Name) <= 64 }

// stage converts a report received at now. Without the machine's clock, or if
// the stage lies in the future, it was reached just now.
func (r *Report) stage(machine string, now time.Time) Stage {
	at := now
	if ago := r.Now - r.At; r.Now > 0 && r.At > 0 && ago > 0 {
		at = now.Add(-time.Duration(ago) * time.Millisecond)
	}
	return Stage{Machine: machine, Name: r.Name, At: at, Took: time.Duration(r.Took) * time.Millisecond, Error: r.Error}
}
