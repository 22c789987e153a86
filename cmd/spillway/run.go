package main

import (
	"context"
	"os"
	"syscall"
	"time"
)

// run serves until a signal ends it and returns the exit code.
//
//	starting --> serving --TERM, INT, QUIT--> draining --requests done--> exit 0
//	                ^  |                         |
//	                +--+ HUP, USR1               +--a second TERM or INT--> exit 1
func (s *server) run(signals <-chan os.Signal) int {
	syncCtx, stopSync := context.WithCancel(context.Background())
	defer stopSync()
	startCtx, stopStart := context.WithCancel(context.Background())
	defer stopStart()
	synced, served := make(chan error, 1), make(chan error, 1)
	go func() { synced <- s.syncer.Run(syncCtx) }()
	go func() { served <- s.gw.Run(startCtx) }()
	unregister := s.registering()
	defer unregister() // last of all: who waits for our requests in flight has seen the end of them
	for {
		select {
		case err := <-served:
			s.log.Error("cannot serve", "error", err)
			stopSync()
			return exitFailure
		case err := <-synced:
			// A strong dependency failed: the start does as well.
			s.log.Error("cannot follow upstreams", "error", err)
			synced = nil
		case sig := <-signals:
			switch sig {
			case syscall.SIGHUP:
				s.reloadLogged()
			case syscall.SIGUSR1:
				s.reopen()
			default:
				stopStart()
				stopSync() // Consul's polls end at once
				code := s.end(sig, signals, served)
				if code == exitOK && synced != nil {
					await(synced, saveLimit) // what was learned last is saved
				}
				return code
			}
		}
	}
}

// saveLimit is how long an end waits for the last dump to be written, and for
// the registration in Consul to be removed.
const saveLimit = 2 * time.Second

func await(done <-chan error, limit time.Duration) {
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// reopen is what USR1 asks for.
func (s *server) reopen() {
	if err := s.gw.ReopenLogs(); err != nil {
		s.log.Error(err.Error())
		return
	}
	s.log.Info("access log reopened")
}

// end drains and shuts down; a second TERM or INT cuts it short.
func (s *server) end(sig os.Signal, signals <-chan os.Signal, served <-chan error) int {
	g := s.config().Gateway
	s.log.Info("shutting down", "signal", sig.String(), "connections", s.gw.Active(),
		"delay", g.ShutdownDelay.String(), "timeout", g.ShutdownTimeout.String())
	s.tell("STOPPING=1")
	s.gw.Drain()
	done := make(chan int, 1)
	go func() { done <- s.shutdown(sig, g.ShutdownDelay, g.ShutdownTimeout) }()
	for {
		select {
		case cut := <-done:
			<-served
			s.log.Info("ended", "connections_cut", cut)
			return exitOK
		case again := <-signals:
			switch again {
			case syscall.SIGUSR1:
				s.reopen()
			case syscall.SIGTERM, syscall.SIGINT:
				s.log.Warn("ending at once", "signal", again.String(), "connections", s.gw.Active())
				return exitFailure
			}
		}
	}
}

// shutdown waits the delay out and lets requests finish: QUIT without a
// deadline, as nginx has it.
func (s *server) shutdown(sig os.Signal, delay, timeout time.Duration) (cut int) {
	if delay > 0 {
		time.Sleep(delay)
	}
	ctx := context.Background()
	if sig != syscall.SIGQUIT {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, timeout)
		defer stop()
	}
	return s.gw.Shutdown(ctx)
}
