package machine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Config is what a machine is told by its user-data.
type Config struct {
	// Scaler is where to phone home ("https://host:port"); empty: nowhere, and
	// the engine listens on its own socket alone.
	Scaler string `json:"scaler,omitempty"`
	CA     string `json:"ca,omitempty"` // PEM, of the scaler's authority
	Token  string `json:"token,omitempty"`
	// Files are kept as they are here: what a cloud rewrites after the boot is
	// written again until it stays.
	Files  []File   `json:"files,omitempty"`
	Routes []string `json:"routes,omitempty"` // "CIDR via ADDRESS"
	// Hold is how long files and routes must have stayed; seconds.
	Hold   float64  `json:"hold,omitempty"`
	Images []string `json:"images,omitempty"` // pulled before the machine is settled
	// EngineVersion is what the engine's version must begin with; "" is any.
	EngineVersion string `json:"engine_version,omitempty"`
	// Deadlines of stages, in seconds, measured from the stage before.
	Deadlines map[string]float64 `json:"deadlines,omitempty"`
	Lease     LeaseConfig        `json:"lease"`
}

// File is a file that belongs to the machine's configuration.
type File struct {
	Path string `json:"path"`
	Text string `json:"text"`
	Mode string `json:"mode,omitempty"` // octal; empty is 0644
	// After is a command for the shell that makes a change of the file known.
	After string `json:"after,omitempty"`
}

// LeaseConfig is when a machine that nobody uses ends itself.
type LeaseConfig struct {
	// Idle is the seconds without request and without scaler; 0: never ends.
	Idle float64 `json:"idle,omitempty"`
	// Every is the seconds between two looks at both. Default 15.
	Every float64 `json:"every,omitempty"`
	// Checkers are addresses or networks whose packets are no requests: the
	// agents that run health checks, the scaler.
	Checkers []string `json:"checkers,omitempty"`
}

// Marker begins the line of a user-data script that carries the Config, so
// that one text serves clouds, whose machines run it, and our own init.
const Marker = "#spillway "

// Parse finds the Config in user-data. Without one the machine is a bare
// engine, which is no error.
func Parse(userData []byte) (Config, error) {
	var c Config
	for line := range bytes.Lines(userData) {
		text, ok := bytes.CutPrefix(line, []byte(Marker))
		if !ok {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return Config{}, fmt.Errorf("cannot read the user-data's configuration: %w", err)
		}
		break
	}
	return c, nil
}

// The stages, in order. "docker": the engine answers on the machine itself.
const (
	Running   = "running"
	Address   = "address"
	PhoneHome = "phone-home"
	Docker    = "docker"
	Images    = "images"
	Settled   = "settled"
)

// Stages lists them.
func Stages() []string { return []string{Running, Address, PhoneHome, Docker, Images, Settled} }

// DefaultDeadline is how long a stage may take on a cloud's machine unless its
// profile says otherwise.
func DefaultDeadline(stage string) time.Duration {
	switch stage {
	case Images:
		return 3 * time.Minute
	case Settled:
		return 2 * time.Minute
	}
	return time.Minute
}

// Deadline of a stage in whole seconds.
func (c *Config) Deadline(stage string) int {
	return int(c.deadline(stage).Round(time.Second).Seconds())
}

func (c *Config) deadline(stage string) time.Duration {
	if s := c.Deadlines[stage]; s > 0 {
		return seconds(s)
	}
	return DefaultDeadline(stage)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
