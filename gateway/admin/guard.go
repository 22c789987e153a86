package admin

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// access is what a route asks of a client.
type access uint8

const (
	open  access = iota // anyone: probes of load balancers
	read                // the read token, if there is one
	write               // the token
)

// allow checks method and token and answers what is refused.
func (s *Server) allow(ctx *fasthttp.RequestCtx, r route) bool {
	if !r.takes(ctx) {
		ctx.Response.Header.Set("Allow", r.methods())
		fail(ctx, fasthttp.StatusMethodNotAllowed, "method_not_allowed", "this path takes "+r.methods())
		return false
	}
	if r.access == open || r.access == read && !s.readAuth.set {
		return true
	}
	sent := bearer(ctx.Request.Header.Peek("Authorization"))
	auth := s.writeToken()
	switch {
	case r.access == write && !auth.set:
		fail(ctx, fasthttp.StatusForbidden, "writes_disabled", "no admin token is configured, so writes are refused")
		return false
	case auth.is(sent), r.access == read && s.readAuth.is(sent):
		return true
	}
	ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
	fail(ctx, fasthttp.StatusUnauthorized, "unauthorized", "send Authorization: Bearer TOKEN with the configured token")
	return false
}

// writeToken is the token that writes need now.
func (s *Server) writeToken() token {
	if s.tokenFile != nil {
		return s.tokenFile.get()
	}
	return s.writeAuth
}

// bearer returns the token of an Authorization field, nil if it has none.
func bearer(field []byte) []byte {
	scheme, credentials, ok := bytes.Cut(field, []byte(" "))
	if !ok || !strings.EqualFold(string(scheme), "Bearer") {
		return nil
	}
	return bytes.TrimSpace(credentials)
}

// localName reports whether a Host field is one that a page of another site
// cannot have: an IP address or localhost. A client that sends none is no
// browser.
func localName(host []byte) bool {
	name := string(host)
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	if name == "" || strings.EqualFold(name, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil
}
