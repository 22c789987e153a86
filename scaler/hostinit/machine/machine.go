package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/hostinit/join"
)

// Host is the machine as its platform shows it.
type Host struct {
	ID, Name string
	Address  string // by which gateways and the scaler reach it
	Device   string // that has the address
	Dir      string // keys and logs; survives a restart
	Socket   string // of the engine, for programs on the machine
	// Engine is the engine's program with the flags the platform needs.
	Engine []string
	// PIDFile is where the engine keeps its process id. One that an engine left
	// behind would keep the next from starting.
	PIDFile string
	// Owns are the directories whose files are the machine's own, where it
	// shares others with the computer it is on; empty: all are.
	Owns []string
	// Connect brings the network up. Nil: it is.
	Connect func(ctx context.Context, run func(ctx context.Context, program string, args ...string) error) error
	Now     func() time.Time
	Log     *slog.Logger
}

// Machine runs one. Make it with New.
type Machine struct {
	c     Config
	h     Host
	procs *processes

	client *join.Client // nil: nowhere to phone home to
	engine engine
	meter  *meter
	// stages are those that were reached; unsent are reports nobody took yet.
	stages, unsent []join.Report
	last           time.Time // end of the stage before
	use            keeper
}

// New returns the machine that c describes on the host h.
func New(c Config, h Host) (*Machine, error) {
	m := &Machine{c: c, h: h, procs: newProcesses(), last: h.Now()}
	m.engine = engine{m: m}
	m.use = keeper{lease: NewLease(seconds(c.Lease.Idle), h.ID), now: h.Now, traffic: m.last, contact: m.last}
	m.meter = &meter{run: m.procs.output, device: h.Device, checkers: c.Lease.Checkers}
	if c.Scaler != "" {
		var err error
		if m.client, err = join.NewClient(c.Scaler, []byte(c.CA)); err != nil {
			return nil, err
		}
	}
	return m, errors.Join(os.MkdirAll(m.tls(""), 0o700), os.MkdirAll(filepath.Join(h.Dir, "log"), 0o700))
}

func (m *Machine) tls(name string) string { return filepath.Join(m.h.Dir, "tls", name) }

// Reasons for which a machine ends itself.
const (
	EndedAsked  = "stopped"
	EndedLease  = "its lease ended: no request and no scaler"
	EndedEngine = "its engine ended"
)

// Run brings the machine up and keeps it until a TERM or INT comes, the engine
// ends or the lease does. It returns which of them. The caller's process must
// be the first of the machine, and ends next.
func (m *Machine) Run(signals <-chan os.Signal) (reason string, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended, asked := make(chan string, 1), false
	go func() { ended <- m.live(ctx) }()
	for {
		select {
		case sig := <-signals:
			switch sig {
			case unix.SIGCHLD:
				m.procs.collect()
			case unix.SIGTERM, unix.SIGINT:
				asked = true
				cancel()
			}
		case reason := <-ended:
			if asked {
				reason = EndedAsked
			}
			m.h.Log.Info("ending", "reason", reason)
			return reason, m.shutdown(signals)
		}
	}
}

// stopGrace is how long the engine may take to end its containers.
const stopGrace = 20 * time.Second

// shutdown ends the engine in order, and collects children meanwhile.
func (m *Machine) shutdown(signals <-chan os.Signal) error {
	done := m.engine.stop()
	limit := time.NewTimer(stopGrace)
	defer limit.Stop()
	for {
		select {
		case <-done:
			return nil
		case sig := <-signals:
			if sig == unix.SIGCHLD {
				m.procs.collect()
			}
		case <-limit.C:
			return fmt.Errorf("cannot end the engine within %s", stopGrace)
		}
	}
}

// live goes through the stages and then keeps the lease.
func (m *Machine) live(ctx context.Context) (reason string) {
	m.reached(ctx, Running, nil)
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{Address, m.address},
		{PhoneHome, m.phoneHome},
		{Docker, m.startEngine},
		{Images, m.pull},
		{Settled, m.settle},
	} {
		if err := m.stage(ctx, s.name, s.do); err != nil {
			return err.Error()
		}
	}
	return m.keep(ctx)
}

// stage does one stage. If it fails or is not done by its deadline that is told,
// and it is tried again: what the machine is worth then is the scaler's to say,
// and a late machine can still be of use. An error ends the machine.
func (m *Machine) stage(ctx context.Context, name string, do func(context.Context) error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		limited, cancel := context.WithTimeout(ctx, m.c.deadline(name))
		err := do(limited)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.reached(ctx, name, err)
		if err == nil || mayFail(name) {
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		if m.idle(ctx) {
			return errors.New(EndedLease)
		}
	}
}

// mayFail: the scaler pulls images itself when it places containers.
func mayFail(stage string) bool { return stage == Images }

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// reached notes a stage, or its failure, and tells the scaler as soon as there
// is a way to.
func (m *Machine) reached(ctx context.Context, name string, failure error) {
	now := m.h.Now()
	r := join.Report{Name: name, At: now.UnixMilli(), Took: now.Sub(m.last).Milliseconds()}
	if failure != nil {
		r.Error = failure.Error()
	} else {
		m.last = now
		m.stages = append(m.stages, r)
	}
	level := slog.LevelInfo
	if failure != nil {
		level = slog.LevelWarn
	}
	m.h.Log.Log(ctx, level, "stage", "name", name, "took_ms", r.Took, "error", r.Error)
	if m.client == nil {
		return
	}
	if n := len(m.unsent); n > 0 && m.unsent[n-1].Name == name { // failed before
		m.unsent = m.unsent[:n-1]
	}
	m.unsent = append(m.unsent, r)
	if m.engine.joined {
		m.send(ctx)
	}
}

// send tells the scaler what it has not heard yet.
func (m *Machine) send(ctx context.Context) {
	for len(m.unsent) > 0 {
		r := m.unsent[0]
		r.Now = m.h.Now().UnixMilli()
		if err := m.client.Stage(ctx, r); err != nil {
			m.h.Log.Warn("cannot tell a stage", "error", err)
			return // with the next stage, or with the lease
		}
		m.unsent = m.unsent[1:]
	}
}

func (m *Machine) address(ctx context.Context) error {
	if m.h.Connect == nil {
		return nil
	}
	return m.h.Connect(ctx, m.procs.run)
}
