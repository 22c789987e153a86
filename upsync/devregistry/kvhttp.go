package devregistry

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// valueMax is Consul's kv_max_value_size.
const valueMax = 512 << 10

func serveKV(c *call) (any, error) {
	switch c.req.Method {
	case http.MethodPut:
		return c.kvPut()
	case http.MethodDelete:
		return c.kvDelete()
	}
	switch {
	case c.query.has("keys"):
		return c.kvKeys()
	case c.query.has("recurse"):
		return c.kvList()
	case c.name == "":
		return nil, badRequest("Missing key name")
	}
	return c.kvGet()
}

func (c *call) kvGet() (any, error) {
	if err := c.mayRead("key", c.name); err != nil {
		return nil, err
	}
	var pair *KVPair
	c.read(topic{topicKey, c.name}, func(s *state) meta {
		var index uint64
		pair, index = s.kv.get(c.name)
		return meta{index: index, found: pair != nil}
	})
	switch {
	case pair == nil:
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	case c.query.has("raw"):
		c.writeRaw(pair.Value)
		return nil, nil
	}
	return []*KVPair{pair}, nil
}

func (c *call) writeRaw(value []byte) {
	h := c.w.Header()
	h.Set("Content-Length", strconv.Itoa(len(value)))
	h.Set("Content-Type", "text/plain")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	_, _ = c.w.Write(value)
}

// kvTree reads the pairs below the call's prefix that its token may see.
func (c *call) kvTree() []*KVPair {
	var pairs []*KVPair
	c.read(topic{topicPrefix, c.name}, func(s *state) meta {
		all, index := s.kv.list(c.name)
		pairs = c.visible(all)
		return meta{index: index, found: true, filtered: len(pairs) < len(all)}
	})
	return pairs
}

func (c *call) visible(all []*KVPair) []*KVPair {
	if c.acl.all {
		return slices.Clone(all)
	}
	var seen []*KVPair
	for _, p := range all {
		if c.acl.canRead("key/" + p.Key) {
			seen = append(seen, p)
		}
	}
	return seen
}

func (c *call) kvList() (any, error) {
	pairs := c.kvTree()
	if len(pairs) == 0 {
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	return pairs, nil
}

func (c *call) kvKeys() (any, error) {
	sep := c.query.values.Get("separator")
	keys := []string{}
	for _, p := range c.kvTree() {
		key := p.Key
		if i := strings.Index(key[len(c.name):], sep); sep != "" && i >= 0 {
			key = key[:len(c.name)+i+len(sep)]
		}
		if n := len(keys); n == 0 || keys[n-1] != key {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 && c.name != "" {
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	return keys, nil
}

func (c *call) kvPut() (any, error) {
	if c.name == "" {
		return nil, badRequest("Missing key name")
	}
	if err := c.conflicting("cas", "acquire", "release"); err != nil {
		return nil, err
	}
	pair := KVPair{Key: c.name}
	var cas uint64
	var err error
	if pair.Flags, err = c.number("flags"); err != nil {
		return nil, err
	}
	if cas, err = c.number("cas"); err != nil {
		return nil, err
	}
	if pair.Value, err = c.value(); err != nil {
		return nil, err
	}
	if err := c.mayWrite("key", c.name); err != nil {
		return nil, err
	}
	return c.kvApply(pair, cas)
}

func (c *call) kvApply(pair KVPair, cas uint64) (ok any, err error) {
	done := true
	err = c.r.write(func(s *state, t *touched) error {
		var err error
		switch {
		case c.query.has("cas"):
			_, done = s.kvCAS(t, pair, cas)
		case c.query.has("acquire"):
			pair.Session = c.query.values.Get("acquire")
			if done = !s.lockDelayed(pair.Key, c.r.opts.Clock.Now()); done {
				_, done, err = s.kvLock(t, pair)
			}
		case c.query.has("release"):
			pair.Session = c.query.values.Get("release")
			_, done, err = s.kvUnlock(t, pair)
		default:
			s.kvSet(t, pair, true)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("raft apply failed: %w", err)
	}
	return done, nil
}

// value reads the body; an empty one is no value.
func (c *call) value() ([]byte, error) {
	if n := c.req.ContentLength; n > valueMax {
		return nil, &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf(
			"Request body(%d bytes) too large, max size: %d bytes.", n, valueMax)}
	}
	value, err := io.ReadAll(io.LimitReader(c.req.Body, valueMax+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read the value of %q: %w", c.name, err)
	case len(value) > valueMax:
		return nil, &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf(
			"Request body too large, max size: %d bytes.", valueMax)}
	case len(value) == 0:
		return nil, nil
	}
	return value, nil
}

func (c *call) number(name string) (uint64, error) {
	if !c.query.has(name) {
		return 0, nil
	}
	return strconv.ParseUint(c.query.values.Get(name), 10, 64)
}

func (c *call) conflicting(flags ...string) error {
	n := 0
	for _, f := range flags {
		if c.query.has(f) {
			n++
		}
	}
	if n > 1 {
		return badRequest("Conflicting flags: %v\n", c.query.values.Encode())
	}
	return nil
}

func (c *call) kvDelete() (any, error) {
	if err := c.conflicting("recurse", "cas"); err != nil {
		return nil, err
	}
	if c.name == "" && !c.query.has("recurse") {
		return nil, badRequest("Missing key name")
	}
	cas, err := c.number("cas")
	if err != nil {
		return nil, err
	}
	if err := c.mayWrite("key", c.name); err != nil {
		return nil, err
	}
	done := true
	err = c.r.write(func(s *state, t *touched) error {
		switch {
		case c.query.has("recurse"):
			s.kvDeleteTree(t, c.name)
		case c.query.has("cas"):
			done = s.kvDeleteCAS(t, c.name, cas)
		default:
			s.kvDelete(t, c.name)
		}
		return nil
	})
	return done, err
}
