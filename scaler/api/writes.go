package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Bounds of what a person orders: it ends, so that nobody finds it next year.
const (
	defaultTTL = time.Hour
	longestTTL = 30 * 24 * time.Hour
)

// ttlOf reads "90m"; "" is an hour.
func ttlOf(text string) (time.Duration, error) {
	if text == "" {
		return defaultTTL, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl <= 0 || ttl > longestTTL {
		return 0, fmt.Errorf("%w: ttl %q is no duration such as 90m, up to %v", ErrInvalid, text, longestTTL)
	}
	return ttl, nil
}

// appOf returns the app of a path, "" for "-", which stands for all.
func appOf(r *http.Request) string {
	if app := r.PathValue("app"); app != "-" {
		return app
	}
	return ""
}

// scaleBody, and pauseBody below, are requests as they are sent.
type scaleBody struct {
	ScaleRequest
	TTL string `json:"ttl,omitempty"`
}

type pauseBody struct {
	PauseRequest
	TTL string `json:"ttl,omitempty"`
}

func (s *Server) scale(w http.ResponseWriter, r *http.Request, by string) (int, string) {
	var body scaleBody
	err := decode(r, &body)
	request := body.ScaleRequest
	request.App, request.By = r.PathValue("app"), by
	if err == nil {
		request.TTL, err = ttlOf(body.TTL)
	}
	if err == nil && request.Delta == 0 {
		err = fmt.Errorf("%w: delta is 0", ErrInvalid)
	}
	return act(s, w, r, request, err, s.backend.Scale)
}

func (s *Server) pause(w http.ResponseWriter, r *http.Request, by string) (int, string) {
	var body pauseBody
	err := decode(r, &body)
	request := body.PauseRequest
	request.App, request.By = appOf(r), by
	if err == nil {
		request.TTL, err = ttlOf(body.TTL)
	}
	return act(s, w, r, request, err, s.backend.Pause)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request, by string) (int, string) {
	var request ResumeRequest
	err := decode(r, &request)
	request.App, request.By = appOf(r), by
	return act(s, w, r, request, err, func(ctx context.Context, request ResumeRequest) (struct{}, error) {
		return struct{}{}, s.backend.Resume(ctx, request)
	})
}

func (s *Server) node(w http.ResponseWriter, r *http.Request, by string) (int, string) {
	var request NodeRequest
	err := decode(r, &request)
	request.ID, request.Action, request.By = r.PathValue("id"), r.PathValue("action"), by
	switch request.Action {
	case Cordon, Drain, Undrain, Replace:
	default:
		err = fmt.Errorf("action %q: %w; there are %s", request.Action, ErrNotFound, strings.Join([]string{Cordon, Drain, Undrain, Replace}, ", "))
	}
	return act(s, w, r, request, err, s.backend.NodeAction)
}

// act carries a valid request out and answers.
func act[Q, A any](s *Server, w http.ResponseWriter, r *http.Request, request Q, err error, do func(context.Context, Q) (A, error)) (int, string) {
	if err != nil {
		return s.answer(w, r, nil, err)
	}
	ctx, stop := patience(r)
	defer stop()
	v, err := do(ctx, request)
	return s.answer(w, r, v, err)
}
