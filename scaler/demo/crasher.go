package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"spillway/internal/process"
)

const (
	lookEvery  = 200 * time.Millisecond
	stepLimit  = 60 * time.Second // for one scaler to reach its next step
	reachLimit = 90 * time.Second // for an undisturbed one to reach its goal
	calmTime   = 3 * time.Second  // without another step: there is none left
	holdTime   = 8 * time.Second  // in which a scaler could do harm: its first rounds only look
)

// crasher kills scalers and notes what the others make of it.
type crasher struct {
	*world
	o    *CrashOptions
	seen *trial
}

func newCrasher(w *world, o *CrashOptions) *crasher {
	return &crasher{world: w, o: o, seen: newTrial()}
}

// reach asks for so many rented machines and kills scalers on the way there, one
// before and one after each of these kinds of steps. Then one is let work, to
// see that it converges.
//
// Kinds and not numbers say where they die: what a step found out is remembered
// by nobody who died, so steps are repeated, and numbers would go round in
// circles.
func (c *crasher) reach(ctx context.Context, p phase, machines int) error {
	c.kill(c.scaler)
	c.at.Min = float64(1+machines) * machineCPU
	for _, k := range c.plan(p) {
		s, err := c.launchScaler("--crash-at", k.side+":"+k.step)
		if err != nil {
			return err
		}
		died, err := c.awaitDeath(ctx, s, machines)
		if err != nil {
			return fmt.Errorf("while %s, to be killed %s %s: %w", p.name, k.side, k.step, err)
		}
		if died {
			c.autopsy(ctx, s, k)
		}
		c.kill(c.scaler)
	}
	if err := c.startScaler(ctx); err != nil {
		return err
	}
	err := c.await(ctx, reachLimit, fmt.Sprintf("%d machines are rented and used after %s", machines, p.name), func(ctx context.Context) error {
		return c.reached(ctx, machines)
	})
	c.seen.converged = append(c.seen.converged, outcome{p.name, err == nil})
	return err
}

// plan is where scalers are to die, in order.
func (c *crasher) plan(p phase) (all []death) {
	for _, step := range p.steps {
		for _, side := range []string{"before", "after"} {
			all = append(all, death{phase: p.name, side: side, step: string(step)})
		}
	}
	return all
}

// awaitDeath watches until a scaler has died, or has nothing left to do.
func (c *crasher) awaitDeath(ctx context.Context, p *process.Process, machines int) (died bool, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	began := time.Now()
	var calm time.Time
	for {
		select {
		case <-p.Done():
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case now := <-tick.C:
			err := c.reached(ctx, machines)
			switch {
			case now.Sub(began) > stepLimit:
				return false, fmt.Errorf("no step within %v, and: %w", stepLimit, err)
			case err != nil:
				calm = time.Time{}
			case calm.IsZero():
				calm = now
			case now.Sub(calm) > calmTime:
				return false, nil
			}
		}
	}
}

// reached tells what is missing until so many machines are rented and used. It
// looks at machines, gateway and ledger, not at the scaler.
func (c *crasher) reached(ctx context.Context, machines int) error {
	all, err := c.rented.List(ctx, nil)
	if err != nil {
		return err
	}
	c.seen.machines(all)
	n, err := c.inTraffic(ctx)
	if err != nil {
		return err
	}
	r, err := c.ledger(ctx)
	if err != nil {
		return err
	}
	if len(all) != machines || n != 1+machines || len(r.machines) != 1+machines || len(r.instances) != 1+machines {
		return fmt.Errorf("%d machines rented, %d servers in traffic, %d machines and %d instances in the ledger", len(all), n, len(r.machines), len(r.instances))
	}
	return nil
}

// kill ends a scaler as nothing it could prepare for, and its session.
func (c *crasher) kill(p *process.Process) {
	if p == nil {
		return
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.Done()
	c.scaler = nil
	c.endSessions()
}

// autopsy notes at which step a scaler died and what there is now. Then its
// session ends: Consul itself would take 10 to 20 s for that, in which nothing
// could happen.
func (c *crasher) autopsy(ctx context.Context, p *process.Process, d death) {
	if _, text, ok := strings.Cut(p.Tail(), "crash-at: "); ok {
		d.id = text[strings.LastIndexByte(text, ' ')+1:]
	} else {
		d.faults = append(d.faults, "it ended by itself: "+p.Tail())
	}
	now, err := c.census(ctx)
	if err != nil {
		d.faults = append(d.faults, "cannot look: "+err.Error())
	} else {
		d.faults = append(d.faults, now.faults(1+c.o.Machines)...)
	}
	c.seen.deaths = append(c.seen.deaths, d)
	fmt.Fprintf(c.o.Out, "%3d  %-11s killed %-6s %-17s %-18s  %s\n", len(c.seen.deaths), d.phase, d.side, d.step, d.id, orGood(d.faults))
}

func (c *crasher) endSessions() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var all []struct{ ID string }
	if c.get(ctx, "http://"+c.at.Consul+"/v1/session/list", &all) != nil {
		return
	}
	for _, s := range all {
		// One that remains ends by itself, only later.
		_ = c.do(ctx, http.MethodPut, "http://"+c.at.Consul+"/v1/session/destroy/"+s.ID)
	}
}

// wipe removes the ledger under a working scaler, which has to take everything
// up again from the cloud's lists and the containers' labels.
func (c *crasher) wipe(ctx context.Context) error {
	return c.without(ctx, "ledger wiped", func(ctx context.Context) error {
		if err := c.do(ctx, http.MethodDelete, "http://"+c.at.Consul+"/v1/kv/"+ledgerPrefix+"?recurse"); err != nil {
			return err
		}
		return c.await(ctx, reachLimit, "the ledger knows everything again", func(ctx context.Context) error {
			return c.reached(ctx, c.o.Machines)
		})
	})
}

// absent leaves the scaler away. Its session ends by itself this time.
func (c *crasher) absent(ctx context.Context) error {
	return c.without(ctx, fmt.Sprintf("no scaler for %v", c.o.Absent), func(ctx context.Context) error {
		_ = c.scaler.Signal(syscall.SIGKILL)
		<-c.scaler.Done()
		c.scaler = nil
		end := time.Now().Add(c.o.Absent)
		err := c.await(ctx, c.o.Absent+stepLimit, "the time is over", func(ctx context.Context) error {
			if time.Now().Before(end) {
				c.seen.bad(c.critical(ctx))
				return errors.New("it is not")
			}
			return nil
		})
		if err != nil {
			return err
		}
		return c.startScaler(ctx)
	})
}

// without does something, watches for a while, and notes which machines and
// containers are not there any more.
func (c *crasher) without(ctx context.Context, what string, do func(context.Context) error) error {
	before, err := c.census(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	end := time.Now().Add(holdTime)
	err = c.await(ctx, 2*holdTime, "nothing happens", func(ctx context.Context) error {
		if time.Now().Before(end) {
			return errors.New("the time is not over")
		}
		return c.reached(ctx, c.o.Machines)
	})
	after, e := c.census(ctx)
	if err = errors.Join(err, e); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	l := loss{what: what, lost: before.missing(after), faults: after.faults(1 + c.o.Machines), machines: len(before.machines), took: time.Since(began)}
	c.seen.losses = append(c.seen.losses, l)
	fmt.Fprintln(c.o.Out, l.String())
	return nil
}

// critical lists checks of the app that do not pass, and servers that get no
// requests.
func (c *crasher) critical(ctx context.Context) []string {
	var entries []struct {
		Service struct{ ID string }
		Checks  []struct{ Status string }
	}
	if err := c.get(ctx, "http://"+c.at.Consul+"/v1/health/service/web", &entries); err != nil {
		return []string{err.Error()}
	}
	var bad []string
	for _, e := range entries {
		for _, check := range e.Checks {
			if check.Status != "passing" {
				bad = append(bad, e.Service.ID+" is "+check.Status)
			}
		}
	}
	if n, err := c.inTraffic(ctx); err != nil || n != 1+c.o.Machines {
		bad = append(bad, fmt.Sprintf("%d servers in traffic %v", n, err))
	}
	return bad
}
