package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// Service is this process as others shall find it.
type Service struct {
	// ID is unique among the agent's services and the same after a restart, so
	// that the new process takes the place of the old one.
	ID, Name string
	Address  string // without the port
	Port     int
	Meta     map[string]string
	// Check is the URL the agent asks whether the process lives.
	Check string
}

// How the agent checks the process. One that does not answer for so long is
// removed: it was killed, or its machine is gone. If it lives after all it is
// registered anew.
const (
	checkInterval = 5 * time.Second
	checkTimeout  = 2 * time.Second
	checkForget   = 2 * time.Minute
)

// registerLimit bounds one request to the agent.
const registerLimit = 2 * time.Second

// registration keeps one service registered with the agent in use.
//
//	          the agent has it not              it has
//	(start) ------------------> registering ----------> registered
//	   ^                            |  ^                   |   | asked every 10 s
//	   |      failed: tried again   +--+                   |   v
//	   +---------------- the agent lost it ----------------+---+
//
// When another agent takes over, the service moves there: at the one before it
// is removed as soon as that answers.
type registration struct {
	c        *Client
	service  Service
	at       map[*endpoint]bool // where it is, or may be, registered
	failures int
}

// Register keeps s registered until ctx ends and removes it then, which may
// take as long as one request. It never fails: what goes wrong is logged and
// tried again. Run has to be running.
func (c *Client) Register(ctx context.Context, s Service) {
	r := &registration{c: c, service: s, at: map[*endpoint]bool{}}
	for ctx.Err() == nil {
		sleep(ctx, r.renew(ctx))
	}
	last, cancel := context.WithTimeout(context.Background(), registerLimit)
	defer cancel()
	r.withdraw(last, nil)
}

// renew makes sure that the service is registered, and returns when to look
// again.
func (r *registration) renew(ctx context.Context) time.Duration {
	c := r.c
	ep, err := c.reach.await(ctx)
	if err != nil {
		return 0 // ctx ended
	}
	_, life := c.reach.state(ep)
	limited, cancel := context.WithTimeout(ctx, registerLimit)
	defer cancel()
	if err := r.ensure(limited, ep); err != nil {
		return r.failed(ctx, life, ep, err)
	}
	r.failures = 0
	c.complain("registration", nil)
	r.withdraw(limited, ep)
	return time.Duration(float64(c.timing.register) * (0.9 + 0.2*c.env.Rand()))
}

// failed tells of a failure and returns when to try again.
func (r *registration) failed(ctx, life context.Context, ep *endpoint, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	var refused api.StatusError
	if !errors.As(err, &refused) {
		r.c.reach.suspect(ep, life, err)
	}
	r.c.complain("registration", err)
	r.failures++
	return r.c.timing.backoff(r.failures, r.c.env.Rand())
}

// ensure registers the service unless the agent has it as it is to be. The
// checks of a service that is there keep what they know.
func (r *registration) ensure(ctx context.Context, ep *endpoint) error {
	ac, _, err := ep.clients()
	if err != nil {
		r.c.complain("tls", err)
	}
	q := &api.QueryOptions{Token: r.c.currentToken()}
	have, _, err := ac.Agent().Service(r.service.ID, q.WithContext(ctx))
	switch {
	case isNotFound(err):
	case err != nil:
		return fmt.Errorf("cannot ask for service %q: %w", r.service.ID, err)
	case r.same(have):
		r.at[ep] = true
		return nil
	}
	r.at[ep] = true // the answer may get lost
	opts := api.ServiceRegisterOpts{ReplaceExistingChecks: true, Token: q.Token}
	if err := ac.Agent().ServiceRegisterOpts(r.agentService(), opts.WithContext(ctx)); err != nil {
		return fmt.Errorf("cannot register service %q: %w", r.service.ID, err)
	}
	r.c.env.Log.Info("registered in consul", "service", r.service.Name, "id", r.service.ID, "agent", ep.name)
	return nil
}

func isNotFound(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

func (r *registration) same(have *api.AgentService) bool {
	s := &r.service
	return have.Service == s.Name && have.Address == s.Address && have.Port == s.Port && maps.Equal(have.Meta, s.Meta)
}

func (r *registration) agentService() *api.AgentServiceRegistration {
	s := &r.service
	return &api.AgentServiceRegistration{
		ID: s.ID, Name: s.Name, Address: s.Address, Port: s.Port, Meta: s.Meta,
		Check: &api.AgentServiceCheck{
			CheckID: "alive:" + s.ID, Name: s.Name + " answers", HTTP: s.Check,
			Interval: checkInterval.String(), Timeout: checkTimeout.String(),
			DeregisterCriticalServiceAfter: checkForget.String(),
			Status:                         api.HealthPassing, // it is we who say so
		},
	}
}

// withdraw removes the service from all agents but keep.
func (r *registration) withdraw(ctx context.Context, keep *endpoint) {
	for ep := range r.at {
		if ep == keep {
			continue
		}
		if up, _ := r.c.reach.state(ep); keep != nil && !up {
			continue // it is asked when it answers again
		}
		ac, _, _ := ep.clients()
		q := &api.QueryOptions{Token: r.c.currentToken()}
		err := ac.Agent().ServiceDeregisterOpts(r.service.ID, q.WithContext(ctx))
		if err != nil && !isNotFound(err) {
			r.c.env.Log.Warn("cannot remove the registration in consul", "id", r.service.ID, "agent", ep.name, "error", err)
			continue
		}
		delete(r.at, ep)
		r.c.env.Log.Info("registration in consul removed", "id", r.service.ID, "agent", ep.name)
	}
}
