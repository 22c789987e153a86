package devregistry

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// sessionRequest is the body of /v1/session/create.
type sessionRequest struct {
	Name          string
	Node          string
	LockDelay     any // "15s", or a number of seconds or nanoseconds
	Behavior      string
	TTL           string
	Checks        []string
	NodeChecks    []string
	ServiceChecks []ServiceCheck
}

func serveSessionCreate(c *call) (any, error) {
	in := sessionRequest{Node: c.r.opts.Node}
	if err := c.decode(&in, false); err != nil && err != io.EOF {
		return nil, badRequest("Request decode failed: %v", err)
	}
	if err := c.mayWrite("session", in.Node); err != nil {
		return nil, err
	}
	session, err := in.session()
	if err != nil {
		return nil, err
	}
	made, err := c.r.CreateSession(session)
	if err != nil {
		return nil, err
	}
	return struct{ ID string }{made.ID}, nil
}

func (in *sessionRequest) session() (Session, error) {
	delay, err := lockDelay(in.LockDelay)
	if err != nil {
		return Session{}, badRequest("Request decode failed: %v", err)
	}
	s := Session{
		Name: in.Name, Node: in.Node, LockDelay: delay, Behavior: in.Behavior,
		TTL: in.TTL, NodeChecks: in.NodeChecks, ServiceChecks: in.ServiceChecks,
	}
	if in.Checks != nil && s.NodeChecks == nil {
		s.NodeChecks = in.Checks
	}
	if s.NodeChecks == nil && in.Checks == nil {
		s.NodeChecks = []string{serfCheck}
	}
	return s, nil
}

// lockDelay reads a duration, or a number: seconds below 1000, else
// nanoseconds.
func lockDelay(v any) (time.Duration, error) {
	switch v := v.(type) {
	case nil:
		return lockDelayDefault, nil
	case string:
		return time.ParseDuration(v)
	case float64:
		if v < 1000 {
			return time.Duration(v) * time.Second, nil
		}
		return time.Duration(v), nil
	}
	return 0, fmt.Errorf("invalid LockDelay %v", v)
}

// CreateSession makes a session; see Session for what it needs.
func (r *Registry) CreateSession(in Session) (Session, error) {
	if in.Node == "" {
		in.Node = r.opts.Node
	}
	if err := in.validate(); err != nil {
		return Session{}, err
	}
	var made *Session
	err := r.write(func(s *state, t *touched) (err error) {
		made, err = s.sessionCreate(t, in)
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("apply failed: %w", err)
	}
	return *made, nil
}

func serveSessionDestroy(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing session")
	}
	if err := c.mayWrite("session", c.r.opts.Node); err != nil {
		return nil, err
	}
	c.r.DestroySession(c.name)
	return true, nil
}

func serveSessionRenew(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing session")
	}
	if err := c.mayWrite("session", c.r.opts.Node); err != nil {
		return nil, err
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	s, ok := c.r.state.sessions.get(c.name)
	if !ok {
		return nil, notFound("Session id '%s' not found", c.name)
	}
	c.r.armSession(s.ID)
	return []*Session{s}, nil
}

func serveSessionInfo(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing session")
	}
	list := []*Session{}
	c.read(topic{topicSession, c.name}, func(s *state) meta {
		list = list[:0]
		session, ok := s.sessions.get(c.name)
		allowed := ok && c.acl.canRead("session/"+session.Node)
		if allowed {
			list = append(list, session)
		}
		return meta{index: s.sessionIndex, found: ok, filtered: ok && !allowed}
	})
	return list, nil
}

func serveSessionNode(c *call) (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing node name")
	}
	return c.sessions(func(s *Session) bool { return strings.EqualFold(s.Node, c.name) }), nil
}

func serveSessionList(c *call) (any, error) {
	return c.sessions(func(*Session) bool { return true }), nil
}

func (c *call) sessions(keep func(*Session) bool) []*Session {
	list := []*Session{}
	c.read(topic{topicSessions, ""}, func(s *state) meta {
		list = list[:0]
		filtered := false
		for _, session := range s.sessions.rows {
			switch {
			case !keep(session):
			case !c.acl.canRead("session/" + session.Node):
				filtered = true
			default:
				list = append(list, session)
			}
		}
		return meta{index: s.sessionIndex, found: true, filtered: filtered}
	})
	return list
}
