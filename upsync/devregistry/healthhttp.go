package devregistry

import (
	"slices"
	"strconv"
	"strings"
)

// proxy and connect are the empty mesh parts of a service.
type proxy struct {
	Mode        string
	MeshGateway struct{}
	Expose      struct{}
}

// healthService is the service part of an entry of /v1/health/service.
type healthService struct {
	ID                string
	Service           string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]Address `json:",omitempty"`
	Meta              map[string]string
	Port              int
	Weights           Weights
	EnableTagOverride bool
	Proxy             proxy
	Connect           struct{}
	PeerName          string
	CreateIndex       uint64
	ModifyIndex       uint64
}

// healthEntry is one instance with the checks that decide its health.
type healthEntry struct {
	Node    *Node
	Service healthService
	Checks  []*Check
}

func (s *Service) health() healthService {
	return healthService{
		ID: s.ID, Service: s.Service, Tags: s.Tags, Address: s.Address,
		TaggedAddresses: s.TaggedAddresses, Meta: s.Meta, Port: s.Port, Weights: s.Weights,
		EnableTagOverride: s.EnableTagOverride,
		CreateIndex:       s.CreateIndex, ModifyIndex: s.ModifyIndex,
	}
}

func (c *catalogTables) entry(s *Service) healthEntry {
	node, _ := c.node(s.Node)
	checks := append([]*Check{}, c.nodeChecks(s.Node)...)
	checks = append(checks, c.instanceChecks(s.Node, s.ID)...)
	return healthEntry{Node: node, Service: s.health(), Checks: checks}
}

func serveHealthService(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing service name")
	}
	passing, err := c.passing()
	if err != nil {
		return nil, err
	}
	keep, err := parseFilter(c.query.values.Get("filter"))
	if err != nil {
		return nil, err
	}
	entries := []healthEntry{}
	c.read(topic{topicService, strings.ToLower(c.name)}, func(s *state) meta {
		entries = entries[:0]
		filtered := false
		for _, svc := range s.catalog.instances(c.name) {
			if !c.acl.canRead("service/"+svc.Service) || !c.acl.canRead("node/"+svc.Node) {
				filtered = true
				continue
			}
			e := s.catalog.entry(svc)
			if c.tagged(svc.Tags) && c.nodeMeta(e.Node) && (!passing || e.passing()) && keep(&e) {
				entries = append(entries, e)
			}
		}
		return c.discoveryMeta(s.catalog.indexOfService(c.name, true), filtered)
	})
	return entries, nil
}

// discoveryMeta is the meta of a catalog or health answer.
func (c *call) discoveryMeta(index uint64, filtered bool) meta {
	streaming := strings.HasPrefix(c.req.URL.Path, "/v1/health/service/") &&
		!c.r.opts.NoStreaming && (c.query.index > 0 || c.query.cached) && !c.query.has("near")
	return meta{index: index, found: true, filtered: filtered, consistency: true, streaming: streaming}
}

// passing reads ?passing, which is true without a value.
func (c *call) passing() (bool, error) {
	if !c.query.has("passing") {
		return false, nil
	}
	v := c.query.values.Get("passing")
	if v == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, badRequest("Invalid value for ?passing")
	}
	return on, nil
}

func (e *healthEntry) passing() bool {
	for _, check := range e.Checks {
		if check.Status != statusPassing {
			return false
		}
	}
	return true
}

// tagged reports whether an instance has every ?tag asked for.
func (c *call) tagged(tags []string) bool {
	for _, want := range c.query.values["tag"] {
		has := func(tag string) bool { return strings.EqualFold(tag, want) }
		if !slices.ContainsFunc(tags, has) {
			return false
		}
	}
	return true
}

// nodeMeta reports whether a node has every ?node-meta=key:value asked for.
func (c *call) nodeMeta(n *Node) bool {
	for _, want := range c.query.values["node-meta"] {
		key, value, _ := strings.Cut(want, ":")
		if n == nil || n.Meta[key] != value {
			return false
		}
	}
	return true
}

// checkList serves the checks that keep takes, in the catalog's order.
func (c *call) checkList(t topic, all func(s *state) []*Check, keep func(*Check) bool) any {
	checks := []*Check{}
	c.read(t, func(s *state) meta {
		checks = checks[:0]
		filtered := false
		for _, check := range all(s) {
			switch {
			case !keep(check):
			case !c.acl.canRead("node/"+check.Node) || (check.ServiceID != "" && !c.acl.canRead("service/"+check.ServiceName)):
				filtered = true
			default:
				checks = append(checks, check)
			}
		}
		return c.discoveryMeta(s.catalog.checksIndex, filtered)
	})
	return checks
}

func everyCheck(s *state) []*Check { return s.catalog.checks.rows }

func serveHealthChecks(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing service name")
	}
	return c.checkList(topic{topicService, strings.ToLower(c.name)}, everyCheck, func(check *Check) bool {
		return check.ServiceID != "" && strings.EqualFold(check.ServiceName, c.name)
	}), nil
}

func serveHealthNode(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing node name")
	}
	return c.checkList(topic{topicNode, strings.ToLower(c.name)}, everyCheck, func(check *Check) bool {
		return strings.EqualFold(check.Node, c.name)
	}), nil
}

func serveHealthState(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing check state")
	}
	return c.checkList(topic{topicChecks, ""}, everyCheck, func(check *Check) bool {
		return c.name == "any" || check.Status == c.name
	}), nil
}
