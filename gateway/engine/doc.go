// Package engine is the data plane: event loops that own client connections,
// upstream connections and the exchanges between them.
//
// Each Loop runs on one locked thread and shares nothing that is written on
// the request path with the others, save the atomics on upstream.Server. A
// client connection stays with one loop for its whole life, and so do the
// upstream connections that serve it. Other goroutines reach a loop only
// through its mailbox: a new configuration, a new snapshot, drain, stop.
//
// The layers, from the socket up:
//
//	transport   Read, Write: bytes of one descriptor (transport.go)
//	codec       client and upconn: HTTP/1.x on a connection (client.go, upconn.go)
//	exchange    one request and its answer, knows no descriptor (exchange.go)
//
// The package does no DNS, opens no files and never blocks on a loop.
package engine
