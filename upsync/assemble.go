package upsync

import (
	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

// assemble turns the registry's entries into servers: what is bad keeps its
// last good value or is left out, of equal addresses the first counts, and
// what an entry does not say is filled in. mu is held.
func (m *member) assemble(found []*consul.Found) []upstream.Spec {
	m.rejects = nil
	good := make(map[string]upstream.Spec, len(found))
	keyOf := make(map[string]string, len(found))
	specs := make([]upstream.Spec, 0, len(found))
	for _, f := range found {
		for _, n := range f.Notes {
			m.reject(f.Key, n)
		}
		s, ok := m.believe(f)
		if !ok {
			continue
		}
		good[f.Key] = s
		if other, dup := keyOf[s.Addr]; dup {
			m.reject(f.Key, "has the address of "+other)
			continue
		}
		keyOf[s.Addr] = f.Key
		specs = append(specs, s)
	}
	m.good = good
	return specs
}

// believe returns what to use of one entry.
func (m *member) believe(f *consul.Found) (upstream.Spec, bool) {
	if f.Err == "" {
		return m.fill(f), true
	}
	if f.Usable() && m.up.Policy.Trust == TrustUpsync {
		m.reject(f.Key, f.Err+": all defaults are used")
		return m.fill(f), true
	}
	if s, ok := m.lastGood(f); ok {
		m.reject(f.Key, f.Err+": the last good value is kept")
		return s, true
	}
	m.reject(f.Key, f.Err+": left out")
	return upstream.Spec{}, false
}

// lastGood is what an entry was before it went bad, also in a dump, which has
// no keys.
func (m *member) lastGood(f *consul.Found) (upstream.Spec, bool) {
	if s, ok := m.good[f.Key]; ok {
		return s, true
	}
	for _, s := range m.serving {
		if f.Usable() && s.Addr == f.Spec.Addr {
			return s, true
		}
	}
	return upstream.Spec{}, false
}

// fill applies the upstream's own defaults.
func (m *member) fill(f *consul.Found) upstream.Spec {
	s := f.Spec
	if m.up.MaxFails != nil && !f.SaysMaxFails {
		s.MaxFails = *m.up.MaxFails
	}
	if m.up.FailTimeout > 0 && !f.SaysFailTimeout {
		s.FailTimeout = m.up.FailTimeout
	}
	return s
}

// maxRejects bounds what is remembered of a set; all are counted.
const maxRejects = 100

func (m *member) reject(key, reason string) {
	m.history.rejected++
	if len(m.rejects) < maxRejects {
		m.rejects = append(m.rejects, consul.Reject{Key: key, Reason: reason})
	}
}

// listed is the address a server is listed by: the hostname and port of one
// that was resolved, else its address.
func listed(s *upstream.Spec) string {
	if s.Host == "" {
		return s.Addr
	}
	return s.Host + portOf(s.Addr)
}
