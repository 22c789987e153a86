// Package cloud is the contract between the scaler and whoever rents or owns
// machines.
//
// A Driver speaks for one account in one region of one provider. It is
// stateless: everything it knows it reads from the provider, whose List is the
// only truth about what exists. Retrying, pacing, resolving doubt, refusing
// writes of a dry run, counting and auditing are wrappers around a driver
// (Wrap assembles them), never parts of one. Package cloudtest holds the suite
// that every driver passes; docs/cloud-drivers.md tells how to write one.
//
// Drivers are safe for concurrent use and start no goroutine that outlives a
// call.
package cloud

import (
	"context"
	"time"
)

// Driver is one account and region of a provider. Errors are or wrap *Error.
type Driver interface {
	// Describe tells what the provider can do. It makes no call.
	Describe() Description
	// Offerings lists every kind of machine in every zone, also those that
	// cannot be had now: availability is a field.
	Offerings(ctx context.Context) ([]Offering, error)
	// Create asks for a batch. It returns what the provider said it made, which
	// may be fewer than asked (at least one). The same Token with the same
	// request gives the same machines for as long as the provider remembers
	// tokens (Description.ClientToken), or for as long as machines of those
	// names and that TagOrder exist (Description.UniqueNames); a driver with
	// neither buys again. An error of kind Ambiguous means that machines may
	// exist. The driver keeps neither r nor what it points to.
	Create(ctx context.Context, r CreateRequest) ([]Machine, error)
	// List returns every machine with all the given tags, whatever its state,
	// all pages of it. A machine may appear late (Description.ListLag).
	List(ctx context.Context, tags map[string]string) ([]Machine, error)
	// Delete ends a machine for good. nil says that the request was taken;
	// callers repeat it until the error is of kind NotFound.
	Delete(ctx context.Context, id string) error
}

// Stopper is a Driver whose machines can be stopped without being given back.
// A stopped machine is probable capacity: Start can fail for want of stock.
type Stopper interface {
	Stop(ctx context.Context, id string) error
	Start(ctx context.Context, id string) error
}

// Watcher is a Driver that hears of what will happen to machines, such as the
// notice a spot machine gets.
type Watcher interface {
	Events(ctx context.Context) ([]Event, error)
}

// Description is what a provider can do.
type Description struct {
	Name string // of the driver: "local", "ec2"
	// MaxBatch is the most machines of one Create; 1 where a call makes one.
	MaxBatch int
	// ClientToken: Create with a used token returns the first answer's
	// machines. TokenZonal: only within one zone; elsewhere it buys again.
	ClientToken, TokenZonal bool
	// UniqueNames: the provider refuses a second machine of one name, so that
	// the name is the token.
	UniqueNames bool
	// Owned: the machines are ours, cost nothing, and Delete only forgets them.
	Owned bool
	// StopFree: a stopped machine costs nothing.
	StopFree bool
	Spot     bool
	// UserDataMax is the largest CreateRequest.UserData, in bytes; 0: none is
	// passed on.
	UserDataMax int
	// ListLag is how long List may hide a machine after Create, or show one
	// after its end.
	ListLag time.Duration
	// Limits are the provider's own limits of requests, by kind of call
	// ("create", "list", "delete", "stop", "start", "offerings", "events"); ""
	// is one bucket for all the others. A kind that the provider counts twice,
	// by calls and by machines, has its second limit under the name with
	// "-machines" after it.
	Limits map[string]Limit
}

// Limit is a token bucket: Burst at once, then Rate a second. Machines: it
// counts the machines that a call is about instead of calls.
type Limit struct {
	Rate     float64
	Burst    int
	Machines bool
}

// Offering is one kind of machine in one zone.
type Offering struct {
	Type, Zone string
	CPU        float64 // cores
	Memory     int64   // bytes
	// Units is capacity in cores of the reference machine.
	Units  float64
	MaxPPS int // packets a second, 0 unknown
	Arch   string
	// PriceHour in the account's currency; Quantum is the time billed at
	// least and at a time (0: by the second).
	PriceHour float64
	Quantum   time.Duration
	Spot      bool
	Available bool
	Reason    string // why it is not
}

// CreateRequest asks for Count machines of one offering in one zone.
type CreateRequest struct {
	// Token names the batch: Token(cluster, pool, epoch, zone, batch, attempt).
	Token      string
	Type, Zone string
	Spot       bool
	// Count machines, or fewer down to one. len(Names) == Count.
	Count int
	// Names are the slots: host names, and the token of providers with
	// UniqueNames. Which machine gets which is the provider's affair: slots are
	// bound to sorted ids afterwards (Bind).
	Names []string
	// Tags are put on every machine in the same call, never in a later one.
	Tags     map[string]string
	UserData []byte
}

// State of a machine as its provider has it.
type State string

// The states; a machine that is gone is not listed or is Deleted for a while.
const (
	Pending  State = "pending"
	Running  State = "running"
	Stopping State = "stopping"
	Stopped  State = "stopped"
	Deleting State = "deleting"
	Deleted  State = "deleted"
	Failed   State = "failed"
)

// Machine is what a provider says of one machine.
type Machine struct {
	ID, Name   string
	Type, Zone string
	State      State
	Address    string // IP by which the scaler and gateways reach it; "" not yet
	Created    time.Time
	Spot       bool
	Tags       map[string]string
	Reason     string // of a failure
}

// Event is something a provider announces about a machine.
type Event struct {
	ID   string
	Kind string // "reclaim", "maintenance"
	At   time.Time
}

// Tags every machine of ours carries. List filters by them, recovery reads
// them: a lost ledger can be made again from the tags alone.
const (
	TagCluster = "spillway-cluster"
	TagPool    = "spillway-pool"
	TagOrder   = "spillway-order"
	TagProfile = "spillway-profile" // hash of the host profile
)
