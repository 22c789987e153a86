// Package local is the provider that needs no account: its machines are real
// Docker Engines on this computer, each in network, mount, process, host-name
// and IPC namespaces of its own and in a cgroup as large as its offering. It
// is what development and the tests of the whole loop run on.
//
// What it owns: one directory for each machine below Options.Root, a cgroup
// for each, and one switch for all: a network namespace with a bridge, joined
// to this computer by a single veth pair. Nothing is written into the
// computer's own netfilter tables: the bridge lives elsewhere, and machines
// reach the computer by an address of the same network.
//
//	host namespace             switch namespace              machine's namespace
//	sp<root> 10.213.7.1/24 <-> up0 -- br0 -- m2 <----------> eth0 10.213.7.2/24
//	                                    \--- m3 <----------> eth0 10.213.7.3/24
//
// What it never does: keep anything in memory that matters. All that is known
// of a machine is in its directory and in the kernel, written before it is
// acted upon, so that machines outlive the program that made them, another one
// finds them, and a Create or a Delete that was cut short is completed by its
// repetition. Whether a machine runs is told by a lock its first program
// holds, which no crash can leave behind. No goroutine outlives a call.
//
// The machine's first program is not here: Options.Init names it, and it calls
// Enter. Needs root, Linux, dockerd, iptables, iproute2 and util-linux; works
// with cgroups of both versions.
package local
