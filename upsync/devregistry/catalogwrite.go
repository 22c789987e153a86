package devregistry

import (
	"errors"
	"reflect"
	"strings"
	"time"
)

var (
	errMissingNode    = errors.New("Missing node registration")
	errMissingService = errors.New("Missing service registration")
)

// checkPut stores a check of a node or a service that exists. A check that
// is the same moves no index and wakes nobody; one that turns critical ends
// the sessions that depend on it.
func (s *state) checkPut(t *touched, c Check, now time.Time) error {
	if _, ok := s.catalog.node(c.Node); !ok {
		return errMissingNode
	}
	if c.Status == "" {
		c.Status = statusCritical
	}
	c.ServiceName, c.ServiceTags = "", []string{}
	if c.ServiceID != "" {
		svc := s.catalog.service(c.Node, c.ServiceID)
		if svc == nil {
			return errMissingService
		}
		c.ServiceName, c.ServiceTags = svc.Service, svc.Tags
	}
	c.CreateIndex = s.index
	if old := s.catalog.check(c.Node, c.CheckID); old != nil {
		c.CreateIndex, c.ModifyIndex = old.CreateIndex, old.ModifyIndex
		if reflect.DeepEqual(*old, c) {
			return nil
		}
		s.catalog.checks.remove(old.rowKey()) // it may belong to another service now
	}
	c.ModifyIndex = s.index
	s.catalog.checks.put(&c)
	s.catalog.checkOf[itemOf(c.Node, c.CheckID)] = c.rowKey()
	s.checkTouched(t, &c)
	if c.Status == statusCritical {
		s.sessionsOfCheck(t, c.Node, c.CheckID, now)
	}
	return nil
}

func (s *state) checkTouched(t *touched, c *Check) {
	s.catalog.checksIndex = s.index
	t.add(topicChecks, "")
	t.add(topicNode, strings.ToLower(c.Node))
	if c.ServiceID != "" {
		s.serviceTouched(t, c.ServiceName)
		return
	}
	s.servicesOfNodeTouched(t, c.Node)
}

func (s *state) checkRemove(t *touched, c *Check, now time.Time) {
	s.catalog.checks.remove(c.rowKey())
	delete(s.catalog.checkOf, itemOf(c.Node, c.CheckID))
	s.checkTouched(t, c)
	t.checks = append(t.checks, c.CheckID)
	s.sessionsOfCheck(t, c.Node, c.CheckID, now)
}

// instanceRemove takes an instance and its checks away.
func (s *state) instanceRemove(t *touched, svc *Service, now time.Time) {
	for _, c := range append([]*Check(nil), s.catalog.instanceChecks(svc.Node, svc.ID)...) {
		s.checkRemove(t, c, now)
	}
	s.serviceRemove(t, svc)
}

// nodeRemove takes a node, what is on it, and its sessions away.
func (s *state) nodeRemove(t *touched, name string, now time.Time) {
	n, ok := s.catalog.node(name)
	if !ok {
		return
	}
	for _, svc := range s.catalog.onNode(name) {
		s.instanceRemove(t, svc, now)
	}
	for _, c := range append([]*Check(nil), s.catalog.nodeChecks(name)...) {
		s.checkRemove(t, c, now)
	}
	s.catalog.nodes.remove(n.rowKey())
	s.nodeTouched(t, name)
	delete(s.catalog.nodeIndex, n.rowKey())
	for _, session := range append([]*Session(nil), s.sessions.rows...) {
		if strings.EqualFold(session.Node, name) {
			s.sessionDestroy(t, session.ID, now)
		}
	}
}

// Registration is the body of /v1/catalog/register.
type Registration struct {
	ID              string
	Node            string
	Address         string
	TaggedAddresses map[string]string
	NodeMeta        map[string]string
	Datacenter      string
	Service         *CatalogService
	Check           *Check
	Checks          []*Check
	SkipNodeUpdate  bool
}

// CatalogService is the service of a Registration.
type CatalogService struct {
	ID                string
	Service           string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]Address
	Meta              map[string]string
	Port              int
	Weights           *Weights
	EnableTagOverride bool
}

func (s *state) register(t *touched, in Registration, dc string, now time.Time) error {
	if err := s.registerNode(t, in, dc); err != nil {
		return err
	}
	if in.Service != nil {
		s.servicePut(t, in.Service.row(in.Node))
	}
	checks := in.Checks
	if in.Check != nil {
		checks = append(checks, in.Check)
	}
	for _, c := range checks {
		row := *c
		if row.Node == "" {
			row.Node = in.Node
		}
		if row.CheckID == "" {
			row.CheckID = row.Name
		}
		if err := s.checkPut(t, row, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) registerNode(t *touched, in Registration, dc string) error {
	if in.Node == "" {
		return errors.New("Must provide node")
	}
	_, exists := s.catalog.node(in.Node)
	if in.SkipNodeUpdate && exists {
		return nil
	}
	if in.Address == "" {
		return errors.New("Must provide address if SkipNodeUpdate is not set")
	}
	s.nodePut(t, Node{
		ID: in.ID, Node: in.Node, Address: in.Address, Datacenter: dc,
		TaggedAddresses: in.TaggedAddresses, Meta: in.NodeMeta,
	})
	return nil
}

func (c *CatalogService) row(node string) Service {
	row := Service{
		Node: node, ID: c.ID, Service: c.Service, Tags: c.Tags, Address: c.Address,
		TaggedAddresses: c.TaggedAddresses, Meta: c.Meta, Port: c.Port,
		Weights: Weights{1, 1}, EnableTagOverride: c.EnableTagOverride,
	}
	if row.ID == "" {
		row.ID = row.Service
	}
	if row.Service == "" {
		row.Service = row.ID
	}
	if row.Tags == nil {
		row.Tags = []string{}
	}
	if c.Weights != nil {
		row.Weights = *c.Weights
	}
	return row
}

// Deregistration is the body of /v1/catalog/deregister: a service, a check,
// or the node if it names neither.
type Deregistration struct {
	Node       string
	Address    string
	Datacenter string
	ServiceID  string
	CheckID    string
}

func (s *state) deregister(t *touched, in Deregistration, now time.Time) error {
	switch {
	case in.Node == "":
		return errors.New("Must provide node")
	case in.ServiceID != "":
		if svc := s.catalog.service(in.Node, in.ServiceID); svc != nil {
			s.instanceRemove(t, svc, now)
		}
	case in.CheckID != "":
		if c := s.catalog.check(in.Node, in.CheckID); c != nil {
			s.checkRemove(t, c, now)
		}
	default:
		s.nodeRemove(t, in.Node, now)
	}
	return nil
}
