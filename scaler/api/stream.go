package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func (s *Server) exec(w http.ResponseWriter, r *http.Request, by string) (int, string) {
	var request ExecRequest
	err := decode(r, &request)
	request.Instance, request.By = r.PathValue("id"), by
	if err == nil && len(request.Command) == 0 {
		err = fmt.Errorf("%w: there is no command", ErrInvalid)
	}
	size := [2]uint{request.Columns, request.Rows}
	return s.stream(w, r, size, err, func(ctx context.Context, ends Streams) (int, *RunResult, error) {
		exit, err := s.backend.Exec(ctx, request, ends)
		return exit, nil, err
	})
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, by string) (int, string) {
	var request RunRequest
	err := decode(r, &request)
	request.By = by
	if err == nil && request.Image == "" {
		err = fmt.Errorf("%w: there is no image", ErrInvalid)
	}
	return s.stream(w, r, [2]uint{}, err, func(ctx context.Context, ends Streams) (int, *RunResult, error) {
		result, err := s.backend.Run(ctx, request, ends)
		return result.Exit, &result, err
	})
}

// streamed is what is done between the two ends of a stream.
type streamed func(ctx context.Context, ends Streams) (exit int, result *RunResult, err error)

// stream turns the connection into frames and does what is asked between them.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, size [2]uint, err error, do streamed) (int, string) {
	if err != nil {
		return s.answer(w, r, nil, err)
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), streamProtocol) {
		w.Header().Set("Upgrade", streamProtocol)
		f := failure{"upgrade_required", http.StatusUpgradeRequired, "this path is asked with Upgrade: " + streamProtocol}
		fail(w, f)
		return f.Code, f.Detail
	}
	s.streams.Add(1)
	defer s.streams.Done()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return s.answer(w, r, nil, fmt.Errorf("cannot take over the connection: %w", err))
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{}) // those of the request; failing shows below
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+streamProtocol+"\r\n\r\n"); err != nil {
		return 0, err.Error()
	}
	return s.serveStream(conn, buffered, size, do)
}

func (s *Server) serveStream(conn net.Conn, from io.Reader, size [2]uint, do streamed) (int, string) {
	ctx, gone := context.WithCancel(s.ctx)
	defer gone()
	frames := &frameWriter{to: conn}
	input, typed := io.Pipe()
	sizes := make(chan [2]uint, 1)
	if size != ([2]uint{}) {
		sizes <- size
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(sizes)
		defer gone()
		typed.CloseWithError(receive(from, typed, sizes))
	}()
	exit, result, err := do(ctx, Streams{
		In: input, Resize: sizes,
		Out: &output{frames, frameOut, gone}, Err: &output{frames, frameErr, gone},
	})
	input.Close() // nobody reads what is typed from now on
	status, detail := finish(frames, exit, result, err)
	part(conn)
	<-read
	return status, detail
}

// part lets the client see the end before the connection goes: closing one on
// which something unread has come in would take back what was sent.
func part(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(partTimeout))
		return
	}
	conn.Close()
}

// finish sends how it ended and returns what the audit log says of it.
func finish(frames *frameWriter, exit int, result *RunResult, err error) (int, string) {
	if err != nil {
		f := failureOf(err)
		_ = frames.write(frameFailed, encoded(f)) // the client may be gone
		return f.Code, f.Detail
	}
	_ = frames.write(frameExit, exitPayload(exit, result))
	return http.StatusSwitchingProtocols, "exit " + strconv.Itoa(exit)
}

// receive reads frames until the connection ends: input goes to typed, sizes
// into the channel, where only the last one waits. It returns what typed ends
// with: nil, if the client said so, is io.EOF.
func receive(from io.Reader, typed *io.PipeWriter, sizes chan [2]uint) error {
	buf := make([]byte, maxFrame)
	for {
		kind, payload, err := readFrame(from, buf)
		if err != nil {
			return err
		}
		switch kind {
		case frameIn:
			_, _ = typed.Write(payload) // an error: nobody reads any more
		case frameEOF:
			typed.Close()
		case frameSize:
			if size, ok := parseSize(payload); ok {
				replace(sizes, size)
			}
		}
	}
}

// replace puts the last value into a channel that holds one.
func replace(sizes chan [2]uint, size [2]uint) {
	for {
		select {
		case sizes <- size:
			return
		default:
		}
		select {
		case <-sizes:
		default:
		}
	}
}
