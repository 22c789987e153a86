// Package netloop is an event loop for sockets on Linux: one epoll, one
// locked OS thread, a timer wheel, a ready list and a mailbox. The gateway's
// engine and the load generator run on it.
//
// A Loop owns everything that is registered with it: sources (Source), their
// timers, their descriptors once Close was called. All methods of Loop but
// Post, Stop and the ones that say otherwise belong to the goroutine that
// runs Run. Nothing is locked on the event path and nothing allocates.
//
// System calls are raw: the Go scheduler does not hear of them. Only an
// epoll_wait that was interrupted is repeated through the scheduler (see
// Loop.wait). GOMAXPROCS must be above the number of loops, so that other
// goroutines find a processor while loops wait. The package does no DNS and no files,
// and knows no protocol.
package netloop
