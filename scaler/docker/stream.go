package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/docker/docker/client"
)

// stream is a connection that the engine has handed over after an HTTP
// upgrade. What was read too much with the answer is read first.
type stream struct {
	net.Conn
	r *bufio.Reader
}

func (s *stream) Read(p []byte) (int, error) { return s.r.Read(p) }

// closeWrite ends what is sent; reading goes on. Both Unix and TCP connections
// can do that, TLS ones by their closing alert.
func (s *stream) closeWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.New("connection cannot be closed by half")
}

// hijack sends a request and takes the connection over. The client library's
// own way has no deadline for the engine's answer.
func (l *lane) hijack(ctx context.Context, api *client.Client, path string, body any) (*stream, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Call)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+client.DummyHost+"/v"+api.ClientVersion()+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	s, err := upgrade(ctx, c, req)
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// upgrade writes the request and reads the answer, both no longer than ctx.
func upgrade(ctx context.Context, c net.Conn, req *http.Request) (*stream, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	s := &stream{Conn: c, r: bufio.NewReader(c)}
	err := req.Write(c)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(s.r, req)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("the engine answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return s, nil
}

// Streams of the multiplexed format, see "Stream format" of
// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
const (
	streamIn  = 0
	streamOut = 1
	streamErr = 2
	streamSys = 3 // an error of the engine's own
)

// demux splits frames of [stream, 0, 0, 0, length as four bytes, payload]
// until the input ends between two of them.
func demux(r io.Reader, out, err io.Writer) error {
	var header [8]byte
	for {
		switch _, e := io.ReadFull(r, header[:]); {
		case errors.Is(e, io.EOF):
			return nil
		case e != nil:
			return fmt.Errorf("cannot read the container's output: %w", e)
		}
		w, e := pick(header, out, err)
		if e != nil {
			return e
		}
		size := int64(binary.BigEndian.Uint32(header[4:]))
		if header[0] == streamSys {
			text, _ := io.ReadAll(io.LimitReader(r, min(size, 4096)))
			return fmt.Errorf("the engine cannot go on: %s", text)
		}
		switch n, e := io.CopyN(w, r, size); {
		case errors.Is(e, io.EOF):
			return fmt.Errorf("cannot read the container's output: %w after %d of %d bytes", io.ErrUnexpectedEOF, n, size)
		case e != nil:
			return fmt.Errorf("cannot copy the container's output: %w", e)
		}
	}
}

func pick(header [8]byte, out, err io.Writer) (io.Writer, error) {
	if header[1]|header[2]|header[3] != 0 {
		return nil, fmt.Errorf("cannot read the container's output: %x is no frame", header)
	}
	switch header[0] {
	case streamIn, streamOut:
		return out, nil
	case streamErr, streamSys:
		return err, nil
	}
	return nil, fmt.Errorf("cannot read the container's output: stream %d is unknown", header[0])
}
