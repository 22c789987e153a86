package admin

import "github.com/valyala/fasthttp"

func (s *Server) healthy(ctx *fasthttp.RequestCtx) { plain(ctx, "healthy\n") }

func (s *Server) ping(ctx *fasthttp.RequestCtx) { plain(ctx, "OK") }

func plain(ctx *fasthttp.RequestCtx, text string) {
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(text)
}

type readiness struct {
	Ready    bool   `json:"ready"`
	Degraded string `json:"degraded,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

func (s *Server) ready(ctx *fasthttp.RequestCtx) {
	r := readiness{Detail: "starting"}
	if s.views.Ready != nil {
		r.Ready, r.Degraded, r.Detail = s.views.Ready()
	}
	status := fasthttp.StatusOK
	if !r.Ready {
		status = fasthttp.StatusServiceUnavailable
	}
	reply(ctx, status, r)
}

func (s *Server) reload(ctx *fasthttp.RequestCtx) {
	if s.views.Reload == nil {
		fail(ctx, fasthttp.StatusNotImplemented, "no_reload", "this gateway has no configuration file to read again")
		return
	}
	if err := s.views.Reload(); err != nil {
		s.log.Warn("reload refused", "error", err)
		fail(ctx, fasthttp.StatusUnprocessableEntity, "reload_failed", err.Error())
		return
	}
	reply(ctx, fasthttp.StatusOK, struct {
		Reloaded bool `json:"reloaded"`
	}{true})
}

func (s *Server) config(ctx *fasthttp.RequestCtx) {
	if s.views.Config == nil {
		fail(ctx, fasthttp.StatusNotFound, "no_config", "this gateway has no configuration to show")
		return
	}
	text, err := s.views.Config()
	if err != nil {
		fail(ctx, fasthttp.StatusInternalServerError, "internal", err.Error())
		return
	}
	ctx.SetContentType("application/yaml")
	ctx.SetBody(text)
}
