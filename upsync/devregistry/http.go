package devregistry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// httpError is an answer that is not 200, with its text.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &httpError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

// call is one request on its way through an endpoint.
type call struct {
	r     *Registry
	w     http.ResponseWriter
	req   *http.Request
	query query
	acl   authorizer
	// name is what follows the endpoint's path: a key, a service, an id.
	name string
}

// endpoint answers a call with a value to be sent as JSON, or with nil if it
// has answered itself.
type endpoint func(c *call) (any, error)

// route is one row of the endpoint table. A path that ends in "/" takes any
// name after it.
type route struct {
	path    string
	methods []string
	handle  endpoint
}

// routes lists the endpoints; the longest path that fits is taken.
func routes() []route {
	get, put := []string{http.MethodGet}, []string{http.MethodPut}
	return []route{
		{"/v1/kv/", []string{http.MethodGet, http.MethodPut, http.MethodDelete}, serveKV},
		{"/v1/txn", put, serveTxn},
		{"/v1/session/create", put, serveSessionCreate},
		{"/v1/session/destroy/", put, serveSessionDestroy},
		{"/v1/session/renew/", put, serveSessionRenew},
		{"/v1/session/info/", get, serveSessionInfo},
		{"/v1/session/node/", get, serveSessionNode},
		{"/v1/session/list", get, serveSessionList},
		{"/v1/catalog/register", put, serveCatalogRegister},
		{"/v1/catalog/deregister", put, serveCatalogDeregister},
		{"/v1/catalog/datacenters", get, serveCatalogDatacenters},
		{"/v1/catalog/nodes", get, serveCatalogNodes},
		{"/v1/catalog/node/", get, serveCatalogNode},
		{"/v1/catalog/services", get, serveCatalogServices},
		{"/v1/catalog/service/", get, serveCatalogService},
		{"/v1/health/service/", get, serveHealthService},
		{"/v1/health/checks/", get, serveHealthChecks},
		{"/v1/health/node/", get, serveHealthNode},
		{"/v1/health/state/", get, serveHealthState},
		{"/v1/agent/self", get, serveAgentSelf},
		{"/v1/agent/members", get, serveAgentMembers},
		{"/v1/agent/services", get, serveAgentServices},
		{"/v1/agent/service/", get, serveAgentService},
		{"/v1/agent/service/register", put, serveAgentRegister},
		{"/v1/agent/service/deregister/", put, serveAgentDeregister},
		{"/v1/agent/service/maintenance/", put, serveServiceMaintenance},
		{"/v1/agent/maintenance", put, serveNodeMaintenance},
		{"/v1/agent/checks", get, serveAgentChecks},
		{"/v1/agent/check/register", put, serveCheckRegister},
		{"/v1/agent/check/deregister/", put, serveCheckDeregister},
		{"/v1/agent/check/pass/", put, serveCheckPass},
		{"/v1/agent/check/warn/", put, serveCheckWarn},
		{"/v1/agent/check/fail/", put, serveCheckFail},
		{"/v1/agent/check/update/", put, serveCheckUpdate},
		{"/v1/agent/health/service/id/", get, serveAgentHealthID},
		{"/v1/agent/health/service/name/", get, serveAgentHealthName},
		{"/v1/status/leader", get, serveStatusLeader},
		{"/v1/status/peers", get, serveStatusPeers},
	}
}

// router finds the endpoint of a path.
type router struct {
	exact  map[string]*route
	prefix []*route // longest first
}

func newRouter(all []route) *router {
	rt := &router{exact: make(map[string]*route)}
	for i := range all {
		r := &all[i]
		if strings.HasSuffix(r.path, "/") {
			rt.prefix = append(rt.prefix, r)
			continue
		}
		rt.exact[r.path] = r
	}
	slices.SortFunc(rt.prefix, func(a, b *route) int { return len(b.path) - len(a.path) })
	return rt
}

func (rt *router) find(path string) (r *route, name string) {
	if r := rt.exact[path]; r != nil {
		return r, ""
	}
	for _, r := range rt.prefix {
		if name, ok := strings.CutPrefix(path, r.path); ok {
			return r, name
		}
	}
	return nil, ""
}

// Handler returns the HTTP API with the fault injector in front of it.
func (r *Registry) Handler() http.Handler {
	rt := newRouter(routes())
	api := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(rt, w, req) })
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set(Header, "in-memory; not for production")
		rec := r.log.begin(w, req, r.opts.Clock.Now())
		defer func() { r.log.end(rec, r.opts.Clock.Now()) }()
		if f := r.faultOf(req); f != nil {
			f(api).ServeHTTP(rec, req)
			return
		}
		api.ServeHTTP(rec, req)
	})
}

func (r *Registry) serve(rt *router, w http.ResponseWriter, req *http.Request) {
	found, name := rt.find(req.URL.Path)
	if found == nil {
		http.Error(w, "Invalid URL path: not a recognized HTTP API endpoint", http.StatusNotFound)
		return
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if !slices.Contains(found.methods, req.Method) {
		w.Header().Set("Allow", "OPTIONS,"+strings.Join(found.methods, ","))
		if req.Method != http.MethodOptions {
			writeError(w, &httpError{http.StatusMethodNotAllowed, "method " + req.Method + " not allowed"})
		}
		return
	}
	c := &call{r: r, w: w, req: req, name: name}
	body, err := c.run(found.handle)
	switch {
	case err != nil:
		writeError(w, err)
	case body != nil:
		c.writeJSON(http.StatusOK, body)
	}
}

func (c *call) run(handle endpoint) (any, error) {
	var err error
	if c.query, err = parseQuery(c.req); err != nil {
		return nil, err
	}
	if dc := c.query.dc; dc != "" && dc != c.r.opts.Datacenter {
		return nil, errors.New("No path to datacenter")
	}
	if c.acl, err = c.r.authorize(c.req); err != nil {
		return nil, err
	}
	return handle(c)
}

// writeError answers as Consul does: the text of the error, 500 unless it
// says otherwise.
func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var he *httpError
	if errors.As(err, &he) {
		status = he.status
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.Error())
}

func (c *call) writeJSON(status int, body any) {
	out, err := json.Marshal(body)
	if err != nil {
		writeError(c.w, err)
		return
	}
	if c.query.pretty {
		var indented bytes.Buffer
		_ = json.Indent(&indented, out, "", "    ") // out is valid JSON
		out = append(indented.Bytes(), '\n')
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(out)
}

// decode reads the body as JSON into v, refusing unknown fields if strict.
func (c *call) decode(v any, strict bool) error {
	d := json.NewDecoder(c.req.Body)
	if strict {
		d.DisallowUnknownFields()
	}
	return d.Decode(v)
}
