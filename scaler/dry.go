package scaler

import (
	"context"
	"errors"
	"time"

	"spillway/scaler/docker"
	"spillway/scaler/registry"
)

// A dry run ends at the last moment, in what would do the thing: whatever the
// controller decides, nothing outside is changed. Providers have the same
// (cloud.RefuseWrites).

// errDryRun is what a dry run answers to every write.
var errDryRun = errors.New("a dry run changes nothing")

// DryEngines refuses everything that changes an engine.
func DryEngines(r docker.Runtime) docker.Runtime { return dryEngines{r} }

type dryEngines struct{ docker.Runtime }

func (dryEngines) Ensure(context.Context, docker.Engine, docker.Spec) (docker.Container, error) {
	return docker.Container{}, errDryRun
}

func (dryEngines) Remove(context.Context, docker.Engine, string, time.Duration) error {
	return errDryRun
}

func (dryEngines) Image(context.Context, docker.Engine, string, []string) error { return errDryRun }

func (dryEngines) Exec(context.Context, docker.Engine, string, docker.ExecSpec) (int, error) {
	return 0, errDryRun
}

// DryRegistry refuses everything that changes the registry.
func DryRegistry(r registry.Registry) registry.Registry { return dryRegistry{r} }

type dryRegistry struct{ registry.Registry }

func (dryRegistry) Register(context.Context, registry.Registration) error { return errDryRun }
func (dryRegistry) Drain(context.Context, string, string, string) error   { return errDryRun }
func (dryRegistry) Undrain(context.Context, string, string) error         { return errDryRun }
func (dryRegistry) Deregister(context.Context, string, string) error      { return errDryRun }
