// Package placement decides which host gets which container.
//
// Plan is a pure function of (hosts, asks, now): filters in a fixed order, the
// cheapest first, each with a reason per host; scores from 0 to 1, a weighted
// mean; every assignment reserved before the next is made, so that a batch
// cannot use a port or a core twice; ties broken by hash(app, host), so that a
// plan can be replayed. The order in which hosts and asks are given changes
// nothing. Default is the planner of this package, Explain says of every host
// what it thinks of one ask, and Reservations keeps what was planned and is
// not yet seen on a host.
//
// It knows neither Docker nor a cloud, reads no clock, starts no goroutine and
// changes nothing it is given.
package placement

import "time"

// Host is a machine that may take containers, with what is reserved on it.
// Plan does not change it.
type Host struct {
	ID     string
	Labels map[string]string // idc, zone, ip, srv, role, ...
	Ready  bool              // state ready and heartbeat fresh
	Why    string            // why it is not
	CPU    float64
	Memory int64
	Slots  int     // most containers, 0 unlimited
	MaxPPS int     // 0 unlimited
	Link   float64 // Mbit/s left to the private site, < 0 unlimited
	// Line names the line that Link is about. Hosts on one line share what is
	// left of it (the least that any of them says); "" is a line of its own.
	Line  string
	Arch  string
	Price float64 // an hour
	Paid  bool    // already running: choosing it buys nothing
	// PortFrom and PortTo bound the host ports that may be given out, both
	// included; 0 and 0: none.
	PortFrom, PortTo int
	UsedCPU          float64
	UsedMemory       int64
	UsedPPS          int
	Containers       int
	Ports            map[int]bool   // host ports taken
	Apps             map[string]int // containers by app
	Images           map[string]bool
	Failed           map[string]time.Time // apps that failed here lately
}

// Ask is one container to be placed.
type Ask struct {
	ID, App    string
	CPU        float64
	Memory     int64
	PPS        int
	Link       float64 // Mbit/s it will draw over the link to the private site
	Arch       string
	Image      string
	ImageBytes int64
	// Labels a host must have, each value one of those listed ("*" any).
	Labels map[string][]string
	// Ports wanted inside; Host 0 lets the plan choose one of the host's.
	Ports []Port
	// Network is "" or "bridge", "host" (every port is the host's own, under
	// the same number), "none" (no port is taken), or a named one, which is
	// like a bridge.
	Network string
	// MaxPerHost containers of this app on one host, 0 unlimited.
	MaxPerHost int
	// SpreadBy is the label whose values share the app evenly ("zone").
	SpreadBy string
	// Pack fills hosts (rented by the hour); otherwise load is spread.
	Pack bool
}

// Port of a container. Host is fixed when not 0.
type Port struct{ Container, Host int }

// Assignment is where one ask goes.
type Assignment struct {
	Ask   string
	Host  string
	Ports map[int]int // container port to host port, nil without ports
	Score float64     // 0..1
}

// Rejection is an ask that found no host, with the reasons.
type Rejection struct {
	Ask string
	// Counts is hosts refused by each filter; Reasons holds up to
	// Default.Reasons of them, those first that came furthest. Rejections of
	// equal asks share both, which are for reading only.
	Counts  map[string]int
	Reasons []Reason
}

// Reason is why one host did not fit. Filter is one of the Filter constants.
type Reason struct{ Host, Filter, Why string }

// Result of a plan: every ask is in one of the two, both in the order of the
// asks.
type Result struct {
	Assigned []Assignment
	Rejected []Rejection
	Counts   map[string]int // hosts refused by each filter, summed over Rejected
}

// Planner is what the scaler needs of a scheduler; another one can take its
// place.
type Planner interface {
	Plan(hosts []Host, asks []Ask, now time.Time) Result
}
