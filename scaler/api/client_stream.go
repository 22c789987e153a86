package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Exec runs a command in a container with ends as its terminal and returns its
// exit code. ends.In may go on being read after it has returned, until that
// gives one more piece or ends.
func (c *Client) Exec(ctx context.Context, r ExecRequest, ends Streams) (int, error) {
	exit, _, err := c.stream(ctx, "/api/v1/instances/"+url.PathEscape(r.Instance)+"/exec", r, ends)
	return exit, err
}

// Run starts a container that belongs to no app, and unless it is detached
// copies its output until it ends.
func (c *Client) Run(ctx context.Context, r RunRequest, ends Streams) (RunResult, error) {
	exit, result, err := c.stream(ctx, "/api/v1/run", r, ends)
	if err != nil {
		return RunResult{}, err
	}
	if result == nil {
		return RunResult{Exit: exit}, nil
	}
	return *result, nil
}

func (c *Client) stream(ctx context.Context, path string, body any, ends Streams) (int, *RunResult, error) {
	conn, from, err := c.upgrade(ctx, path, body)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	done := make(chan struct{})
	defer close(done)
	frames := &frameWriter{to: conn}
	if ends.In != nil {
		go sendInput(frames, ends.In)
	}
	go sendSizes(frames, ends.Resize, done)
	exit, result, err := present(from, ends)
	if err != nil && ctx.Err() != nil {
		return 0, nil, ctx.Err()
	}
	return exit, result, err
}

// sendInput sends what is typed until that ends, or the connection does.
func sendInput(frames *frameWriter, in io.Reader) {
	buf := make([]byte, maxFrame/2)
	for {
		n, err := in.Read(buf)
		if n > 0 && frames.write(frameIn, buf[:n]) != nil {
			return
		}
		if err != nil {
			_ = frames.write(frameEOF, nil) // nothing can be done about it
			return
		}
	}
}

func sendSizes(frames *frameWriter, sizes <-chan [2]uint, done <-chan struct{}) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok || frames.write(frameSize, sizePayload(size[0], size[1])) != nil {
				return
			}
		case <-done:
			return
		}
	}
}

// present writes output to where it belongs until the stream says how it ended.
func present(from io.Reader, ends Streams) (int, *RunResult, error) {
	buf := make([]byte, maxFrame)
	for {
		kind, payload, err := readFrame(from, buf)
		if err != nil {
			return 0, nil, fmt.Errorf("cannot read stream to its end: %w", err)
		}
		switch kind {
		case frameOut:
			err = deliver(ends.Out, payload)
		case frameErr:
			err = deliver(ends.Err, payload)
		case frameExit:
			return parseExit(payload)
		case frameFailed:
			f := failure{Code: http.StatusInternalServerError}
			if json.Unmarshal(payload, &f) != nil {
				return 0, nil, fmt.Errorf("cannot read why the stream failed: %q", payload)
			}
			return 0, nil, f.asError()
		}
		if err != nil {
			return 0, nil, fmt.Errorf("cannot write output: %w", err)
		}
	}
}

func deliver(to io.Writer, payload []byte) error {
	if to == nil {
		return nil
	}
	_, err := to.Write(payload)
	return err
}
