package devregistry

import (
	"crypto/rand"
	"fmt"
	"time"
)

// Session is a session as the HTTP API shows it.
type Session struct {
	ID            string
	Name          string
	Node          string
	LockDelay     time.Duration // nanoseconds
	Behavior      string        // "release" or "delete"
	TTL           string
	NodeChecks    []string
	ServiceChecks []ServiceCheck
	CreateIndex   uint64
	ModifyIndex   uint64
}

// ServiceCheck names a check of a service a session depends on.
type ServiceCheck struct {
	ID        string
	Namespace string
}

func (s *Session) rowKey() string { return s.ID }

// Limits of sessions, as Consul has them.
const (
	sessionTTLMin     = 10 * time.Second
	sessionTTLMax     = 24 * time.Hour
	sessionGrace      = 2 // a session lives this many TTLs without a renewal
	lockDelayDefault  = 15 * time.Second
	lockDelayMax      = 60 * time.Second
	behaviorRelease   = "release"
	behaviorDelete    = "delete"
	statusPassing     = "passing"
	statusWarning     = "warning"
	statusCritical    = "critical"
	statusMaintenance = "maintenance"
)

// validate checks what Consul's session endpoint checks, before the write.
func (s *Session) validate() error {
	switch s.Behavior {
	case "":
		s.Behavior = behaviorRelease
	case behaviorRelease, behaviorDelete:
	default:
		return fmt.Errorf("Invalid Behavior setting '%s'", s.Behavior)
	}
	if s.TTL == "" {
		return nil
	}
	ttl, err := time.ParseDuration(s.TTL)
	if err != nil {
		return fmt.Errorf("Session TTL '%s' invalid: %v", s.TTL, err)
	}
	if ttl != 0 && (ttl < sessionTTLMin || ttl > sessionTTLMax) {
		return fmt.Errorf("Invalid Session TTL '%d', must be between [%v=%v]", ttl, sessionTTLMin, sessionTTLMax)
	}
	return nil
}

// sessionCreate stores a session; its node must be known and its checks not
// critical.
func (s *state) sessionCreate(t *touched, in Session) (*Session, error) {
	if _, ok := s.catalog.node(in.Node); !ok {
		return nil, fmt.Errorf("Missing node registration")
	}
	for _, id := range in.checkIDs() {
		c := s.catalog.check(in.Node, id)
		if c == nil {
			return nil, fmt.Errorf("Missing check '%s' registration", id)
		}
		if c.Status == statusCritical {
			return nil, fmt.Errorf("Check '%s' is in %s state", id, c.Status)
		}
	}
	in.ID = newUUID()
	in.CreateIndex, in.ModifyIndex = s.index, s.index
	s.sessions.put(&in)
	s.sessionTouched(t, in.ID)
	return &in, nil
}

func (s *Session) checkIDs() []string {
	ids := append([]string(nil), s.NodeChecks...)
	for _, c := range s.ServiceChecks {
		ids = append(ids, c.ID)
	}
	return ids
}

func (s *state) sessionTouched(t *touched, id string) {
	s.sessionIndex = s.index
	t.add(topicSession, id)
	t.add(topicSessions, "")
	t.sessions = append(t.sessions, id)
}

// sessionDestroy ends a session: its locks are released or their keys deleted
// and, with a lock delay, kept from other sessions for a while.
func (s *state) sessionDestroy(t *touched, id string, now time.Time) {
	session, ok := s.sessions.get(id)
	if !ok {
		return
	}
	s.sessions.remove(id)
	s.sessionTouched(t, id)
	for _, p := range s.heldBy(id) {
		if session.Behavior == behaviorDelete {
			s.kvDelete(t, p.Key)
		} else {
			free := *p
			free.Session = ""
			s.kvSet(t, free, false)
		}
		if delay := min(session.LockDelay, lockDelayMax); delay > 0 {
			s.lockDelays[p.Key] = now.Add(delay)
		}
	}
}

func (s *state) heldBy(session string) []*KVPair {
	var held []*KVPair
	for _, p := range s.kv.pairs.rows {
		if p.Session == session {
			held = append(held, p)
		}
	}
	return held
}

// sessionsOfCheck ends the sessions that depend on a check of a node that
// turned critical or went away.
func (s *state) sessionsOfCheck(t *touched, node, checkID string, now time.Time) {
	var ended []string
	for _, session := range s.sessions.rows {
		if session.Node != node {
			continue
		}
		for _, id := range session.checkIDs() {
			if id == checkID {
				ended = append(ended, session.ID)
				break
			}
		}
	}
	for _, id := range ended {
		s.sessionDestroy(t, id, now)
	}
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
