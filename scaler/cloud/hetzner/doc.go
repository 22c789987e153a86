// Package hetzner is the driver of Hetzner Cloud: one project, whose locations
// are the zones, by the vendor's client (hcloud-go), which is used for requests
// and answers alone: its retries are off, for those are the wrappers' affair.
//
// A call makes one server, and a project has 3,600 calls an hour for
// everything, so machines are never asked one by one: List is one request for
// each 50 of them. There is no client token. Names are unique within a project,
// so the name is the token: a Create that is told that the name is taken looks
// up who has it, and returns that server if it bears the labels of the same
// order.
//
// A server that is switched off costs the same, so that machines are not
// stopped: the driver is no cloud.Stopper. Nor does it watch: Hetzner Cloud has
// no notices.
//
// The driver keeps nothing but its options and its connections, and starts no
// goroutine of its own.
package hetzner
