package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// signals answers with what upstreams saw each second.
func (s *Server) signals(ctx *fasthttp.RequestCtx) {
	if s.views.Signals == nil {
		fail(ctx, fasthttp.StatusNotFound, "no_signals", "this gateway records no signals")
		return
	}
	since, upstreams, err := signalsQuery(ctx.QueryArgs())
	if err != nil {
		fail(ctx, fasthttp.StatusBadRequest, "bad_query", err.Error())
		return
	}
	body, err := s.views.Signals(since, upstreams)
	if err != nil {
		fail(ctx, fasthttp.StatusServiceUnavailable, "unavailable", err.Error())
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

// signalsQuery reads the parameters: since once at most, upstream as often as
// there are upstreams to ask for.
func signalsQuery(args *fasthttp.Args) (since int64, upstreams []string, err error) {
	seen := false
	for key, value := range args.All() {
		switch string(key) {
		case "since":
			since, err = strconv.ParseInt(string(value), 10, 64)
			if err != nil || since < 0 || seen {
				return 0, nil, fmt.Errorf("since is %q, want one time in milliseconds since 1970", value)
			}
			seen = true
		case "upstream":
			if len(value) == 0 {
				return 0, nil, errors.New("upstream is empty, want a name")
			}
			upstreams = append(upstreams, string(value))
		default:
			return 0, nil, fmt.Errorf("unknown parameter %q, want since or upstream", key)
		}
	}
	return since, upstreams, nil
}

// maxAhead is how far in the future capacity may be announced for.
const maxAhead = 24 * time.Hour

// announce takes what a scaler says it ordered for an upstream.
func (s *Server) announce(ctx *fasthttp.RequestCtx) {
	name := strings.TrimSuffix(strings.TrimPrefix(string(ctx.Path()), upstreamsPath), capacityPath)
	if s.pool(ctx, name) == nil {
		return
	}
	if s.views.Announce == nil {
		fail(ctx, fasthttp.StatusNotImplemented, "no_capacity", "this gateway takes no announcements")
		return
	}
	ordered, eta, err := announcement(ctx.PostBody(), time.Now())
	if err != nil {
		fail(ctx, fasthttp.StatusBadRequest, "bad_announcement", err.Error())
		return
	}
	s.views.Announce(name, ordered, eta)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// announcement reads {"ordered":N,"eta_ms":MS}. Nothing ordered needs no time.
func announcement(body []byte, now time.Time) (ordered float64, eta time.Time, err error) {
	var in struct {
		Ordered *float64 `json:"ordered"`
		ETA     int64    `json:"eta_ms"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return 0, eta, fmt.Errorf(`cannot read the body: %w: want {"ordered":N,"eta_ms":MS}`, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return 0, eta, errors.New("there is more behind the object")
	}
	switch eta = time.UnixMilli(in.ETA); {
	case in.Ordered == nil || *in.Ordered < 0 || *in.Ordered > math.MaxInt32:
		return 0, eta, errors.New("ordered is missing or no number of units, want 0 or more")
	case *in.Ordered > 0 && (in.ETA <= 0 || eta.Sub(now) > maxAhead):
		return 0, eta, fmt.Errorf("eta_ms is %d, want a time within %v, in milliseconds since 1970", in.ETA, maxAhead)
	}
	return *in.Ordered, eta, nil
}
