package fleet

import "time"

// Outcome is how the last effect on a record ended. It is the controller's
// memory and may be lost: zero then.
type Outcome struct {
	Kind Kind // of the effect; "" none yet
	OK   bool
	// ErrKind is cloud.Kind.String() for effects on clouds, "" when OK. Other
	// effects use "transient", "invalid" (never again unchanged), "not_found".
	ErrKind string
	Err     string        // for a person
	At      time.Time     // the answer came
	Retry   time.Duration // the wait that was asked for
}

// The kinds of errors a step tells apart; they are those of package cloud.
const (
	errAmbiguous  = "ambiguous"
	errNoCapacity = "no_capacity"
	errQuota      = "quota"
	errInvalid    = "invalid"
	errNotFound   = "not_found"
	errDryRun     = "dry_run"
)

// Bound is a machine as its cloud names it.
type Bound struct {
	CloudID string
	Name    string
	Address string
}

// OrderObs is what is known of an order.
type OrderObs struct {
	Last Outcome // of CreateMachines
	// Machines of the order (TagOrder): returned by Create or listed, in any
	// order.
	Machines []Bound
	// ListedAt is when the last complete List began; zero: none yet.
	ListedAt time.Time
	// ClientToken, UniqueNames, ListLag as the driver describes itself.
	ClientToken, UniqueNames bool
	ListLag                  time.Duration
	// Sender: the order was written in this very leadership, so that Last tells
	// of every Create ever sent for it. Without it a driver with neither tokens
	// nor unique names is asked to create nothing.
	Sender bool
}

// MachineObs is what is known of a machine.
type MachineObs struct {
	// Order is the state of its order; "" when there is none.
	Order OrderState
	// CloudID its order bound it to, or found otherwise; "" not known.
	CloudID string
	// Listed by the last complete List, which began at ListedAt (zero: none
	// yet). While the cloud does not answer, ListedAt stands still.
	Listed     bool
	ListedAt   time.Time
	CloudState string // cloud.State; "" unknown
	Address    string
	Settled    bool    // init said so
	Stages     []Stage // told by init
	// EngineOK: the last ping was answered, at EngineAt. EngineDown is when the
	// first of an unbroken run of failed pings began; zero: none failed.
	EngineOK             bool
	EngineAt, EngineDown time.Time
	Instances            int       // on it, in any state but gone
	Traffic              time.Time // a gateway last had requests for it
	Last                 Outcome
	LedgerOnly           bool // cloud.Description.Owned
	ListLag              time.Duration
	Warm                 bool // may be kept stopped: the driver can, and it is free
	Quarantine           bool // if it fails now, it may be kept for a person
	// Watched is since when it has been observed without a gap, by one leader.
	// Deadlines run from then at the earliest: what happened while no scaler ran
	// was not seen. Zero: always.
	Watched time.Time
}

// What an engine says of a container.
const (
	ContainerRunning = "running"
	ContainerExited  = "exited"
	ContainerMissing = "missing"
	ContainerUnknown = "unknown" // the engine does not answer; "" is the same
)

// InstanceObs is what is known of an instance.
type InstanceObs struct {
	Machine MachineState
	// Container as the engine's list said that began at ContainerAt. Exited and
	// missing count only if that was after the instance's last change of state.
	Container   string
	ContainerAt time.Time
	// Registered, Passing and Draining as the registry said at RegistryAt (the
	// read began). RegistryKnown: it answered at all.
	RegistryKnown                 bool
	RegistryAt                    time.Time
	Registered, Passing, Draining bool
	// Acked: every registered gateway told, in a second that ended after
	// DrainFrom, that it sends the instance nothing new. False while DrainFrom is
	// zero.
	Acked    bool
	InFlight float64 // requests, over all gateways; -1 unknown
	Requests float64 // of the last second
	Last     Outcome
	Watched  time.Time // as in MachineObs
}
