package configs

import "time"

// ScalerProvider is one account and region of whoever has machines.
type ScalerProvider struct {
	// static (hosts that are there already), local (machines are Docker
	// Engines in namespaces of this host), sim (pretends, for tests and
	// replays), exec (a program of yours), or a public cloud: ec2, aliyun,
	// openstack, hetzner.
	Driver string `yaml:"driver" enum:"static,local,sim,exec,ec2,aliyun,openstack,hetzner"`
	// Link to the private site in Mbit/s, shared by all machines of the
	// provider; containers reserve link_mbit of it. 0 is not limited.
	LinkMbit float64 `yaml:"link_mbit" min:"0"`
	// Most units of capacity of this provider that may be had at once; 0 is
	// what the provider allows.
	MaxUnits float64 `yaml:"max_units" min:"0"`
	// static: the hosts.
	Hosts []ScalerHost `yaml:"hosts"`
	// What can be ordered; clouds add what they know of each kind.
	Offerings []ScalerOffering `yaml:"offerings"`
	// local: network the machines get their addresses from; in one of /16 or
	// larger a free /24 is looked for.
	Subnet string `yaml:"subnet"`
	// local: the Docker daemon's program; empty looks for dockerd in PATH.
	Dockerd string `yaml:"dockerd"`
	// local: directory of the machines; empty is local/NAME in state_dir.
	Dir string `yaml:"dir"`
	// sim: request limits to imitate.
	Limits string `yaml:"limits" enum:"none,ec2,aliyun"`
	// sim: time a machine takes to boot.
	Boot time.Duration `yaml:"boot"`
	// sim: seed of its chances; the same seed repeats a run.
	Seed int `yaml:"seed"`
	// exec: the program and its first arguments.
	Command []string `yaml:"command"`
	// exec: environment of the program. Nothing else is passed on but PATH.
	Env map[string]string `yaml:"env"`
	// exec: time in which a call must be answered.
	Timeout time.Duration `yaml:"timeout" min:"1s"`
	// ec2: the account, and what machines are made of.
	EC2 ScalerEC2 `yaml:"ec2"`
	// aliyun: the account, and what machines are made of.
	Aliyun ScalerAliyun `yaml:"aliyun"`
	// openstack: the project, and what machines are made of.
	OpenStack ScalerOpenStack `yaml:"openstack"`
	// hetzner: the project, and what machines are made of.
	Hetzner ScalerHetzner `yaml:"hetzner"`
}

// ScalerHost is a host of the static driver.
type ScalerHost struct {
	// Its Docker Engine: tcp://IP:2376 or unix:///path.
	Engine string `yaml:"engine" short:"true"`
	// Its name; empty is made of the address.
	Name string `yaml:"name"`
	// Address at which gateways reach its containers; empty is that of engine,
	// and 127.0.0.1 for a socket.
	Address string `yaml:"address"`
	// Zone it is in, for spreading.
	Zone string `yaml:"zone"`
	// Cores that containers may use.
	CPU float64 `yaml:"cpu" min:"0"`
	// Memory that containers may use.
	Memory Size `yaml:"memory"`
	// Capacity in cores of the reference machine; 0 is cpu.
	Units float64 `yaml:"units" min:"0"`
	// Labels, for choosing hosts.
	Labels map[string]string `yaml:"labels"`
	// File of the CA certificate (PEM) of the engine.
	CAFile string `yaml:"ca_file"`
	// File of the client certificate (PEM) for the engine.
	CertFile string `yaml:"cert_file"`
	// File of the client key (PEM) for the engine.
	KeyFile string `yaml:"key_file"`
}

// ScalerOffering is a kind of machine.
type ScalerOffering struct {
	// Name of the kind.
	Type string `yaml:"type"`
	// Zones it is offered in; public clouds: empty is all that have it.
	Zones []string `yaml:"zones"`
	// Cores; public clouds tell themselves.
	CPU float64 `yaml:"cpu" min:"0"`
	// Memory; public clouds tell themselves.
	Memory Size `yaml:"memory"`
	// Capacity in cores of the reference machine; 0 is cpu.
	Units float64 `yaml:"units" min:"0"`
	// Price of an hour.
	PriceHour float64 `yaml:"price_hour" min:"0"`
	// Time billed at least and at a time; 0 is by the second.
	Quantum time.Duration `yaml:"quantum"`
	// May be taken away at short notice.
	Spot bool `yaml:"spot"`
	// Packets a second it can carry, whatever its cores; 0 is not known.
	MaxPPS int `yaml:"max_pps" min:"0"`
	// How many there are; 0 is without end.
	Stock int `yaml:"stock" min:"0"`
}

// ScalerMachines is a pool of machines: who is asked for which kinds, and how
// many are kept.
type ScalerMachines struct {
	// Providers in the order in which they are asked; the next one is asked
	// for what the one before could not give. static ones are always filled
	// first and released last.
	Providers []string `yaml:"providers"`
	// Kinds of machine in the order of preference; empty takes any, the
	// cheapest for a unit first.
	Types []string `yaml:"types"`
	// Zones that may be used; empty is all. Orders are spread over them.
	Zones []string `yaml:"zones"`
	// Order machines that may be taken away at short notice where there are
	// any. Cheaper; keep a part of each app elsewhere.
	Spot bool `yaml:"spot"`
	// Profile that makes its machines Docker hosts; empty for machines that
	// are.
	Profile string `yaml:"profile"`
	// Labels of its machines beside idc, ip, srv and role.
	Labels map[string]string `yaml:"labels"`
	// Machines that are kept even if nothing runs on them.
	Min int `yaml:"min" min:"0"`
	// Most machines. A hard limit, whatever apps want.
	Max int `yaml:"max" min:"0"`
	// Most machines of one order; 0 is what the provider takes at once.
	MaxBatch int `yaml:"max_batch" min:"0"`
	// Emptied machines kept stopped, where that is free. They come back sooner
	// than new ones, if their provider has room.
	WarmStopped int `yaml:"warm_stopped" min:"0"`
	// Units of capacity kept free and running for the next container. Costs
	// their price, saves the boot.
	SpareUnits float64 `yaml:"spare_units" min:"0"`
	// pack fills one machine before the next, so that others can be given
	// back (rented by the hour); spread evens the load (owned ones).
	Strategy string `yaml:"strategy" enum:"pack,spread"`
	// Most containers on one machine; 0 is no limit.
	Slots int `yaml:"slots" min:"0"`
	// First host port that containers get.
	PortFrom int `yaml:"port_from" min:"1" max:"65535"`
	// Last host port that containers get.
	PortTo int `yaml:"port_to" min:"1" max:"65535"`
	// Machines that failed to start and are kept for a person to look at; the
	// others are given back.
	Quarantine int `yaml:"quarantine" min:"0"`
	// Instead of timings.booting for these machines; 0 is that.
	Booting time.Duration `yaml:"booting"`
	// Instead of timings.joining for these machines; 0 is that.
	Joining time.Duration `yaml:"joining"`
	// How long before the end of a billed quantum an emptied machine is given
	// back; until then it waits for new containers. 0 gives back at once.
	ReleaseBefore time.Duration `yaml:"release_before"`
}

// ScalerProfile says what makes a bare machine a Docker host. It is rendered
// to user-data, the same for the same profile, and its hash is known of every
// machine.
type ScalerProfile struct {
	// Profile whose settings come first. Lists are appended, texts and labels
	// replaced.
	Base string `yaml:"base"`
	// Packages to install by the machine's package manager.
	Packages []string `yaml:"packages"`
	// Files to write.
	Files []ScalerFile `yaml:"files"`
	// Commands of a shell, in order; one that fails fails the machine.
	Commands []string `yaml:"commands"`
	// Registries asked before the public one, the nearest first.
	RegistryMirrors []string `yaml:"registry_mirrors"`
	// Name servers. Clouds rewrite them after boot: they are checked and set
	// again.
	DNS []string `yaml:"dns"`
	// Time servers.
	NTP []string `yaml:"ntp"`
	// Labels of the Docker host.
	Labels map[string]string `yaml:"labels"`
	// Version of Docker that must run, such as 28.5; empty takes what is
	// there.
	DockerVersion string `yaml:"docker_version"`
	// More of the Docker daemon's daemon.json, as JSON.
	DockerOptions string `yaml:"docker_options"`
	// Images to pull before the machine counts as ready.
	Images []string `yaml:"images"`
	// Command by which a machine tells its id, as its cloud lists it; empty
	// asks cloud-init.
	IDCommand string `yaml:"id_command"`
	// Command by which a machine tells the address it is reached by; empty is
	// that of its default route. Where machines are reached by public
	// addresses they know themselves by others.
	AddressCommand string `yaml:"address_command"`
}

// ScalerFile is a file on a new machine.
type ScalerFile struct {
	// Where it is written.
	Path string `yaml:"path"`
	// What it holds.
	Content string `yaml:"content"`
	// Its permissions, in octal.
	Mode string `yaml:"mode"`
}
