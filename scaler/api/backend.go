package api

import (
	"context"
	"errors"
	"io"
	"time"
)

// Backend is what the API shows and changes: the scaler's controller. Its
// methods are called on the server's goroutines, several at a time. Reads
// change nothing. Errors wrap one of the sentinels below where one fits; any
// other is answered as 500.
type Backend interface {
	// Leader tells whether this process leads, and otherwise the base URL of
	// the leader's API ("http://10.0.0.2:9911"), "" if none is known.
	Leader() (self bool, address string)
	// Ready tells whether this process could do its work, and why not.
	Ready() (ok bool, detail string)

	Status(ctx context.Context) (Status, error)
	// Why returns the decision of an app that was in effect at that time, the
	// zero time meaning the last one.
	Why(ctx context.Context, app string, at time.Time) (Why, error)
	// Plan decides and places as a tick would now, and does nothing of it.
	Plan(ctx context.Context) (Plan, error)
	Nodes(ctx context.Context) ([]Node, error)
	// Ps lists containers: of one app, or of all ("").
	Ps(ctx context.Context, app string) ([]Instance, error)

	// Scale puts a person's order on top of the policy until its TTL ends.
	Scale(ctx context.Context, r ScaleRequest) (Override, error)
	// Pause stops changes of one app, or of all (""), until the TTL ends.
	Pause(ctx context.Context, r PauseRequest) (Override, error)
	// Resume ends Pause and Scale of one app, or of all ("").
	Resume(ctx context.Context, r ResumeRequest) error
	NodeAction(ctx context.Context, r NodeRequest) (Node, error)

	// Exec runs a command in a container until it ends or ctx does, and
	// returns its exit code. After it has returned it uses nothing of s but
	// for one read of In, which ends at once.
	Exec(ctx context.Context, r ExecRequest, s Streams) (exit int, err error)
	// Run places and starts a container that belongs to no app. Detached, it
	// returns once that runs; otherwise it copies the output until the
	// container ends, removes it and returns its exit code.
	Run(ctx context.Context, r RunRequest, s Streams) (RunResult, error)
	// Logs copies the last lines of a container, and the coming ones too if
	// Follow is set, until ctx ends.
	Logs(ctx context.Context, r LogsRequest, out io.Writer) error
}

// Sentinels that a Backend wraps. Each has an HTTP status.
var (
	ErrNotFound    = errors.New("not found")          // 404
	ErrInvalid     = errors.New("not valid")          // 422
	ErrConflict    = errors.New("not possible now")   // 409
	ErrNotLeader   = errors.New("not the leader")     // 307, or 503 if no leader is known
	ErrUnavailable = errors.New("not available")      // 503
	ErrUnsupported = errors.New("not supported here") // 501
)

// Status is the scaler at a glance.
type Status struct {
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"`             // name of the answering process
	Leader  bool      `json:"leader"`           // it leads
	DryRun  bool      `json:"dry_run"`          // it decides and does nothing
	Tick    time.Time `json:"tick"`             // end of the last one
	Alarms  []string  `json:"alarms,omitempty"` // sentences for people
	Apps    []App     `json:"apps"`
	Pools   []Pool    `json:"pools"`
	Orders  []Order   `json:"orders"` // under way
	Spend   Spend     `json:"spend"`
}

// App is one app and its sizes, in units (cores of the reference machine).
type App struct {
	Name     string         `json:"name"`
	Want     float64        `json:"want"`
	Ready    float64        `json:"ready"`
	Booting  float64        `json:"booting"`
	Draining float64        `json:"draining"`
	States   map[string]int `json:"states"` // instances by state
	// Rate in requests a second, InFlight time-averaged, P95 in milliseconds,
	// Coverage of gateways 0..1.
	Rate     float64    `json:"rate"`
	InFlight float64    `json:"in_flight"`
	P95      float64    `json:"p95_ms"`
	Coverage float64    `json:"coverage"`
	LeadMS   int64      `json:"lead_ms"` // measured p90 from order to traffic
	ETA      *time.Time `json:"eta,omitempty"`
	Flags    []string   `json:"flags,omitempty"`
	Override *Override  `json:"override,omitempty"`
}

// Pool of machines.
type Pool struct {
	Name      string         `json:"name"`
	Provider  string         `json:"provider"`
	States    map[string]int `json:"states"` // machines by state
	Units     float64        `json:"units"`  // of those that are ready
	PriceHour float64        `json:"price_hour"`
}

// Order of machines that is not settled.
type Order struct {
	ID     string    `json:"id"`
	Pool   string    `json:"pool"`
	Type   string    `json:"type"`
	Zone   string    `json:"zone"`
	Count  int       `json:"count"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// Spend in the account's currency: the running rate, what was spent, and the
// limits (0: none).
type Spend struct {
	RateHour  float64 `json:"rate_hour"`
	Hour      float64 `json:"hour"`
	Day       float64 `json:"day"`
	LimitHour float64 `json:"limit_hour,omitempty"`
	LimitDay  float64 `json:"limit_day,omitempty"`
}

// Node is a machine.
type Node struct {
	ID        string    `json:"id"`
	Pool      string    `json:"pool"`
	Provider  string    `json:"provider"`
	Type      string    `json:"type"`
	Zone      string    `json:"zone"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason,omitempty"`
	CloudID   string    `json:"cloud_id,omitempty"`
	Address   string    `json:"address,omitempty"`
	Instances int       `json:"instances"`
	PriceHour float64   `json:"price_hour"`
	Stages    []Stage   `json:"stages,omitempty"`
}

// Stage a machine has reached.
type Stage struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Instance is a container of an app, or one started by Run.
type Instance struct {
	ID      string      `json:"id"`
	App     string      `json:"app,omitempty"`
	Pool    string      `json:"pool,omitempty"`
	Node    string      `json:"node"`
	Image   string      `json:"image"`
	State   string      `json:"state"`
	Since   time.Time   `json:"since"`
	Reason  string      `json:"reason,omitempty"`
	Address string      `json:"address,omitempty"` // that gateways use
	Ports   map[int]int `json:"ports,omitempty"`   // container port to host port
}

// Why explains one decision: inputs, every candidate with its rule, every
// clamp in the order it was applied, what was placed and what was not.
type Why struct {
	App        string             `json:"app"`
	At         time.Time          `json:"at"`
	Want       float64            `json:"want"`
	Have       float64            `json:"have"`
	Urgent     bool               `json:"urgent"`
	Winner     string             `json:"winner"`
	Candidates []Candidate        `json:"candidates"`
	Clamps     []Clamp            `json:"clamps,omitempty"`
	Inputs     map[string]float64 `json:"inputs,omitempty"`
	Flags      []string           `json:"flags,omitempty"`
	// Refused counts hosts by the filter that refused them, and Reasons has
	// some of them in words.
	Refused map[string]int `json:"refused,omitempty"`
	Reasons []string       `json:"reasons,omitempty"`
}

// Candidate size and the rule that asked for it.
type Candidate struct {
	Rule  string  `json:"rule"`
	Units float64 `json:"units"`
	Why   string  `json:"why"`
}

// Clamp that changed the size.
type Clamp struct {
	Limit string  `json:"limit"`
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Why   string  `json:"why"`
}

// Plan is what a tick would do now.
type Plan struct {
	At        time.Time `json:"at"`
	Decisions []Why     `json:"decisions"`
	Actions   []Action  `json:"actions"` // in the order they would be committed
}

// Action that a plan would take.
type Action struct {
	Kind   string `json:"kind"` // undrain, start, place, order, drain, release
	App    string `json:"app,omitempty"`
	Pool   string `json:"pool,omitempty"`
	Target string `json:"target"` // instance, machine or offering
	Count  int    `json:"count"`
	Why    string `json:"why,omitempty"`
}

// ScaleRequest asks for Delta more (or fewer) instances than the policy wants.
type ScaleRequest struct {
	App    string        `json:"-"`
	Pool   string        `json:"pool,omitempty"` // "" the app's first
	Delta  int           `json:"delta"`
	TTL    time.Duration `json:"-"`
	Reason string        `json:"reason,omitempty"`
	By     string        `json:"-"`
}

// PauseRequest stops changes of an app, or of all ("").
type PauseRequest struct {
	App    string        `json:"-"`
	TTL    time.Duration `json:"-"`
	Reason string        `json:"reason,omitempty"`
	By     string        `json:"-"`
}

// ResumeRequest ends what a person ordered for an app, or for all ("").
type ResumeRequest struct {
	App    string `json:"-"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"-"`
}

// Override is a person's order in effect.
type Override struct {
	App    string    `json:"app,omitempty"`
	Pool   string    `json:"pool,omitempty"`
	Delta  int       `json:"delta,omitempty"`
	Paused bool      `json:"paused,omitempty"`
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
}

// Actions on a node.
const (
	Cordon  = "cordon"  // no new containers
	Drain   = "drain"   // move the containers away, then release it
	Undrain = "undrain" // take back cordon and drain
	Replace = "replace" // order another one first, then drain
)

// NodeRequest does one of the Actions to a machine.
type NodeRequest struct {
	ID     string `json:"-"`
	Action string `json:"-"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"-"`
}

// ExecRequest is a command in a container.
type ExecRequest struct {
	Instance string   `json:"-"`
	Command  []string `json:"command"`
	TTY      bool     `json:"tty"`
	Columns  uint     `json:"columns,omitempty"` // of the terminal, at the start
	Rows     uint     `json:"rows,omitempty"`
	By       string   `json:"-"`
}

// RunRequest is a container that belongs to no app.
type RunRequest struct {
	Image   string            `json:"image"`
	Command []string          `json:"command,omitempty"`
	Name    string            `json:"name,omitempty"` // "" chosen
	Env     []string          `json:"env,omitempty"`
	CPU     float64           `json:"cpu,omitempty"`    // cores
	Memory  int64             `json:"memory,omitempty"` // bytes
	Network string            `json:"network,omitempty"`
	Ports   map[int]int       `json:"ports,omitempty"`  // container port to host port, 0 any
	Labels  map[string]string `json:"labels,omitempty"` // a host must have
	Detach  bool              `json:"detach,omitempty"`
	By      string            `json:"-"`
}

// RunResult is what Run started, and how that ended unless it is detached.
type RunResult struct {
	Instance Instance `json:"instance"`
	Exit     int      `json:"exit"`
}

// LogsRequest asks for the output of a container.
type LogsRequest struct {
	Instance string
	Tail     int // lines, < 0 all
	Follow   bool
}

// Streams are the ends of a terminal, or of three pipes; with TTY, Err is not
// used. In ends when the client closes its input. Resize carries columns and
// rows and is closed at the end.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Resize   <-chan [2]uint
}
