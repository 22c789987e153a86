package devregistry

import (
	"maps"
	"reflect"
	"strings"
	"time"
)

// Node is a row of the catalog's node table.
type Node struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
	CreateIndex     uint64
	ModifyIndex     uint64
}

func (n *Node) rowKey() string { return strings.ToLower(n.Node) }

// Weights are DNS weights of a service instance, by its health.
type Weights struct {
	Passing int
	Warning int
}

// Address is a tagged address of a service instance.
type Address struct {
	Address string
	Port    int
}

// Service is one instance of a service, on a node.
type Service struct {
	Node              string
	ID                string
	Service           string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]Address
	Meta              map[string]string
	Port              int
	Weights           Weights
	EnableTagOverride bool
	CreateIndex       uint64
	ModifyIndex       uint64
	// agent is set for what was registered with the agent rather than with
	// the catalog.
	agent bool
}

// Keys of services and checks are parted by NUL, so that a prefix names all
// instances of a service, or all checks of an instance, in Consul's order.
func (s *Service) rowKey() string { return instanceKey(s.Service, s.Node, s.ID) }

func instanceKey(service, node, id string) string {
	return strings.ToLower(service) + "\x00" + strings.ToLower(node) + "\x00" + id
}

// Check is one health check, of a node or of a service instance.
type Check struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	Definition  struct{}
	CreateIndex uint64
	ModifyIndex uint64

	ttl time.Duration // of a TTL check of the agent
}

func (c *Check) rowKey() string { return checkKey(c.Node, c.ServiceID, c.CheckID) }

func checkKey(node, serviceID, checkID string) string {
	return strings.ToLower(node) + "\x00" + serviceID + "\x00" + checkID
}

// nodeItem names a service instance or a check on its node.
type nodeItem struct{ node, id string }

func itemOf(node, id string) nodeItem { return nodeItem{strings.ToLower(node), id} }

type catalogTables struct {
	nodes    table[*Node]
	services table[*Service]
	checks   table[*Check]
	// serviceOf and checkOf lead from (node, id) to the key of the row: ids
	// are unique on a node.
	serviceOf map[nodeItem]string
	checkOf   map[nodeItem]string

	nodesIndex, servicesIndex, checksIndex uint64
	nodeIndex                              map[string]uint64
	serviceIndex                           map[string]uint64 // services that exist
	// extinction is when a service last lost its last instance: the index of
	// every service that does not exist.
	extinction uint64
}

func (c *catalogTables) init() {
	c.serviceOf = make(map[nodeItem]string)
	c.checkOf = make(map[nodeItem]string)
	c.nodeIndex = make(map[string]uint64)
	c.serviceIndex = make(map[string]uint64)
}

func (c *catalogTables) clone() catalogTables {
	d := *c
	d.nodes, d.services, d.checks = c.nodes.clone(), c.services.clone(), c.checks.clone()
	d.serviceOf, d.checkOf = maps.Clone(c.serviceOf), maps.Clone(c.checkOf)
	d.nodeIndex, d.serviceIndex = maps.Clone(c.nodeIndex), maps.Clone(c.serviceIndex)
	return d
}

func (c *catalogTables) node(name string) (*Node, bool) { return c.nodes.get(strings.ToLower(name)) }

func (c *catalogTables) service(node, id string) *Service {
	s, _ := c.services.get(c.serviceOf[itemOf(node, id)])
	return s
}

func (c *catalogTables) check(node, id string) *Check {
	check, _ := c.checks.get(c.checkOf[itemOf(node, id)])
	return check
}

// instances returns the instances of a service by node and id.
func (c *catalogTables) instances(service string) []*Service {
	return c.services.prefix(strings.ToLower(service) + "\x00")
}

// nodeChecks and instanceChecks are what the health of an instance is.
func (c *catalogTables) nodeChecks(node string) []*Check {
	return c.checks.prefix(checkKey(node, "", ""))
}

func (c *catalogTables) instanceChecks(node, serviceID string) []*Check {
	return c.checks.prefix(checkKey(node, serviceID, ""))
}

// indexOfService is the index of a read of a service: its own while it has
// instances, else that of the last extinction, else that of the tables.
func (c *catalogTables) indexOfService(service string, withChecks bool) uint64 {
	if i, ok := c.serviceIndex[strings.ToLower(service)]; ok {
		return i
	}
	if c.extinction > 0 {
		return c.extinction
	}
	i := max(c.nodesIndex, c.servicesIndex)
	if withChecks {
		i = max(i, c.checksIndex)
	}
	return i
}

// bootstrap registers the registry's own node as a dev agent does: first as
// the leader sees it, then with what the agent knows of itself.
func (s *state) bootstrap(node, dc string) {
	t := &touched{}
	const ip = "127.0.0.1"
	own := Node{ID: newUUID(), Node: node, Address: ip, Datacenter: dc}
	s.nodePut(t, own)
	s.servicePut(t, Service{
		Node: node, ID: "consul", Service: "consul", Tags: []string{}, Port: 8300,
		Meta: map[string]string{"version": Version}, Weights: Weights{1, 1},
	})
	_ = s.checkPut(t, Check{
		Node: node, CheckID: serfCheck, Name: "Serf Health Status", Status: statusPassing,
		Output: "Agent alive and reachable",
	}, time.Time{})
	s.index++
	own.TaggedAddresses = map[string]string{"lan": ip, "lan_ipv4": ip, "wan": ip, "wan_ipv4": ip}
	own.Meta = map[string]string{"consul-network-segment": "", "consul-version": Version}
	s.nodePut(t, own)
}

// serfCheck is the check every node of an agent has, and the one sessions
// depend on by default.
const serfCheck = "serfHealth"

func (s *state) nodePut(t *touched, n Node) {
	old, exists := s.catalog.node(n.Node)
	n.CreateIndex = s.index
	if exists {
		n.CreateIndex, n.ModifyIndex = old.CreateIndex, old.ModifyIndex
		if n.ID == "" {
			n.ID = old.ID
		}
		if reflect.DeepEqual(*old, n) {
			return
		}
	}
	n.ModifyIndex = s.index
	s.catalog.nodes.put(&n)
	s.nodeTouched(t, n.Node)
	s.servicesOfNodeTouched(t, n.Node)
}

func (s *state) nodeTouched(t *touched, node string) {
	s.catalog.nodesIndex = s.index
	s.catalog.nodeIndex[strings.ToLower(node)] = s.index
	t.add(topicNodes, "")
	t.add(topicNode, strings.ToLower(node))
}

func (s *state) serviceTouched(t *touched, service string) {
	name := strings.ToLower(service)
	s.catalog.serviceIndex[name] = s.index
	t.add(topicService, name)
}

// servicesOfNodeTouched moves every service of a node: the node and its own
// checks are part of their health.
func (s *state) servicesOfNodeTouched(t *touched, node string) {
	for _, svc := range s.catalog.onNode(node) {
		s.serviceTouched(t, svc.Service)
	}
}

func (c *catalogTables) onNode(node string) []*Service {
	var on []*Service
	for _, s := range c.services.rows {
		if strings.EqualFold(s.Node, node) {
			on = append(on, s)
		}
	}
	return on
}

func (s *state) servicePut(t *touched, in Service) {
	item := itemOf(in.Node, in.ID)
	in.CreateIndex = s.index
	if old := s.catalog.service(in.Node, in.ID); old != nil {
		in.CreateIndex, in.ModifyIndex = old.CreateIndex, old.ModifyIndex
		if reflect.DeepEqual(*old, in) {
			return
		}
		if !strings.EqualFold(old.Service, in.Service) {
			s.serviceRemove(t, old)
		}
	}
	in.ModifyIndex = s.index
	s.catalog.services.put(&in)
	s.catalog.serviceOf[item] = in.rowKey()
	s.catalog.servicesIndex = s.index
	t.add(topicServices, "")
	s.serviceTouched(t, in.Service)
	s.nodeTouched(t, in.Node)
}

// serviceRemove takes one instance away, and the service with its last.
func (s *state) serviceRemove(t *touched, svc *Service) {
	s.catalog.services.remove(svc.rowKey())
	delete(s.catalog.serviceOf, itemOf(svc.Node, svc.ID))
	s.catalog.servicesIndex = s.index
	t.add(topicServices, "")
	s.serviceTouched(t, svc.Service)
	s.nodeTouched(t, svc.Node)
	if len(s.catalog.instances(svc.Service)) == 0 {
		delete(s.catalog.serviceIndex, strings.ToLower(svc.Service))
		s.catalog.extinction = s.index
	}
}
