package sim

import (
	"maps"
	"math"
	"math/rand/v2"
	"time"

	"spillway/scaler/cloud"
)

// never is later than any time a test gets to.
var never = time.Unix(1<<40, 0)

// machine is one machine's whole life, past and to come, as points in time. A
// point that will not be reached is never. Its state at a time is read off:
//
//	created -> Pending -> running -> Running        deleting -> Deleting -> ended -> Deleted
//	                  \-> failed  -> Failed          (from every state)
//	stopping -> Stopping -> stopped -> Stopped;  Start sets created's successors anew
type machine struct {
	id, name, address string
	offering          cloud.Offering
	tags              map[string]string
	userData          []byte
	random            *rand.Rand

	created  time.Time
	on       time.Time // created, or started again
	running  time.Time
	address0 time.Time // when it has its address
	phones   time.Time // when its init phones home
	settled  time.Time
	failed   time.Time
	reason   string
	stopping time.Time
	stopped  time.Time
	notice   time.Time // spot machines: told that it will end
	deleting time.Time
	ended    time.Time

	lag  time.Duration // List shows it as it was so long ago
	skew time.Duration // of its clock
	paid []time.Duration
}

func (m *machine) state(at time.Time) cloud.State {
	switch {
	case !at.Before(m.ended):
		return cloud.Deleted
	case !at.Before(m.deleting):
		return cloud.Deleting
	case !at.Before(m.stopped):
		return cloud.Stopped
	case !at.Before(m.stopping):
		return cloud.Stopping
	case !at.Before(m.failed):
		return cloud.Failed
	case !at.Before(m.running):
		return cloud.Running
	}
	return cloud.Pending
}

// alive: it exists and costs or may cost something.
func (m *machine) alive(at time.Time) bool { return at.Before(m.ended) }

// occupies: it takes one of the stock.
func (m *machine) occupies(at time.Time) bool {
	return m.alive(at) && at.Before(m.stopped)
}

// seen is the machine as it was at a time. The caller owns it.
func (m *machine) seen(at time.Time) cloud.Machine {
	v := cloud.Machine{
		ID: m.id, Name: m.name, Type: m.offering.Type, Zone: m.offering.Zone, Spot: m.offering.Spot,
		State: m.state(at), Created: m.created.Add(m.skew), Tags: maps.Clone(m.tags),
	}
	if !at.Before(m.address0) && m.alive(at) {
		v.Address = m.address
	}
	if v.State == cloud.Failed {
		v.Reason = m.reason
	}
	return v
}

// boot sets the points of a run that begins now.
func (m *machine) boot(now time.Time, running, address, phone, settle Dist) {
	m.on, m.stopping, m.stopped, m.failed = now, never, never, never
	m.running = now.Add(running.draw(m.random))
	m.address0 = m.running.Add(address.draw(m.random))
	m.phones = m.address0.Add(phone.draw(m.random))
	m.settled = m.phones.Add(settle.draw(m.random))
}

// late moves everything that lies ahead of the boot.
func (m *machine) late(d time.Duration) {
	for _, t := range []*time.Time{&m.running, &m.address0, &m.phones, &m.settled} {
		*t = t.Add(d)
	}
}

// end gives the machine up at a time; an earlier end stands.
func (m *machine) end(deleting, ended time.Time) {
	if deleting.Before(m.deleting) {
		m.deleting = deleting
	}
	if ended.Before(m.ended) {
		m.ended = ended
	}
}

// billed is the time to be paid until now, in whole quanta.
func (m *machine) billed(now time.Time, stopFree bool) time.Duration {
	var sum time.Duration
	for _, d := range m.paid {
		sum += quanta(d, m.offering.Quantum)
	}
	return sum + quanta(m.thisRun(now, stopFree), m.offering.Quantum)
}

// thisRun is how long the machine has cost since it was last switched on.
func (m *machine) thisRun(now time.Time, stopFree bool) time.Duration {
	until := now
	if stopFree && m.stopped.Before(until) {
		until = m.stopped
	}
	if m.ended.Before(until) {
		until = m.ended
	}
	return max(until.Sub(m.on), 0)
}

func quanta(d, quantum time.Duration) time.Duration {
	if quantum <= 0 {
		return d
	}
	n := math.Ceil(float64(d) / float64(quantum))
	return time.Duration(max(n, 1)) * quantum
}
