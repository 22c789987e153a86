package devregistry

import (
	"net/http"
	"strings"
)

// Policy is what a token may do. Each entry is a prefix of a resource, such
// as "key/upstreams/", "service/web", "node/", "session/", "agent/" or
// "operator/"; "" is everything. What may be written may be read.
type Policy struct {
	Read, Write []string
}

// Anonymous is the token of a request that has none.
const Anonymous = ""

// authorizer is the policy of one request.
type authorizer struct {
	all    bool // ACLs are off
	named  bool // the request has a token: it is told what was filtered
	policy Policy
}

// SetTokens replaces the tokens, as a change of policies does; nil turns ACLs
// off. Requests under way keep what they began with.
func (r *Registry) SetTokens(tokens map[string]Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = tokens
}

func (r *Registry) authorize(req *http.Request) (authorizer, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.tokens == nil {
		return authorizer{all: true}, nil
	}
	token := tokenOf(req)
	policy, ok := r.tokens[token]
	if !ok && token != Anonymous {
		return authorizer{}, &httpError{http.StatusForbidden, "ACL not found"}
	}
	return authorizer{named: token != Anonymous, policy: policy}, nil
}

// tokenOf takes the parameter before the header before the bearer.
func tokenOf(req *http.Request) string {
	if t := req.URL.Query().Get("token"); t != "" {
		return t
	}
	if t := req.Header.Get("X-Consul-Token"); t != "" {
		return t
	}
	scheme, value, ok := strings.Cut(req.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value)
	}
	return Anonymous
}

func (a *authorizer) canRead(resource string) bool {
	return a.all || hasPrefixIn(a.policy.Read, resource) || hasPrefixIn(a.policy.Write, resource)
}

func (a *authorizer) canWrite(resource string) bool {
	return a.all || hasPrefixIn(a.policy.Write, resource)
}

func hasPrefixIn(prefixes []string, resource string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(resource, p) {
			return true
		}
	}
	return false
}

func (c *call) mayRead(kind, name string) error {
	if c.acl.canRead(kind + "/" + name) {
		return nil
	}
	return denied(kind, "read", name)
}

func (c *call) mayWrite(kind, name string) error {
	if c.acl.canWrite(kind + "/" + name) {
		return nil
	}
	return denied(kind, "write", name)
}

func denied(kind, what, name string) error {
	return &httpError{http.StatusForbidden, "Permission denied: token lacks permission '" + kind + ":" + what + "' on \"" + name + "\""}
}
