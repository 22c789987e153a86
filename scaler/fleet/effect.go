package fleet

// Kind of an effect. All are idempotent.
type Kind string

// Effects on orders and machines, then on instances.
const (
	CreateMachines Kind = "create-machines"
	StartMachine   Kind = "start-machine"
	StopMachine    Kind = "stop-machine"
	DeleteMachine  Kind = "delete-machine"
	PrepareMachine Kind = "prepare-machine" // engine ping over TLS, images

	EnsureContainer Kind = "ensure-container"
	Register        Kind = "register"
	DrainService    Kind = "drain-service"
	UndrainService  Kind = "undrain-service"
	Deregister      Kind = "deregister"
	RemoveContainer Kind = "remove-container"
)

// Effect is something to be done to the record ID.
type Effect struct {
	Kind Kind
	ID   string
}

// one is the list of a single effect.
func one(k Kind, id string) []Effect { return []Effect{{Kind: k, ID: id}} }
