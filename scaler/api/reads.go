package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

type readiness struct {
	Ready  bool   `json:"ready"`
	Leader bool   `json:"leader"`
	Detail string `json:"detail,omitempty"`
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	var answer readiness
	answer.Ready, answer.Detail = s.backend.Ready()
	answer.Leader, _ = s.backend.Leader()
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, answer)
}

func patience(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), answerTimeout)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ctx, stop := patience(r)
	defer stop()
	v, err := s.backend.Status(ctx)
	s.answer(w, r, v, err)
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	at := time.Time{}
	if text := r.URL.Query().Get("at"); text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			s.answer(w, r, nil, fmt.Errorf("%w: at %q is no time such as 2026-03-01T12:00:00Z", ErrInvalid, text))
			return
		}
	}
	ctx, stop := patience(r)
	defer stop()
	v, err := s.backend.Why(ctx, r.PathValue("app"), at)
	s.answer(w, r, v, err)
}

func (s *Server) plan(w http.ResponseWriter, r *http.Request) {
	ctx, stop := patience(r)
	defer stop()
	v, err := s.backend.Plan(ctx)
	s.answer(w, r, v, err)
}

func (s *Server) nodes(w http.ResponseWriter, r *http.Request) {
	ctx, stop := patience(r)
	defer stop()
	v, err := s.backend.Nodes(ctx)
	if v == nil {
		v = []Node{}
	}
	s.answer(w, r, v, err)
}

func (s *Server) instances(w http.ResponseWriter, r *http.Request) {
	ctx, stop := patience(r)
	defer stop()
	v, err := s.backend.Ps(ctx, r.URL.Query().Get("app"))
	if v == nil {
		v = []Instance{}
	}
	s.answer(w, r, v, err)
}

func (s *Server) audited(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", 100)
	s.answer(w, r, s.audit.tail(max(0, limit)), err)
}

// number reads a parameter that is a whole number.
func number(r *http.Request, name string, without int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%w: %s %q is no whole number", ErrInvalid, name, text)
	}
	return n, nil
}

// logs streams the output of a container as text. An error after the first
// byte can only cut the answer short, which the client notices.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	tail, err := number(r, "tail", -1)
	if err != nil {
		s.answer(w, r, nil, err)
		return
	}
	s.streams.Add(1)
	defer s.streams.Done()
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(s.ctx, stop)()
	out := &flowing{to: w, control: http.NewResponseController(w)}
	request := LogsRequest{Instance: r.PathValue("id"), Tail: tail, Follow: r.URL.Query().Get("follow") == "true"}
	switch err := s.backend.Logs(ctx, request, out); {
	case err == nil:
		out.begin()
	case !out.begun:
		s.answer(w, r, nil, err)
	case ctx.Err() == nil:
		s.log.Warn("logs cut short", "instance", request.Instance, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// flowing writes text through at once, with a deadline for each piece.
type flowing struct {
	to      http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (f *flowing) begin() {
	if !f.begun {
		f.begun = true
		f.to.Header().Set("Content-Type", "text/plain; charset=utf-8")
		f.to.WriteHeader(http.StatusOK)
	}
}

// Write implements io.Writer.
func (f *flowing) Write(p []byte) (int, error) {
	f.begin()
	_ = f.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := f.to.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.control.Flush()
}
