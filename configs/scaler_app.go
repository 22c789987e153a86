package configs

import "time"

// How gateways learn of an app's instances, and what watches its load.
const (
	SourceHealth     = "health"
	SourceKV         = "kv"
	SignalGateways   = "gateways"
	SignalPrometheus = "prometheus"
)

// ScalerApp is one app: one image behind one upstream of the gateways.
type ScalerApp struct {
	// Upstream of the gateways that carries its traffic; empty is the app's
	// name.
	Upstream string `yaml:"upstream"`
	// Service in Consul its instances are registered as; empty is the app's
	// name.
	Service string `yaml:"service"`
	// How gateways find its instances: health (service with checks,
	// consul-health) or kv (keys as nginx-upsync has them, consul-kv).
	Source string `yaml:"source" enum:"health,kv"`
	// kv: prefix of the keys PREFIX/IP:port; empty is upstreams/UPSTREAM/.
	Key string `yaml:"key"`
	// Where its signals come from: gateways or prometheus.
	Signal string `yaml:"signal" enum:"gateways,prometheus"`
	// signal prometheus: the queries.
	Queries ScalerQueries `yaml:"queries"`
	// Capacity of one instance in cores of the reference machine; 0 is its
	// cpu.
	Units float64 `yaml:"units" min:"0"`
	// Weight of one instance at the gateways; 0 follows its capacity.
	Weight int `yaml:"weight" min:"0" max:"65535"`
	// What runs.
	Container ScalerContainer `yaml:"container"`
	// How much of it is wanted.
	Policy ScalerPolicy `yaml:"policy"`
	// Where it runs, in the order in which pools are filled. They are emptied
	// in the reverse order.
	Pools []ScalerPool `yaml:"pools"`
	// How instances leave.
	Drain ScalerDrain `yaml:"drain"`
	// Pause changes nothing of this app: it is watched, and that is all.
	Paused bool `yaml:"paused"`
}

// ScalerQueries are instant queries in PromQL, each with one number as its
// answer. {app} and {upstream} stand for the names.
type ScalerQueries struct {
	// Requests begun a second.
	Arrivals string `yaml:"arrivals"`
	// Requests under way.
	InFlight string `yaml:"in_flight"`
	// 95th percentile of the latency, in seconds.
	P95 string `yaml:"p95"`
	// Failed requests a second; empty is not known.
	Errors string `yaml:"errors"`
}

// ScalerPool is a part of an app that runs on one pool of machines.
type ScalerPool struct {
	// Its name; empty is that of machines.
	Name string `yaml:"name"`
	// The pool of machines it runs on.
	Machines string `yaml:"machines" short:"true"`
	// Instances that are always kept here.
	Min int `yaml:"min" min:"0"`
	// Most instances here; 0 is no limit but the machines'.
	Max int `yaml:"max" min:"0"`
	// Keeps state, such as caches: never scaled in except by a person.
	Stateful bool `yaml:"stateful"`
	// Most instances on one machine; 0 is no limit.
	MaxPerHost int `yaml:"max_per_host" min:"0"`
	// Label of machines whose values share the instances evenly.
	SpreadBy string `yaml:"spread_by"`
	// Labels a machine must have; several values are separated by commas, *
	// is any.
	Labels map[string]string `yaml:"labels"`
}

// ScalerDrain says how instances leave: out of rotation, acknowledged by every
// gateway, requests in flight ended, deregistered, stopped.
type ScalerDrain struct {
	// Time after which an instance is stopped even with requests in flight or
	// without the gateways' acknowledgement. Longer suits long requests and
	// keeps machines longer.
	Deadline time.Duration `yaml:"deadline" min:"1s"`
}

// ScalerContainer is what runs.
type ScalerContainer struct {
	// Its image.
	Image string `yaml:"image"`
	// Where the image is had from, the first that has it: a mirror's name for
	// it, or file:PATH of a tar. Empty asks the image's own registry.
	Sources []string `yaml:"sources"`
	// Command and arguments; empty is the image's own.
	Command []string `yaml:"command"`
	// Environment.
	Env map[string]string `yaml:"env"`
	// Labels beside ours.
	Labels map[string]string `yaml:"labels"`
	// Cores it may use and that are reserved for it.
	CPU float64 `yaml:"cpu" min:"0"`
	// Memory it may use and that is reserved for it.
	Memory Size `yaml:"memory"`
	// Ports inside. The first is the one that serves.
	Ports []ScalerPort `yaml:"ports"`
	// bridge (host ports are given out), host, none, or the name of a network,
	// made if missing.
	Network string `yaml:"network"`
	// Architecture it is built for; empty runs anywhere.
	Arch string `yaml:"arch"`
	// Its file system cannot be written.
	ReadOnly bool `yaml:"read_only"`
	// Time between TERM and KILL.
	StopGrace time.Duration `yaml:"stop_grace"`
	// How Consul finds out whether it works.
	Check ScalerCheck `yaml:"check"`
	// Packets a second it is expected to carry; machines that know their limit
	// take no more than that.
	PPS int `yaml:"pps" min:"0"`
	// Mbit/s it draws over the link to the private site.
	LinkMbit float64 `yaml:"link_mbit" min:"0"`
}

// ScalerPort is a port of a container.
type ScalerPort struct {
	// The port inside.
	Container int `yaml:"container" short:"true" min:"1" max:"65535"`
	// The port of the host; 0 takes a free one.
	Host int `yaml:"host" min:"0" max:"65535"`
}

// ScalerCheck is run by the Consul agent that the instance is registered with.
type ScalerCheck struct {
	// Path that must answer 2xx; empty only connects.
	HTTP string `yaml:"http"`
	// Time between two checks.
	Interval time.Duration `yaml:"interval" min:"100ms"`
	// Time in which a check must be answered. Give it more than an overloaded
	// instance needs: a check that load makes fail takes capacity away when it
	// is needed.
	Timeout time.Duration `yaml:"timeout" min:"10ms"`
}
