package scaler

import (
	"maps"
	"slices"

	"spillway/scaler/fleet"
)

// Whether a record changed is asked of every record in every tick: these
// compare without encoding. TestSameSeesEveryField holds them against the
// types.

func sameMachine(a, b fleet.Machine) bool {
	return sameMachineState(&a, &b) && sameMachineKind(&a, &b) &&
		maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Stages, b.Stages)
}

func sameMachineState(a, b *fleet.Machine) bool {
	return a.State == b.State && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.CloudID == b.CloudID &&
		a.Address == b.Address && a.Want == b.Want && sameAttempts(a.Attempts, b.Attempts) &&
		a.Billed.Equal(b.Billed) && a.Unbilled.Equal(b.Unbilled) && a.LastTraffic.Equal(b.LastTraffic) &&
		a.Missing.Equal(b.Missing) && a.Deleted.Equal(b.Deleted) && a.Owned == b.Owned && a.Adopted == b.Adopted
}

func sameMachineKind(a, b *fleet.Machine) bool {
	return a.ID == b.ID && a.Pool == b.Pool && a.Provider == b.Provider && a.Order == b.Order && a.Type == b.Type &&
		a.Zone == b.Zone && a.CPU == b.CPU && a.Memory == b.Memory && a.Units == b.Units && a.MaxPPS == b.MaxPPS &&
		a.Arch == b.Arch && a.Profile == b.Profile && a.Price == b.Price && a.Quantum == b.Quantum
}

func sameOrder(a, b fleet.Order) bool {
	return a.State == b.State && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.Refused == b.Refused &&
		sameAttempts(a.Attempts, b.Attempts) && maps.Equal(a.Bound, b.Bound) && slices.Equal(a.Slots, b.Slots) &&
		a.ID == b.ID && a.Pool == b.Pool && a.Provider == b.Provider && a.Type == b.Type && a.Zone == b.Zone &&
		a.Spot == b.Spot && a.Epoch == b.Epoch && a.Batch == b.Batch && a.Attempt == b.Attempt
}

func sameInstance(a, b fleet.Instance) bool {
	return a.State == b.State && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.Want == b.Want &&
		a.DrainFrom.Equal(b.DrainFrom) && a.Undrain == b.Undrain && a.Ending == b.Ending && a.Restarts == b.Restarts && a.Blamed == b.Blamed &&
		sameAttempts(a.Attempts, b.Attempts) && a.Healthy.Equal(b.Healthy) && a.FirstRequest.Equal(b.FirstRequest) &&
		sameInstanceKind(&a, &b)
}

func sameInstanceKind(a, b *fleet.Instance) bool {
	return a.ID == b.ID && a.App == b.App && a.Pool == b.Pool && a.Machine == b.Machine && a.Image == b.Image &&
		a.CPU == b.CPU && a.Memory == b.Memory && a.Address == b.Address && a.Weight == b.Weight && maps.Equal(a.Ports, b.Ports)
}

func sameAttempts(a, b fleet.Attempts) bool {
	return a.Tries == b.Tries && a.Tried.Equal(b.Tried) && a.Retry.Equal(b.Retry)
}
