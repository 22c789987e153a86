package engine

import (
	"syscall"

	"spillway/internal/netloop"
)

// The transport of a connection is how its bytes are read and written. Only
// plaintext exists: the three functions here are the whole seam, and TLS
// takes their place with records decrypted in between (hasBuffered then tells
// of plaintext that no event will announce).

// recv reads at most len(b) bytes. n is 0 with errno 0 at end of stream.
func recv(s *netloop.Source, b []byte) (n int, errno syscall.Errno) {
	return netloop.Recv(s.FD(), b)
}

// send writes head and body with one system call; a short count and EAGAIN
// mean that the peer is slow.
func send(s *netloop.Source, head, body []byte) (n int, errno syscall.Errno) {
	return netloop.SendTwo(s.FD(), head, body)
}

// hasBuffered reports whether bytes were taken off the socket that recv has
// not returned yet.
func hasBuffered(*netloop.Source) bool { return false }
