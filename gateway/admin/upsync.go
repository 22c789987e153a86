package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/gateway/upstream"
)

// What nginx-upsync answers when there is nothing to show.
const (
	showNone    = "No upstreams defined"
	showUnknown = "The upstream you requested does not exist. Please double-check the name"
)

// upstreamShow answers as nginx-upsync's upstream_show does, byte for byte:
// always 200; the whole raw query is the name, in any case; without one, all
// upstreams, each followed by an empty line.
func (s *Server) upstreamShow(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/plain")
	ctx.SetBodyString(show(s.views.pools(), string(ctx.URI().QueryString())))
}

func show(pools []*upstream.Pool, name string) string {
	var b strings.Builder
	for _, p := range pools {
		switch {
		case name == "":
			showPool(&b, p)
			b.WriteByte('\n')
		case strings.EqualFold(p.Name, name):
			showPool(&b, p)
			return b.String()
		}
	}
	switch {
	case len(pools) == 0:
		return showNone
	case name != "":
		return showUnknown
	}
	return b.String()
}

func showPool(b *strings.Builder, p *upstream.Pool) {
	entries := p.Load().Entries
	fmt.Fprintf(b, "Upstream name: %s; Backend server count: %d\n", p.Name, len(entries))
	for i := range entries {
		spec := &entries[i].Spec
		fmt.Fprintf(b, "        server %s weight=%d max_fails=%d fail_timeout=%ds",
			entries[i].Addr, spec.Weight, spec.MaxFails, spec.FailTimeout/time.Second)
		if spec.Down {
			b.WriteString(" down")
		}
		b.WriteString(";\n")
	}
}
