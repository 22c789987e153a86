package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"spillway/gateway/upstream"
)

// probeGRPC calls grpc.health.v1.Health/Check over cleartext HTTP/2, which
// net/http speaks by itself; the two messages have one field each and are
// written and read by hand.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
func probeGRPC(ctx context.Context, c *upstream.Check, addr string) (string, error) {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, c, addr) },
		Protocols:   new(http.Protocols),
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	defer t.CloseIdleConnections()
	req, err := grpcRequest(ctx, c, addr)
	if err != nil {
		return "", err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if err != nil {
		return "", err
	}
	return grpcAnswer(resp, body)
}

func grpcRequest(ctx context.Context, c *upstream.Check, addr string) (*http.Request, error) {
	call := *c
	call.Method, call.Path = http.MethodPost, "/grpc.health.v1.Health/Check"
	req, err := request(&call, addr)
	if err != nil {
		return nil, err
	}
	body := grpcMessage(c.Service)
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	req.Close = false
	return req.WithContext(ctx), nil
}

// grpcMessage is a HealthCheckRequest behind its length.
func grpcMessage(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2) // field 1, length-delimited
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(framed, message...)
}

// grpcAnswer judges an answer that was read whole, trailers included.
func grpcAnswer(resp *http.Response, body []byte) (string, error) {
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	status, message := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if status == "" { // an answer of trailers alone has them in its head
		status, message = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	if status != "0" {
		return "", fmt.Errorf("grpc status %q %s", status, message)
	}
	state, err := servingStatus(body)
	if err != nil {
		return "", err
	}
	names := [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	switch {
	case state == 1:
		return names[1], nil
	case state < uint64(len(names)):
		return "", errors.New(names[state])
	}
	return "", fmt.Errorf("serving status %d", state)
}

var errMessage = errors.New("answer is no HealthCheckResponse")

// servingStatus reads field 1 of a framed HealthCheckResponse; other fields
// are passed over.
func servingStatus(b []byte) (state uint64, err error) {
	if len(b) < 5 || b[0] != 0 || binary.BigEndian.Uint32(b[1:5]) != uint32(len(b)-5) {
		return 0, errMessage
	}
	for b = b[5:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errMessage
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errMessage
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			if tag>>3 == 1 {
				state = value
			}
		case 2:
			if value > uint64(len(b)) {
				return 0, errMessage
			}
			b = b[value:]
		default:
			return 0, errMessage
		}
	}
	return state, nil
}
