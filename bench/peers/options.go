package peers

import (
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Baseline is the peer that the others are compared with.
const Baseline = "nginx"

// Options of a run. Zero fields get the defaults of Defaults.
type Options struct {
	// Peers are the proxies to compare, in the order of a round. Empty: all
	// known ones that are installed.
	Peers []string
	// Connections are the numbers of keep-alive connections, one table each.
	Connections []int
	// Rounds is how often each peer is measured with each number of
	// connections.
	Rounds int
	// Duration is the length of one measurement in whole seconds; wrk knows no
	// finer.
	Duration time.Duration
	// ProxyCPU and ClientCPU pin the proxy, and wrk with the backend. -1 takes
	// the first and second processor this process may use.
	ProxyCPU, ClientCPU int
	// Spillway is the binary under test.
	Spillway string
	// Features adds Spillway once for each configuration in conf/features, to
	// see what a feature costs.
	Features bool
	// Variants are more of the same kind, from files. Their rows are named with
	// a leading "+".
	Variants []Variant
	// Attached are further peers that run already.
	Attached []Attached
	// Self is the command, up to its own arguments, that reaches Command: the
	// fasthttp and net/http proxies and the backend run in it.
	Self []string
	// Progress is told of each measurement as it ends, one line each.
	Progress io.Writer
}

// Variant is Spillway started with another configuration template (see
// conf/spillway.yaml.tmpl for the fields).
type Variant struct {
	Name, Template string
}

// Attached is a proxy that somebody else started and pinned to the proxy's
// processor. Its backends are its own affair.
type Attached struct {
	Name string
	PID  int
	URL  string
}

// Defaults returns the options of a full run: 64 and 128 connections, five
// rounds of five seconds, every peer.
func Defaults() Options {
	return Options{
		Connections: []int{64, 128},
		Rounds:      5,
		Duration:    5 * time.Second,
		ProxyCPU:    -1,
		ClientCPU:   -1,
		Spillway:    "bin/spillway",
		Progress:    io.Discard,
	}
}

// check says what is wrong with the options, before anything is started.
func (o *Options) check() error {
	if o.Rounds < 1 {
		return fmt.Errorf("cannot measure %d rounds: at least 1", o.Rounds)
	}
	if o.Duration < time.Second || o.Duration%time.Second != 0 {
		return fmt.Errorf("cannot measure for %v: whole seconds, at least 1s", o.Duration)
	}
	if len(o.Connections) == 0 || slices.Min(o.Connections) < 1 {
		return fmt.Errorf("cannot use %v connections: at least 1", o.Connections)
	}
	if len(o.Self) == 0 {
		return fmt.Errorf("cannot start our own proxies: no command given")
	}
	for _, a := range o.Attached {
		if err := checkLoopback(a.URL); err != nil {
			return fmt.Errorf("cannot attach to %q: %w", a.Name, err)
		}
	}
	return checkNames(o)
}

// checkNames refuses a name used twice: rows are told apart by it.
func checkNames(o *Options) error {
	names := slices.Clone(o.Peers)
	for _, v := range o.Variants {
		names = append(names, variantMark+v.Name)
	}
	for _, a := range o.Attached {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return fmt.Errorf("cannot compare %q with itself: the name is given twice", names[i])
		}
	}
	return nil
}

// checkLoopback refuses targets on other machines: this is a load at full
// speed.
func checkLoopback(target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("cannot read URL %q: %w", target, err)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "http" || err != nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not http:// on a loopback address such as 127.0.0.1", target)
	}
	return nil
}
