package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud/local"
	"spillway/scaler/hostinit/machine"
)

// machineInit is the hidden verb that machines of the local driver begin with:
//
//	spillway machine-init DIRECTORY
//
// It runs as the first process of namespaces the driver made; see
// scaler/cloud/local and scaler/hostinit/machine.
func (t *terminal) machineInit(args []string) int {
	if len(args) != 1 {
		return t.misuse("machine-init: want the directory of a machine")
	}
	log := slog.New(slog.NewTextHandler(t.err, nil))
	// Before anything is started: a child's end must not be missed.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	defer signal.Stop(signals)
	in, err := local.Enter(args[0])
	if err != nil {
		log.Error(err.Error())
		return exitFailure
	}
	m, err := newMachine(in, log)
	if err != nil {
		log.Error(err.Error())
		return exitFailure
	}
	reason, err := m.Run(signals)
	if err != nil {
		log.Error(err.Error())
	}
	if err := in.End(reason); err != nil {
		log.Error(err.Error())
		return exitFailure
	}
	return exitOK
}

// newMachine is the machine that its user-data describes, on the local driver.
func newMachine(in *local.Inside, log *slog.Logger) (*machine.Machine, error) {
	c, err := machine.Parse(in.UserData)
	if err != nil {
		return nil, err
	}
	return machine.New(c, machine.Host{
		ID: in.ID, Name: in.Name, Address: in.Address.Addr().String(), Device: local.Device,
		Dir: in.Dir, Socket: in.Socket, Engine: in.Engine, PIDFile: local.PIDFile, Owns: local.Owns(), Now: time.Now, Log: log,
		Connect: func(ctx context.Context, run func(context.Context, string, ...string) error) error {
			return in.Connect(ctx, run)
		},
	})
}
