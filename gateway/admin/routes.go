package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// route is what is served at a path.
type route struct {
	access access
	serve  fasthttp.RequestHandler
	about  string // for the index
}

// takes reports whether a route serves the method: writes POST, all others
// GET and HEAD.
func (r route) takes(ctx *fasthttp.RequestCtx) bool {
	if r.access == write {
		return ctx.IsPost()
	}
	return ctx.IsGet() || ctx.IsHead()
}

func (r route) methods() string {
	if r.access == write {
		return "POST"
	}
	return "GET, HEAD"
}

// Paths with something behind them.
const (
	upstreamsPath = "/api/v1/upstreams/"
	capacityPath  = "/capacity" // behind an upstream's
	historyPath   = "/history"  // behind an upstream's
	pprofPath     = "/debug/pprof/"

	// anyCapacity stands in the table for that of every upstream.
	anyCapacity = upstreamsPath + "NAME" + capacityPath
	anyHistory  = upstreamsPath + "NAME" + historyPath
	anyOrder    = upstreamsPath + "NAME/drain" // and the other actions
)

// table lists what is served. A path that ends in a slash stands for
// everything below it.
func (s *Server) table() map[string]route {
	routes := map[string]route{
		"/":                 {read, s.index, "this page"},
		"/-/healthy":        {open, s.healthy, "200 while the process lives"},
		"/-/ready":          {open, s.ready, "200 when traffic is served, 503 before and while draining"},
		"/-/reload":         {write, s.reload, "POST: read the configuration again"},
		"/ping":             {open, s.ping, "OK"},
		"/upstream_show":    {read, s.upstreamShow, "servers as nginx-upsync shows them; ?NAME for one upstream"},
		"/upstream_list":    {read, s.upstreamShow, "the same"},
		"/api/v1/upstreams": {read, s.upstreams, "all upstreams; ?filter=TEXT&limit=N&offset=N"},
		"/api/v1/config":    {read, s.config, "the configuration in effect, secrets masked"},
		"/api/v1/signals":   {read, s.signals, "what upstreams saw each second; ?since=MS&upstream=NAME"},
		upstreamsPath:       {read, s.upstream, "one upstream: every server, its state and why"},
		anyCapacity:         {write, s.announce, "POST: capacity that is ordered for an upstream"},
		anyOrder:            {write, s.order, "POST, and .../" + strings.Join(actions[1:], ", .../") + ": overrides of operators"},
		anyHistory:          {read, s.history, "the last decisions about an upstream"},
		pprofPath:           {read, s.pprof, "profiles"},
	}
	if s.views.Metrics != nil {
		routes["/metrics"] = route{read, fasthttpadaptor.NewFastHTTPHandler(s.views.Metrics), "Prometheus metrics"}
	}
	return routes
}

// find returns what is served at path, to POST or to anything else.
func (s *Server) find(path string, post bool) (route, bool) {
	if r, ok := s.routes[path]; ok {
		return r, true
	}
	if post && strings.HasPrefix(path, upstreamsPath) && strings.HasSuffix(path, capacityPath) {
		return s.routes[anyCapacity], true
	}
	if post && isOrder(path) {
		return s.routes[anyOrder], true
	}
	if !post && strings.HasPrefix(path, upstreamsPath) && strings.HasSuffix(path, historyPath) {
		return s.routes[anyHistory], true
	}
	for _, below := range []string{upstreamsPath, pprofPath} {
		if strings.HasPrefix(path, below) {
			return s.routes[below], true
		}
	}
	return route{}, false
}

// profiles serves net/http/pprof.
func profiles() fasthttp.RequestHandler {
	mux := http.NewServeMux()
	mux.HandleFunc(pprofPath, pprof.Index)
	mux.HandleFunc(pprofPath+"cmdline", pprof.Cmdline)
	mux.HandleFunc(pprofPath+"profile", pprof.Profile)
	mux.HandleFunc(pprofPath+"symbol", pprof.Symbol)
	mux.HandleFunc(pprofPath+"trace", pprof.Trace)
	return fasthttpadaptor.NewFastHTTPHandler(mux)
}

// index lists the paths.
func (s *Server) index(ctx *fasthttp.RequestCtx) {
	paths := make([]string, 0, len(s.routes))
	for p := range s.routes {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var b strings.Builder
	b.WriteString("<!doctype html><title>spillway</title><h1>spillway</h1><ul>\n")
	for _, p := range paths {
		name := `<a href="` + p + `">` + p + `</a>`
		if s.routes[p].access == write || strings.HasPrefix(p, upstreamsPath) {
			name = p // nothing a click could show
		}
		b.WriteString("<li>" + name + " " + s.routes[p].about + "\n")
	}
	b.WriteString("</ul>\n")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'")
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetBodyString(b.String())
}

// failure is the body of every error.
type failure struct {
	Error  string `json:"error"`  // a word a program can branch on
	Code   int    `json:"code"`   // the HTTP status
	Detail string `json:"detail"` // a sentence for people
}

func fail(ctx *fasthttp.RequestCtx, status int, word, detail string) {
	reply(ctx, status, failure{word, status, detail})
}

// reply writes v as JSON.
func reply(ctx *fasthttp.RequestCtx, status int, v any) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	enc := json.NewEncoder(ctx.Response.BodyWriter())
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic("BUG: cannot encode an answer: " + err.Error())
	}
}
