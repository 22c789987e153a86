// Package fleet is the vocabulary of the scaler's records and their state
// machines: what was ordered (Order), what was bought (Machine) and what runs
// on it (Instance).
//
// Every step is a pure function of (record, observation, time): it returns the
// record as it shall be and the effects that state calls for. Effects are
// named by the state a record is in and are idempotent, so that whoever loses
// its memory in the middle calls for the same effect again. Nothing here does
// I/O, reads a clock or starts a goroutine.
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
	MachineWarmStopped MachineState = "warm-stopped" // stopped without charge
	MachineStarting    MachineState = "starting"     // warm one on its way back
	MachineDeleting    MachineState = "deleting"     // Delete until NotFound
	MachineGone        MachineState = "gone"
	MachineLost        MachineState = "lost"        // the cloud no longer lists it
	MachineFailed      MachineState = "failed"      // refused, or past a deadline
	MachineQuarantined MachineState = "quarantined" // kept for a person to look at
)

// InstanceState is where a container of an app stands.
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
	InstanceFailed      InstanceState = "failed"
)

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
	Quantum  time.Duration
	Billed   time.Time // billing began
	Stages   []Stage   // measured, in order
	// LastTraffic is when a gateway last had requests for it.
	LastTraffic time.Time
	// Want is what the planner wants of it: "" or "keep", "cordon", "drain"
	// (then release), "stop" (then keep stopped).
	Want string
	// Tries counts attempts of the effect the state calls for.
	Tries int
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

// OrderState is where a batch of machines stands.
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
	Attempt  int // changes the token; raised only after a definite refusal
	Slots    []string
	State    OrderState
	Since    time.Time
	Tries    int
	Reason   string
	Index    uint64 `json:"-"`
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
	// Want is "" or "serve", "drain" (then remove).
	Want      string
	DrainFrom time.Time // drain was asked of the registry
	Tries     int
	// Times of the first passing check and the first request, zero until then.
	Healthy, FirstRequest time.Time
	Index                 uint64 `json:"-"`
}
