package devregistry

import (
	"fmt"
	"net/netip"
	"time"
)

// AgentService is the body of /v1/agent/service/register. What belongs to the
// mesh is accepted and ignored.
type AgentService struct {
	Kind              string
	ID                string
	Name              string
	Tags              []string
	Port              int
	Address           string
	SocketPath        string
	TaggedAddresses   map[string]Address
	EnableTagOverride bool
	Meta              map[string]string
	Weights           *Weights
	Check             *AgentCheck
	Checks            []*AgentCheck
	Proxy, Connect    any
	Namespace         string
	Partition         string
	Locality          any
	Token             string
}

// AgentCheck is a check of a service or a node. TTL, TCP or HTTP say of which
// kind it is; the latter two are run at Interval.
type AgentCheck struct {
	ID, CheckID, Name              string
	Notes, Status                  string
	ServiceID                      string
	TTL                            string
	Interval, Timeout              string
	TCP                            string
	HTTP, Method, Body             string
	Header                         map[string][]string
	TLSSkipVerify                  bool
	TLSServerName                  string
	Namespace                      string
	Partition                      string
	TCPUseTLS                      bool
	DeregisterCriticalServiceAfter string
	SuccessBeforePassing           int
	FailuresBeforeWarning          int
	FailuresBeforeCritical         int
}

// RegisterService registers an instance with the registry's own agent, as
// /v1/agent/service/register does.
func (r *Registry) RegisterService(in AgentService) error {
	if in.Name == "" {
		return badRequest("Missing service name")
	}
	if in.ID == "" {
		in.ID = in.Name
	}
	checks, err := in.checks(r.opts.Node)
	if err != nil {
		return err
	}
	err = r.write(func(s *state, t *touched) error {
		s.servicePut(t, in.row(r.opts.Node))
		for _, c := range checks {
			if err := s.agentCheckPut(t, c.row, r.opts.Clock.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range checks {
		r.startProbe(c)
	}
	return nil
}

func (in *AgentService) row(node string) Service {
	row := Service{
		Node: node, ID: in.ID, Service: in.Name, Tags: in.Tags, Address: in.Address,
		TaggedAddresses: in.TaggedAddresses, Meta: in.Meta, Port: in.Port,
		Weights: Weights{1, 1}, EnableTagOverride: in.EnableTagOverride, agent: true,
	}
	if row.Tags == nil {
		row.Tags = []string{}
	}
	if in.Weights != nil {
		row.Weights = *in.Weights
	}
	if row.TaggedAddresses == nil {
		row.TaggedAddresses = taggedAddresses(in.Address, in.Port)
	}
	return row
}

// taggedAddresses are those an agent adds to a literal address.
func taggedAddresses(address string, port int) map[string]Address {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	family := "ipv4"
	if ip.Is6() {
		family = "ipv6"
	}
	a := Address{address, port}
	return map[string]Address{"lan_" + family: a, "wan_" + family: a}
}

// agentCheck is a check with what it takes to run it.
type agentCheck struct {
	row      Check
	def      *AgentCheck
	interval time.Duration
	timeout  time.Duration
}

func (in *AgentService) checks(node string) ([]agentCheck, error) {
	defs := in.Checks
	if in.Check != nil {
		defs = append([]*AgentCheck{in.Check}, defs...)
	}
	var out []agentCheck
	for i, def := range defs {
		id := "service:" + in.ID
		if len(defs) > 1 {
			id = fmt.Sprintf("%s:%d", id, i+1)
		}
		c, err := def.compile(node, id, fmt.Sprintf("Service '%s' check", in.Name))
		if err != nil {
			return nil, err
		}
		c.row.ServiceID = in.ID
		out = append(out, c)
	}
	return out, nil
}

// compile validates a check; id and name are those of a check without.
func (def *AgentCheck) compile(node, id, name string) (agentCheck, error) {
	c := agentCheck{def: def, row: Check{
		Node: node, CheckID: firstOf(def.CheckID, def.ID, id), Name: firstOf(def.Name, name),
		Status: firstOf(def.Status, statusCritical), Notes: def.Notes, ServiceID: def.ServiceID,
		Interval: def.Interval, Timeout: def.Timeout,
	}}
	if err := validStatus(c.row.Status); err != nil {
		return c, err
	}
	var err error
	switch {
	case def.TTL != "":
		c.row.Type = "ttl"
		c.row.ttl, err = positive("TTL", def.TTL)
	case def.HTTP != "":
		c.row.Type = "http"
		err = c.schedule()
	case def.TCP != "":
		c.row.Type = "tcp"
		err = c.schedule()
	default:
		err = badRequest("Invalid check: want TTL, or TCP or HTTP with an Interval")
	}
	return c, err
}

// probeTimeout is how long a TCP or HTTP check may take if it does not say.
const probeTimeout = 10 * time.Second

func (c *agentCheck) schedule() (err error) {
	c.timeout = probeTimeout
	if c.def.Timeout != "" {
		if c.timeout, err = positive("Timeout", c.def.Timeout); err != nil {
			return err
		}
	}
	c.interval, err = positive("Interval", c.def.Interval)
	return err
}

func positive(name, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, badRequest("Invalid check: %s must be > 0, not %q", name, text)
	}
	return d, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func validStatus(status string) error {
	switch status {
	case statusPassing, statusWarning, statusCritical:
		return nil
	}
	return badRequest("Invalid check status: '%s'", status)
}

// agentCheckPut stores a check of the own agent. One that is known keeps its
// status and output over a new registration.
func (s *state) agentCheckPut(t *touched, c Check, now time.Time) error {
	if old := s.catalog.check(c.Node, c.CheckID); old != nil {
		c.Status, c.Output = old.Status, old.Output
	}
	t.checks = append(t.checks, c.CheckID)
	return s.checkPut(t, c, now)
}

// DeregisterService takes an instance off the registry's own agent.
func (r *Registry) DeregisterService(id string) error {
	return r.onService(id, func(s *state, t *touched, svc *Service) {
		checks := append([]*Check(nil), s.catalog.instanceChecks(svc.Node, svc.ID)...)
		s.instanceRemove(t, svc, r.opts.Clock.Now())
		for _, c := range checks {
			r.stopProbeLocked(c.CheckID)
		}
	})
}

// onService runs a change on an instance of the own agent.
func (r *Registry) onService(id string, change func(*state, *touched, *Service)) error {
	return r.write(func(s *state, t *touched) error {
		svc := s.catalog.service(r.opts.Node, id)
		if svc == nil || !svc.agent {
			return notFound("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id)
		}
		change(s, t, svc)
		return nil
	})
}

// Maintenance puts an instance of the own agent into maintenance, or ends it.
func (r *Registry) Maintenance(id string, on bool, reason string) error {
	check := Check{
		Node: r.opts.Node, CheckID: "_service_maintenance:" + id, ServiceID: id,
		Name: "Service Maintenance Mode", Status: statusCritical, Type: statusMaintenance,
		Notes: firstOf(reason, "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."),
	}
	return r.onService(id, func(s *state, t *touched, _ *Service) { s.setMaintenance(t, check, on, r.opts.Clock.Now()) })
}

// NodeMaintenance puts the registry's own node into maintenance, or ends it.
func (r *Registry) NodeMaintenance(on bool, reason string) {
	check := Check{
		Node: r.opts.Node, CheckID: "_node_maintenance",
		Name: "Node Maintenance Mode", Status: statusCritical, Type: statusMaintenance,
		Notes: firstOf(reason, "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."),
	}
	_ = r.write(func(s *state, t *touched) error {
		s.setMaintenance(t, check, on, r.opts.Clock.Now())
		return nil
	})
}

func (s *state) setMaintenance(t *touched, check Check, on bool, now time.Time) {
	old := s.catalog.check(check.Node, check.CheckID)
	switch {
	case on && old == nil:
		_ = s.checkPut(t, check, now) // the node and the service are there
	case !on && old != nil:
		s.checkRemove(t, old, now)
	}
}

// SetCheck sets the status and output of a check of the own agent, as a probe
// or the TTL endpoints do. A new output alone moves no index, as Consul
// defers it.
func (r *Registry) SetCheck(id, status, output string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.setCheckLocked(id, status, output)
}

func (r *Registry) setCheckLocked(id, status, output string) error {
	old := r.state.catalog.check(r.opts.Node, id)
	if old == nil {
		return notFound("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)
	}
	if old.Status == status {
		r.armCheck(id)
		return nil
	}
	r.opts.Logger.Info("check changed", "check", id, "from", old.Status, "to", status)
	return r.writeLocked(func(s *state, t *touched) error {
		c := *old
		c.Status, c.Output = status, output
		t.checks = append(t.checks, id)
		return s.checkPut(t, c, r.opts.Clock.Now())
	})
}

// expireCheckLocked turns a TTL check critical that was not renewed in time.
func (r *Registry) expireCheckLocked(id string) {
	c := r.state.catalog.check(r.opts.Node, id)
	if c == nil || c.Status == statusCritical {
		return
	}
	_ = r.setCheckLocked(id, statusCritical, "TTL expired (last output before timeout follows): "+c.Output)
	r.setTimer("check/"+id, 0, nil)
}
