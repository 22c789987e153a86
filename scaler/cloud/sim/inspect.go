package sim

import (
	"cmp"
	"slices"
	"time"

	"spillway/scaler/cloud"
)

// Host is a machine as it truly is: what a test knows and no scaler can.
type Host struct {
	cloud.Machine
	UserData []byte
	// When it runs, has its address, when its init phones home and when that
	// is done. The zero time: it never does. They are of the current run.
	Running, Addressed, PhonesHome, Settled time.Time
	// Ends is when the cloud takes it away or it has been given up, zero if
	// nothing of that kind is known.
	Ends time.Time
	// Skew is how far its clock is ahead.
	Skew time.Duration
	// Cost until now.
	Cost float64
}

// Up reports whether it can be reached at a time.
func (h *Host) Up(now time.Time) bool {
	return h.State == cloud.Running && reached(h.Addressed, now)
}

// Init reports how far the machine's own init has come at a time.
func (h *Host) Init(now time.Time) (phoned, settled bool) {
	up := h.Up(now)
	return up && reached(h.PhonesHome, now), up && reached(h.Settled, now)
}

func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// Hosts are the machines that exist, by id. Stopped ones do.
func (c *Cloud) Hosts() []Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	var hosts []Host
	for _, m := range c.machines {
		if m.alive(now) {
			hosts = append(hosts, c.host(m, now))
		}
	}
	slices.SortFunc(hosts, func(a, b Host) int { return cmp.Compare(a.ID, b.ID) })
	return hosts
}

// Host is one machine, also one that has ended.
func (c *Cloud) Host(id string) (Host, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.byID[id]
	if m == nil {
		return Host{}, false
	}
	return c.host(m, c.clock.Now()), true
}

func (c *Cloud) host(m *machine, now time.Time) Host {
	return Host{
		Machine: m.seen(now), UserData: slices.Clone(m.userData),
		Running: known(m.running), Addressed: known(m.address0), PhonesHome: known(m.phones), Settled: known(m.settled),
		Ends: known(m.ended), Skew: m.skew, Cost: c.cost(m, now),
	}
}

func known(t time.Time) time.Time {
	if t.Before(never) {
		return t
	}
	return time.Time{}
}

// Running are the machines that exist and have not been given up, by id,
// whether they are pending, running, failed or stopped: what still costs or
// may cost money.
func (c *Cloud) Running() []cloud.Machine {
	var running []cloud.Machine
	for _, h := range c.Hosts() {
		if h.State != cloud.Deleting {
			running = append(running, h.Machine)
		}
	}
	return running
}

// Orphans are the Running machines with all the tags that keep does not know
// by id.
func (c *Cloud) Orphans(tags map[string]string, keep func(id string) bool) []cloud.Machine {
	return slices.DeleteFunc(c.Running(), func(m cloud.Machine) bool { return !m.HasTags(tags) || keep(m.ID) })
}

// Made counts all the machines ever made, by the value of a tag: with
// cloud.TagOrder, how many each order got.
func (c *Cloud) Made(tag string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	made := map[string]int{}
	for _, m := range c.machines {
		made[m.tags[tag]]++
	}
	return made
}

// Billed is the money that all machines, ended ones too, cost until a time.
func (c *Cloud) Billed(now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0.0
	for _, m := range c.machines {
		sum += c.cost(m, now)
	}
	return sum
}

func (c *Cloud) cost(m *machine, now time.Time) float64 {
	return m.billed(now, c.provider.StopFree).Hours() * m.offering.PriceHour
}

// Calls counts the requests that reached the API, refused ones too, by
// cloud.Op.
func (c *Cloud) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := make(map[string]int, len(c.calls))
	for op, n := range c.calls {
		calls[op] = n
	}
	return calls
}

// SetStock changes how many machines of a place there are in all; below 0
// lifts the limit. Machines that run go on.
func (c *Cloud) SetStock(p Place, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < 0 {
		delete(c.provider.Stock, p)
		return
	}
	c.provider.Stock[p] = n
}

// SetQuota changes the account's quota of machines, 0 none.
func (c *Cloud) SetQuota(machines int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.provider.MaxMachines = machines
}

// Kill ends a machine now, as a failing host does: nobody is told.
func (c *Cloud) Kill(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.byID[id]; m != nil {
		now := c.clock.Now()
		m.end(now, now)
	}
}

// Reclaim gives a machine its spot notice now.
func (c *Cloud) Reclaim(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.byID[id]; m != nil {
		m.notice = c.clock.Now()
		m.end(m.notice.Add(spotWarning), m.notice.Add(spotWarning))
	}
}
