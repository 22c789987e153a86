package devregistry

import (
	"slices"
	"strings"
)

// catalogService is one instance as /v1/catalog/service shows it.
type catalogService struct {
	ID                       string
	Node                     string
	Address                  string
	Datacenter               string
	TaggedAddresses          map[string]string
	NodeMeta                 map[string]string
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string
	ServiceAddress           string
	ServiceTaggedAddresses   map[string]Address `json:",omitempty"`
	ServiceWeights           Weights
	ServiceMeta              map[string]string
	ServicePort              int
	ServiceSocketPath        string
	ServiceEnableTagOverride bool
	ServiceProxy             proxy
	ServiceConnect           struct{}
	ServiceLocality          *struct{}
	CreateIndex              uint64
	ModifyIndex              uint64
}

func (c *catalogTables) listed(s *Service) catalogService {
	n, _ := c.node(s.Node)
	out := catalogService{
		ID: n.ID, Node: n.Node, Address: n.Address, Datacenter: n.Datacenter,
		TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta,
		ServiceID: s.ID, ServiceName: s.Service, ServiceTags: s.Tags,
		ServiceAddress: s.Address, ServiceTaggedAddresses: s.TaggedAddresses,
		ServiceWeights: s.Weights, ServiceMeta: s.Meta, ServicePort: s.Port,
		ServiceEnableTagOverride: s.EnableTagOverride,
		CreateIndex:              s.CreateIndex, ModifyIndex: s.ModifyIndex,
	}
	if out.ServiceMeta == nil {
		out.ServiceMeta = map[string]string{}
	}
	return out
}

func serveCatalogService(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing service name")
	}
	list := []catalogService{}
	c.read(topic{topicService, strings.ToLower(c.name)}, func(s *state) meta {
		list = list[:0]
		filtered := false
		for _, svc := range s.catalog.instances(c.name) {
			if !c.acl.canRead("service/"+svc.Service) || !c.acl.canRead("node/"+svc.Node) {
				filtered = true
				continue
			}
			if n, _ := s.catalog.node(svc.Node); c.tagged(svc.Tags) && c.nodeMeta(n) {
				list = append(list, s.catalog.listed(svc))
			}
		}
		return c.discoveryMeta(s.catalog.indexOfService(c.name, false), filtered)
	})
	return list, nil
}

func serveCatalogServices(c *call) (any, error) {
	var tags map[string][]string
	c.read(topic{topicServices, ""}, func(s *state) meta {
		tags = make(map[string][]string)
		filtered := false
		for _, svc := range s.catalog.services.rows {
			if !c.acl.canRead("service/" + svc.Service) {
				filtered = true
				continue
			}
			tags[svc.Service] = union(tags[svc.Service], svc.Tags)
		}
		return c.discoveryMeta(s.catalog.servicesIndex, filtered)
	})
	return tags, nil
}

// union adds the tags that are not there yet; the result is never nil.
func union(have, add []string) []string {
	if have == nil {
		have = []string{}
	}
	for _, tag := range add {
		if !slices.Contains(have, tag) {
			have = append(have, tag)
		}
	}
	return have
}

func serveCatalogNodes(c *call) (any, error) {
	nodes := []*Node{}
	c.read(topic{topicNodes, ""}, func(s *state) meta {
		nodes = nodes[:0]
		filtered := false
		for _, n := range s.catalog.nodes.rows {
			switch {
			case !c.acl.canRead("node/" + n.Node):
				filtered = true
			case c.nodeMeta(n):
				nodes = append(nodes, n)
			}
		}
		return c.discoveryMeta(s.catalog.nodesIndex, filtered)
	})
	return nodes, nil
}

// nodeServices is the answer of /v1/catalog/node.
type nodeServices struct {
	Node     *Node
	Services map[string]healthService
}

func serveCatalogNode(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing node name")
	}
	var out *nodeServices
	c.read(topic{topicNode, strings.ToLower(c.name)}, func(s *state) meta {
		out = nil
		node, ok := s.catalog.node(c.name)
		if !ok || !c.acl.canRead("node/"+node.Node) {
			return c.discoveryMeta(s.catalog.nodesIndex, ok)
		}
		out = &nodeServices{Node: node, Services: make(map[string]healthService)}
		for _, svc := range s.catalog.onNode(c.name) {
			out.Services[svc.ID] = svc.health()
		}
		return c.discoveryMeta(s.catalog.nodeIndex[node.rowKey()], false)
	})
	return out, nil
}

func serveCatalogDatacenters(c *call) (any, error) {
	return []string{c.r.opts.Datacenter}, nil
}

func serveCatalogRegister(c *call) (any, error) {
	var in Registration
	if err := c.decode(&in, false); err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if err := c.mayRegister(in); err != nil {
		return nil, err
	}
	return true, c.r.Register(in)
}

func (c *call) mayRegister(in Registration) error {
	if in.Service != nil {
		return c.mayWrite("service", in.Service.Service)
	}
	return c.mayWrite("node", in.Node)
}

func serveCatalogDeregister(c *call) (any, error) {
	var in Deregistration
	if err := c.decode(&in, false); err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if err := c.mayWrite("node", in.Node); err != nil {
		return nil, err
	}
	return true, c.r.Deregister(in)
}

func serveStatusLeader(c *call) (any, error) { return "127.0.0.1:8300", nil }

func serveStatusPeers(c *call) (any, error) { return []string{"127.0.0.1:8300"}, nil }
