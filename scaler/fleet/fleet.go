// Package fleet is the vocabulary of the scaler's records and their state
// machines: what was ordered (Order), what was bought (Machine) and what runs
// on it (Instance). It also counts what machines cost.
//
// Every step is a pure function of (record, observation, timings, time): it
// returns the record as it shall be and the effects that its state calls for.
// Effects are level-triggered: as long as a state calls for one it is emitted
// at every step, so whoever loses its memory in the middle calls for the same
// effect again. What a step must remember is in the record; what it may forget
// (the last outcome, the age of an engine's silence) is in the observation.
//
// Step follows transitions until none applies, so that a record never waits a
// tick for nothing. At one instant and one observation it is idempotent.
//
// Nothing here does I/O, reads a clock, draws at random or starts a goroutine.
// Records are values; a step changes nothing that the record it was given
// refers to.
package fleet

import "time"

// MachineState is where a machine stands; the picture is above Machine.Step.
type MachineState string

// The states of a machine.
const (
	MachinePlanned     MachineState = "planned"      // slot written down, nothing asked
	MachineRequested   MachineState = "requested"    // its order may have reached the cloud
	MachineBooting     MachineState = "booting"      // bound to a cloud id
	MachineJoining     MachineState = "joining"      // running with an address, init at work
	MachineSettled     MachineState = "settled"      // init done, engine answers
	MachineReady       MachineState = "ready"        // takes containers
	MachineCordoned    MachineState = "cordoned"     // takes no new ones
	MachineDraining    MachineState = "draining"     // its instances are leaving
	MachineEmptied     MachineState = "emptied"      // nothing of ours runs on it
	MachineWarmStopped MachineState = "warm-stopped" // stopped without charge, or being stopped
	MachineStarting    MachineState = "starting"     // warm one on its way back
	MachineDeleting    MachineState = "deleting"     // Delete until NotFound
	MachineGone        MachineState = "gone"
	MachineLost        MachineState = "lost"        // the cloud no longer lists it
	MachineFailed      MachineState = "failed"      // refused, or past a deadline
	MachineQuarantined MachineState = "quarantined" // kept for a person to look at
)

// InstanceState is where a container of an app stands; the picture is above
// Instance.Step.
type InstanceState string

// The states of an instance.
const (
	InstancePlanned     InstanceState = "planned"  // host and ports reserved
	InstanceStarting    InstanceState = "starting" // image pulled, container created and started
	InstanceRegistering InstanceState = "registering"
	InstanceChecking    InstanceState = "checking" // registered, its check does not pass yet
	InstanceServing     InstanceState = "serving"
	InstanceDraining    InstanceState = "draining" // out of rotation, requests in flight end
	InstanceLeaving     InstanceState = "leaving"  // drained: deregister
	InstanceStopping    InstanceState = "stopping" // container removed with grace
	InstanceGone        InstanceState = "gone"
	InstanceFailed      InstanceState = "failed" // seen for one tick at least, then leaving
)

// Want is what the planner wants of a machine or an instance. The zero value
// is WantKeep without insisting: a machine that failed is not kept.
const (
	WantKeep   = "keep"   // machine: in service; also taken back when it failed and then came up late
	WantCordon = "cordon" // machine: no new containers
	WantDrain  = "drain"  // machine: emptied, then given back; instance: drained, then removed
	WantStop   = "stop"   // machine: emptied, then kept stopped (given back where that cannot be)
	WantServe  = "serve"  // instance: the same as ""
)

// Attempts is what a record remembers of the effect its state calls for. It is
// cleared when the state changes.
type Attempts struct {
	Tries int       `json:",omitempty"` // answers counted, good ones included where the effect is repeated
	Tried time.Time `json:",omitzero"`  // Outcome.At of the last one counted
	Retry time.Time `json:",omitzero"`  // not before this again
}

// Machine is the ledger's record of one machine. Times are wall-clock.
type Machine struct {
	ID       string // slot: <pool>-<epoch>-<n>, also its host name
	Pool     string // of machines
	Provider string
	Order    string // Order.ID; "" for an adopted or static one
	Type     string
	Zone     string
	State    MachineState
	Since    time.Time // State was entered
	Reason   string    // why State was entered, for a person
	CloudID  string
	Address  string
	CPU      float64
	Memory   int64
	Units    float64
	MaxPPS   int
	Arch     string
	Labels   map[string]string // idc, ip, srv, role and the profile's
	Profile  string            // hash of the host profile it was made with
	Price    float64           // an hour
	Quantum  time.Duration     // billed at a time; 0: by the second
	Billed   time.Time         // billing began
	Unbilled time.Time         `json:",omitzero"`  // billing ended: the end was taken, or stopped without charge
	Owned    bool              `json:",omitempty"` // ours: costs nothing, Delete only forgets it
	// Adopted from the cloud's list without a record: an answering engine is
	// proof enough that init was done.
	Adopted bool    `json:",omitempty"`
	Stages  []Stage // measured, in order, each name once
	// LastTraffic is when a gateway last had requests for it, to the minute.
	LastTraffic time.Time
	// Missing is when the first of an unbroken run of complete Lists without
	// it began; zero while it is listed.
	Missing time.Time `json:",omitzero"`
	// Deleted is when a Delete was first answered with success or NotFound.
	Deleted time.Time `json:",omitzero"`
	// Want is what the planner wants of it: "" or WantKeep, WantCordon,
	// WantDrain, WantStop.
	Want string
	Attempts
	// Index is the store's modify index of this record; 0 not stored yet.
	Index uint64 `json:"-"`
}

// Stage is one measured step from decision to readiness: "decided",
// "requested", "running", "address", "phone-home", "settled", "engine",
// "images", "ready".
type Stage struct {
	Name string
	At   time.Time
}

// OrderState is where a batch of machines stands; the picture is above
// Order.Step.
type OrderState string

// The states of an order.
const (
	OrderIntended  OrderState = "intended"  // written, perhaps sent
	OrderAmbiguous OrderState = "ambiguous" // sent, answer unknown: settled before anything else is bought
	OrderBound     OrderState = "bound"     // machines known; slots without one were refused
	OrderRefused   OrderState = "refused"   // definitely nothing was made
)

// Order is the intent of one batch: one Create call and its repetitions.
type Order struct {
	ID       string // <pool>-<epoch>-<batch>
	Pool     string
	Provider string
	Type     string
	Zone     string
	Spot     bool
	Epoch    uint64
	Batch    int
	Attempt  int // changes the token; raised only after a definite refusal (Again)
	Slots    []string
	// Bound tells which machine a slot got. A slot keeps its machine: one that
	// is listed later goes to a slot without.
	Bound  map[string]Bound `json:",omitempty"`
	State  OrderState
	Since  time.Time
	Reason string
	// Refused is the kind of the refusal ("no_capacity", "quota", ...), so that
	// the planner knows what to back off from.
	Refused string `json:",omitempty"`
	Attempts
	Index uint64 `json:"-"`
}

// Instance is the ledger's record of one container of an app.
type Instance struct {
	ID      string // <app>-<pool>-<n>: container name and registry id
	App     string
	Pool    string // of the app
	Machine string // Machine.ID
	State   InstanceState
	Since   time.Time
	Reason  string
	Image   string
	CPU     float64
	Memory  int64
	// Ports maps container port to host port.
	Ports   map[int]int
	Address string // ip:port that gateways use
	Weight  int
	// Want is "" or WantServe, WantDrain (then remove).
	Want      string
	DrainFrom time.Time // the registry took the drain; zero: not drained
	// Undrain: a drain may still stand in the registry and has to be taken back.
	Undrain bool `json:",omitempty"`
	// Restarts counts containers that ended by themselves, until one lasted
	// (Timings.Stable).
	Restarts int `json:",omitempty"`
	// Blamed: it failed in a way its machine may be the cause of; the planner
	// then prefers other machines for the app.
	Blamed bool `json:",omitempty"`
	// Ending: it failed, and leaves whatever is wanted.
	Ending bool `json:",omitempty"`
	Attempts
	// Times of the first passing check and the first request, zero until then.
	Healthy, FirstRequest time.Time
	Index                 uint64 `json:"-"`
}
