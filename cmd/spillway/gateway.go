package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"spillway/configs"
)

// gateway is the verb that serves traffic.
func (t *terminal) gateway(args []string) int {
	fs := t.newFlags("gateway")
	flags := configs.Flags(fs)
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	if flags.Config == "" {
		return t.misuse("gateway: --config FILE is missing")
	}
	signals, stop := watchSignals()
	defer stop()
	load := func() (*configs.Config, error) { return loadChecked(t.source(flags)) }
	cfg, err := load()
	if err != nil {
		return t.failLoad(err)
	}
	log := newLogger(t.err, &cfg.Log)
	slogDefault(log)
	s, err := newServer(cfg, load, log, nil)
	if err != nil {
		fmt.Fprintln(t.err, "spillway:", err)
		return exitFailure
	}
	return s.run(signals)
}

// watchSignals takes over the signals that mean something to a gateway.
func watchSignals() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 128) // one that finds no room is lost
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	return signals, func() { signal.Stop(signals) }
}
