package devregistry

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
)

// agentService is an instance as the agent shows it.
type agentService struct {
	ID                string
	Service           string
	Tags              []string
	Meta              map[string]string
	Port              int
	Address           string
	TaggedAddresses   map[string]Address `json:",omitempty"`
	Weights           Weights
	EnableTagOverride bool
	ContentHash       string `json:",omitempty"`
	Datacenter        string
}

func (r *Registry) shownByAgent(s *Service) agentService {
	out := agentService{
		ID: s.ID, Service: s.Service, Tags: s.Tags, Meta: s.Meta, Port: s.Port, Address: s.Address,
		TaggedAddresses: s.TaggedAddresses, Weights: s.Weights,
		EnableTagOverride: s.EnableTagOverride, Datacenter: r.opts.Datacenter,
	}
	if out.Meta == nil {
		out.Meta = map[string]string{}
	}
	return out
}

// agentServices calls f for each instance of the own agent the call may read.
func (c *call) agentServices(f func(*Service)) {
	c.r.mu.RLock()
	defer c.r.mu.RUnlock()
	for _, s := range c.r.state.catalog.services.rows {
		if s.agent && c.acl.canRead("service/"+s.Service) {
			f(s)
		}
	}
}

func serveAgentServices(c *call) (any, error) {
	out := make(map[string]agentService)
	c.agentServices(func(s *Service) { out[s.ID] = c.r.shownByAgent(s) })
	return out, nil
}

func serveAgentService(c *call) (any, error) {
	c.r.mu.RLock()
	s := c.r.state.catalog.service(c.r.opts.Node, c.name)
	c.r.mu.RUnlock()
	if s == nil || !s.agent {
		return nil, notFound("unknown service ID: %s", c.name)
	}
	if err := c.mayRead("service", s.Service); err != nil {
		return nil, err
	}
	out := c.r.shownByAgent(s)
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", out)
	out.ContentHash = strconv.FormatUint(h.Sum64(), 16)
	c.w.Header().Set("X-Consul-Contenthash", out.ContentHash)
	return out, nil
}

func serveAgentRegister(c *call) (any, error) {
	var in AgentService
	if err := c.decode(&in, true); err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if err := c.mayWrite("service", in.Name); err != nil {
		return nil, err
	}
	return nil, c.r.RegisterService(in)
}

func serveAgentDeregister(c *call) (any, error) {
	if err := c.mayWriteService(c.name); err != nil {
		return nil, err
	}
	return nil, c.r.DeregisterService(c.name)
}

// mayWriteService asks by the name of the service of an id.
func (c *call) mayWriteService(id string) error {
	c.r.mu.RLock()
	s := c.r.state.catalog.service(c.r.opts.Node, id)
	c.r.mu.RUnlock()
	if s == nil {
		return nil // the change will say so
	}
	return c.mayWrite("service", s.Service)
}

// enable reads ?enable of a maintenance request.
func (c *call) enable() (bool, error) {
	if !c.query.has("enable") {
		return false, badRequest("Missing value for enable")
	}
	v := c.query.values.Get("enable")
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, badRequest("Invalid value for enable: %q", v)
	}
	return on, nil
}

func serveServiceMaintenance(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing service ID")
	}
	on, err := c.enable()
	if err != nil {
		return nil, err
	}
	if err := c.mayWriteService(c.name); err != nil {
		return nil, err
	}
	return nil, c.r.Maintenance(c.name, on, c.query.values.Get("reason"))
}

func serveNodeMaintenance(c *call) (any, error) {
	on, err := c.enable()
	if err != nil {
		return nil, err
	}
	if err := c.mayWrite("node", c.r.opts.Node); err != nil {
		return nil, err
	}
	c.r.NodeMaintenance(on, c.query.values.Get("reason"))
	return nil, nil
}

func serveAgentSelf(c *call) (any, error) {
	if err := c.mayRead("agent", c.r.opts.Node); err != nil {
		return nil, err
	}
	c.r.mu.RLock()
	node, _ := c.r.state.catalog.node(c.r.opts.Node)
	c.r.mu.RUnlock()
	id := ""
	if node != nil {
		id = node.ID
	}
	return map[string]any{
		"Config": map[string]any{
			"Datacenter": c.r.opts.Datacenter, "PrimaryDatacenter": c.r.opts.Datacenter,
			"NodeName": c.r.opts.Node, "NodeID": id, "Revision": "", "Server": true, "Version": Version,
			"BuildDate": "1970-01-01T00:00:01Z",
		},
		"Member": c.member(),
		"Stats":  map[string]any{"agent": map[string]string{"registry": "spillway development registry"}},
		"Meta":   map[string]string{"consul-version": Version},
	}, nil
}

func serveAgentMembers(c *call) (any, error) { return []any{c.member()}, nil }

func (c *call) member() map[string]any {
	return map[string]any{
		"Name": c.r.opts.Node, "Addr": "127.0.0.1", "Port": 8301, "Status": 1,
		"Tags": map[string]string{"role": "consul", "dc": c.r.opts.Datacenter, "build": Version + ":"},
	}
}

func serveAgentChecks(c *call) (any, error) {
	out := make(map[string]Check)
	c.r.mu.RLock()
	defer c.r.mu.RUnlock()
	for _, check := range c.r.state.catalog.checks.rows {
		own := check.Node == c.r.opts.Node && check.CheckID != serfCheck
		if own && c.acl.canRead("service/"+check.ServiceName) {
			shown := *check
			shown.CreateIndex, shown.ModifyIndex = 0, 0
			out[check.CheckID] = shown
		}
	}
	return out, nil
}

func serveCheckRegister(c *call) (any, error) {
	var in AgentCheck
	if err := c.decode(&in, true); err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if in.Name == "" {
		return nil, badRequest("Missing check name")
	}
	if err := c.mayWrite("node", c.r.opts.Node); err != nil {
		return nil, err
	}
	check, err := in.compile(c.r.opts.Node, in.Name, in.Name)
	if err != nil {
		return nil, err
	}
	err = c.r.write(func(s *state, t *touched) error {
		if in.ServiceID != "" && s.catalog.service(c.r.opts.Node, in.ServiceID) == nil {
			return notFound("ServiceID %q does not exist", in.ServiceID)
		}
		return s.agentCheckPut(t, check.row, c.r.opts.Clock.Now())
	})
	if err == nil {
		c.r.startProbe(check)
	}
	return nil, err
}

func serveCheckDeregister(c *call) (any, error) {
	if err := c.mayWrite("node", c.r.opts.Node); err != nil {
		return nil, err
	}
	return nil, c.r.write(func(s *state, t *touched) error {
		check := s.catalog.check(c.r.opts.Node, c.name)
		if check == nil {
			return notFound("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", c.name)
		}
		s.checkRemove(t, check, c.r.opts.Clock.Now())
		c.r.stopProbeLocked(c.name)
		return nil
	})
}

func serveCheckPass(c *call) (any, error) {
	return nil, c.setTTL(statusPassing, c.query.values.Get("note"))
}

func serveCheckWarn(c *call) (any, error) {
	return nil, c.setTTL(statusWarning, c.query.values.Get("note"))
}

func serveCheckFail(c *call) (any, error) {
	return nil, c.setTTL(statusCritical, c.query.values.Get("note"))
}

func serveCheckUpdate(c *call) (any, error) {
	var in struct{ Status, Output string }
	if err := c.decode(&in, false); err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if err := validStatus(in.Status); err != nil {
		return nil, err
	}
	return nil, c.setTTL(in.Status, in.Output)
}

func (c *call) setTTL(status, output string) error {
	c.r.mu.RLock()
	check := c.r.state.catalog.check(c.r.opts.Node, c.name)
	c.r.mu.RUnlock()
	if check != nil {
		if err := c.mayWrite("service", check.ServiceName); err != nil {
			return err
		}
		if check.ttl == 0 {
			return fmt.Errorf("CheckID %q does not have associated TTL", c.name)
		}
	}
	return c.r.SetCheck(c.name, status, output)
}

// agentHealth is the health of one instance as the agent aggregates it.
type agentHealth struct {
	AggregatedStatus string
	Service          agentService
	Checks           []*Check
}

func (c *call) agentHealth(s *Service) agentHealth {
	cat := &c.r.state.catalog
	checks := append([]*Check{}, cat.instanceChecks(s.Node, s.ID)...)
	worst := statusPassing
	for _, check := range append(checks, cat.nodeChecks(s.Node)...) {
		worst = worse(worst, check.health())
	}
	return agentHealth{worst, c.r.shownByAgent(s), checks}
}

func serveAgentHealthID(c *call) (any, error) {
	var found *agentHealth
	c.agentServices(func(s *Service) {
		if s.ID == c.name {
			h := c.agentHealth(s)
			found = &h
		}
	})
	if found == nil {
		return nil, notFound("ServiceId %s not found", c.name)
	}
	c.writeHealth(found.AggregatedStatus, found)
	return nil, nil
}

func serveAgentHealthName(c *call) (any, error) {
	all := []agentHealth{}
	worst := statusPassing
	c.agentServices(func(s *Service) {
		if s.Service != c.name {
			return
		}
		h := c.agentHealth(s)
		all = append(all, h)
		worst = worse(worst, h.AggregatedStatus)
	})
	if len(all) == 0 {
		c.w.Header().Set("X-Consul-Reason", "ServiceName "+c.name+" Not Found")
		c.writeJSON(http.StatusNotFound, all)
		return nil, nil
	}
	c.writeHealth(worst, all)
	return nil, nil
}

// writeHealth answers 200, 429 or 503, by the status, as load balancers ask.
func (c *call) writeHealth(status string, body any) {
	code := http.StatusOK
	switch {
	case status == statusWarning:
		code = http.StatusTooManyRequests
	case status != statusPassing:
		code = http.StatusServiceUnavailable
	}
	c.w.Header().Set("X-Consul-Reason", status)
	if c.query.values.Get("format") == "text" {
		c.w.Header().Set("Content-Type", "text/plain")
		c.w.WriteHeader(code)
		fmt.Fprint(c.w, status)
		return
	}
	c.writeJSON(code, body)
}

// health is the status of a check, or maintenance, which is worse than any.
func (c *Check) health() string {
	if c.Type == statusMaintenance {
		return statusMaintenance
	}
	return c.Status
}

func worse(a, b string) string {
	order := []string{statusPassing, statusWarning, statusCritical, statusMaintenance}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
