package devregistry

// PutKV writes a key as a plain PUT does.
func (r *Registry) PutKV(key string, value []byte) {
	_ = r.write(func(s *state, t *touched) error {
		s.kvSet(t, KVPair{Key: key, Value: value}, true)
		return nil
	})
}

// DeleteKV deletes a key.
func (r *Registry) DeleteKV(key string) {
	_ = r.write(func(s *state, t *touched) error {
		s.kvDelete(t, key)
		return nil
	})
}

// DeleteTree deletes every key that begins with prefix.
func (r *Registry) DeleteTree(prefix string) {
	_ = r.write(func(s *state, t *touched) error {
		s.kvDeleteTree(t, prefix)
		return nil
	})
}

// GetKV returns a key's pair as it is now.
func (r *Registry) GetKV(key string) (KVPair, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, ok := r.state.kv.pairs.get(key)
	if !ok {
		return KVPair{}, false
	}
	return *p, true
}

// Register is /v1/catalog/register.
func (r *Registry) Register(in Registration) error {
	return r.write(func(s *state, t *touched) error {
		return s.register(t, in, r.opts.Datacenter, r.opts.Clock.Now())
	})
}

// Deregister is /v1/catalog/deregister.
func (r *Registry) Deregister(in Deregistration) error {
	return r.write(func(s *state, t *touched) error {
		return s.deregister(t, in, r.opts.Clock.Now())
	})
}

// DestroySession ends a session as its holder or its TTL does.
func (r *Registry) DestroySession(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.destroySessionLocked(id)
}

func (r *Registry) destroySessionLocked(id string) {
	_ = r.writeLocked(func(s *state, t *touched) error {
		s.sessionDestroy(t, id, r.opts.Clock.Now())
		return nil
	})
}
