package peers

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
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
	// Targets are what is asked for, a table each; see bodySizes.
	Targets []string
	// Client makes the load: clientWrk or clientOwn.
	Client string
	// CrossCheck adds one table by wrk with that many connections; 0: none.
	CrossCheck int
	// Rounds is how often each peer is measured with each kind of load.
	Rounds int
	// Duration is the length of one measurement, in whole seconds if wrk makes
	// the load: it knows no finer.
	Duration time.Duration
	// ProxyCPU and ClientCPU pin the proxy, and wrk with the backend. -1 takes
	// the first and second processor this process may use.
	ProxyCPU, ClientCPU int
	// Rate is that of open loops, requests a second. 0: a share of what nginx
	// does at most.
	Rate float64
	// Spillway is the binary under test, Consul the registry it follows where
	// servers change.
	Spillway, Consul string
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

	spare     int             // backend addresses beside backendPorts
	intervals []time.Duration // between changes of servers
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
		Targets:     []string{"/"},
		Client:      clientWrk,
		Rounds:      5,
		Duration:    5 * time.Second,
		ProxyCPU:    -1,
		ClientCPU:   -1,
		Spillway:    "bin/spillway",
		Consul:      "bin/consul",
		Progress:    io.Discard,
	}
}

// register binds the flags. Their defaults are what the options hold.
func (o *Options) register(fs *flag.FlagSet) {
	fs.Func("peers", "`NAMES` to compare, separated by commas (default: all that are installed)", func(v string) error {
		o.Peers = strings.Split(v, ",")
		return nil
	})
	fs.Func("connections", "keep-alive connections, one table for each of `N,N`", func(v string) (err error) {
		o.Connections, err = parseCounts(v)
		return err
	})
	fs.IntVar(&o.Rounds, "rounds", o.Rounds, "measurements of each peer")
	fs.DurationVar(&o.Duration, "duration", o.Duration, "length of one measurement, whole seconds where wrk makes the load")
	fs.Float64Var(&o.Rate, "rate", o.Rate, "requests a second where they are constant; 0: from what nginx does at most")
	fs.IntVar(&o.ProxyCPU, "proxy-cpu", o.ProxyCPU, "processor of the proxies, -1: the first allowed")
	fs.IntVar(&o.ClientCPU, "client-cpu", o.ClientCPU, "processor of the generator and the backend, -1: the second allowed")
	fs.StringVar(&o.Spillway, "spillway", ownBinary(o.Spillway), "`PATH` of the Spillway binary to measure")
	fs.StringVar(&o.Consul, "consul", o.Consul, "`PATH` of the Consul binary, where servers change")
	fs.BoolVar(&o.Features, "features", false, "add Spillway with one feature changed at a time, and say what each costs")
	fs.Func("variant", "`NAME=TEMPLATE`: Spillway with another configuration as one more peer; repeatable", func(v string) error {
		name, file, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("want NAME=TEMPLATE")
		}
		o.Variants = append(o.Variants, Variant{Name: name, Template: file})
		return nil
	})
	fs.Func("attach", "`NAME=PID=URL`: a proxy that runs already on the proxies' processor; repeatable", func(v string) error {
		a, err := parseAttached(v)
		o.Attached = append(o.Attached, a)
		return err
	})
}

// check says what is wrong with the options, before anything is started.
func (o *Options) check() error {
	if o.Rounds < 1 {
		return fmt.Errorf("cannot measure %d rounds: at least 1", o.Rounds)
	}
	if (o.Client == clientWrk || o.CrossCheck > 0) && (o.Duration < time.Second || o.Duration%time.Second != 0) {
		return fmt.Errorf("cannot measure for %v: whole seconds, at least 1s", o.Duration)
	}
	if o.Duration < minDuration {
		return fmt.Errorf("cannot measure for %v: at least %v", o.Duration, minDuration)
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

// minDuration is the shortest measurement.
const minDuration = 50 * time.Millisecond

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
