package machine

import (
	"context"
	"errors"
	"time"

	"spillway/scaler/hostinit/join"
)

// defaultEvery is also how long a scaler that begins anew knows nothing of the
// stages.
const defaultEvery = 15 * time.Second

// keep watches over a machine that has settled: the lease, and the engine. It
// returns why the machine shall end.
func (m *Machine) keep(ctx context.Context) (reason string) {
	every := seconds(m.c.Lease.Every)
	if every <= 0 {
		every = defaultEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return EndedAsked
		case status := <-m.engine.exit:
			m.engine.pid = 0
			if err := m.revive(ctx, status.ExitStatus()); err != nil {
				return EndedEngine
			}
		case <-tick.C:
			if m.idle(ctx) {
				return EndedLease
			}
		}
	}
}

// revive starts an engine that ended by itself anew, which starts the containers
// that are to be restarted. Three times in a life: what ends more often has a
// cause that a new machine may not have.
func (m *Machine) revive(ctx context.Context, status int) error {
	m.h.Log.Error("the engine ended", "status", status, "revived", m.engine.revived)
	if m.engine.revived == maxRevived {
		return errors.New("the engine does not live")
	}
	m.engine.revived++
	limited, cancel := context.WithTimeout(ctx, m.c.deadline(Docker))
	defer cancel()
	return m.startEngine(limited)
}

const maxRevived = 3

// idle reports whether the lease ends the machine now.
func (m *Machine) idle(ctx context.Context) bool { return m.use.look(m.requests(ctx), m.contact(ctx)) }

// contact reaches for the scaler.
func (m *Machine) contact(ctx context.Context) error {
	if m.client == nil {
		return errors.New("there is no scaler")
	}
	m.send(ctx)
	return m.client.Renew(ctx, join.Renewal{Now: m.h.Now().UnixMilli(), Stages: m.stages})
}

// counted is what a look at the meter gave.
type counted struct {
	packets uint64
	known   bool
}

func (m *Machine) requests(ctx context.Context) counted {
	switch {
	case m.meter == nil:
		return counted{}
	case !m.engine.counting: // there is no engine yet, and nobody to ask
		return counted{known: true}
	}
	n, err := m.meter.count(ctx)
	if err != nil {
		m.h.Log.Warn("the lease cannot end this machine now", "error", err)
	}
	return counted{packets: n, known: err == nil}
}

// keeper remembers when a machine was last of use and last known about.
type keeper struct {
	lease            Lease
	now              func() time.Time
	packets          uint64
	traffic, contact time.Time
}

// look takes what was seen and reports whether the machine shall end. A count
// that is not known, or that went back, is traffic: in doubt the machine stays.
func (k *keeper) look(c counted, unreached error) bool {
	now := k.now()
	if !c.known || c.packets != k.packets {
		k.traffic = now
	}
	k.packets = c.packets
	if unreached == nil {
		k.contact = now
	}
	return k.lease.Ends(now, k.traffic, k.contact)
}
