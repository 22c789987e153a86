package configs

import "time"

// Scaler is the whole configuration of `spillway scaler`. Get one from
// LoadScaler; DefaultScaler is the one of an empty file.
type Scaler struct {
	// Name of this installation. It is put on every machine, container and
	// registration, and nothing without it is ever touched. Two scalers of one
	// cluster elect a leader; changing it disowns everything that runs.
	Cluster string `yaml:"cluster"`
	// Decide, plan and log, but change nothing: clouds, engines and Consul
	// refuse every write. For trying a policy on real traffic.
	DryRun bool `yaml:"dry_run"`
	// Directory for what this process keeps: the certificate authority if none
	// is given, the audit log, the machines of the local driver.
	StateDir string `yaml:"state_dir"`
	// The application log.
	Log Log `yaml:"log"`
	// The scaler's own HTTP API, which `spillway ctl` uses.
	API ScalerAPI `yaml:"api"`
	// Where new machines report to and get their certificates.
	Join ScalerJoin `yaml:"join"`
	// How to reach Consul: the ledger, the leader's lock and the registry of
	// services are there.
	Consul ScalerConsul `yaml:"consul"`
	// The gateways whose traffic is watched.
	Gateways ScalerGateways `yaml:"gateways"`
	// A Prometheus server, for apps with signal: prometheus.
	Prometheus ScalerPrometheus `yaml:"prometheus"`
	// What everything together may cost. Each app has limits of its own beside.
	Money ScalerMoney `yaml:"money"`
	// Deadlines and periods of the machinery. The defaults suit clouds.
	Timings ScalerTimings `yaml:"timings"`
	// Whoever rents or owns machines, by name. The name is the machines' label
	// idc.
	Providers map[string]ScalerProvider `yaml:"providers"`
	// What makes a bare machine a Docker host, by name.
	Profiles map[string]ScalerProfile `yaml:"profiles"`
	// Pools of machines by name.
	Machines map[string]ScalerMachines `yaml:"machines"`
	// What is scaled, by name.
	Apps map[string]ScalerApp `yaml:"apps"`

	book
}

// ScalerAPI is the scaler's own HTTP server.
type ScalerAPI struct {
	// Address it listens on: IP:port, [IPv6]:port, :port or unix:/path; empty or
	// off disables it.
	Listen string `yaml:"listen"`
	// Bearer token that requests which change something must carry. Without a
	// token nothing can be changed.
	Token Secret `yaml:"token"`
	// File that holds the token, read again when it changes. Instead of token.
	TokenFile string `yaml:"token_file"`
	// Bearer token for reading; token does as well. Without either, reading is
	// open to the scaler's own machine and closed to others.
	ReadToken Secret `yaml:"read_token"`
	// URL at which the other scalers' clients reach this one: a scaler that
	// does not lead redirects there. Empty is http:// and the listening
	// address.
	Advertise string `yaml:"advertise"`
}

// ScalerJoin is the server that new machines phone home to.
type ScalerJoin struct {
	// Address it listens on; empty or off disables it, and only machines that
	// are Docker hosts already can be used.
	Listen string `yaml:"listen"`
	// URL at which machines reach it, such as https://10.0.0.5:9912. Machines of
	// the local driver know this host as spillway-host. Empty is https:// and the
	// listening address.
	Advertise string `yaml:"advertise"`
	// Certificate authority (PEM) that signs the machines' certificates, so
	// that only this scaler can use their engines. Empty makes one in
	// state_dir; several scalers need the same one.
	CAFile string `yaml:"ca_file"`
	// Key of the authority (PEM).
	CAKeyFile string `yaml:"ca_key_file"`
	// How long the one-time token of an order admits its machines. Shorter is
	// safer, and machines that boot longer are lost.
	TokenTTL time.Duration `yaml:"token_ttl" min:"1m" max:"24h"`
	// How long a machine's certificate is valid.
	CertificateTTL time.Duration `yaml:"certificate_ttl" min:"1h"`
}

// ScalerConsul says how the scaler reaches Consul.
type ScalerConsul struct {
	// Address of the agent: host:port, http://host:port, https://host:port or
	// unix:///path. It should be the agent that runs the instances' checks.
	// Below the file, CONSUL_HTTP_ADDR sets it.
	Address string `yaml:"address"`
	// http or https for an address that does not say; empty means https when a
	// key of consul.tls is set, and http otherwise. Below the file,
	// CONSUL_HTTP_SSL=true sets https.
	Scheme string `yaml:"scheme" enum:",http,https"`
	// ACL token, sent as X-Consul-Token. Below the file, CONSUL_HTTP_TOKEN sets
	// it.
	Token Secret `yaml:"token"`
	// File that holds the token, read again when it changes. Instead of token.
	// Below the file, CONSUL_HTTP_TOKEN_FILE sets it.
	TokenFile string `yaml:"token_file"`
	// Datacenter to ask; empty is the agent's own.
	Datacenter string `yaml:"datacenter"`
	// Namespace (Consul Enterprise). Below the file, CONSUL_NAMESPACE sets it.
	Namespace string `yaml:"namespace"`
	// Admin partition (Consul Enterprise). Below the file, CONSUL_PARTITION
	// sets it.
	Partition string `yaml:"partition"`
	// Prefix of the keys that hold the ledger. What is below it belongs to the
	// scaler. {cluster} stands for the cluster's name.
	Prefix string `yaml:"prefix"`
	// Life of the leader's session without renewal. Consul takes 10s to 24h and
	// may let it live twice as long; another scaler takes over after that and
	// lock_delay.
	SessionTTL time.Duration `yaml:"session_ttl" min:"10s" max:"24h"`
	// Time after a lost session in which nobody can lead, so that the last
	// leader's calls end. Shorter takes over sooner.
	LockDelay time.Duration `yaml:"lock_delay" max:"1m"`
	// TLS to Consul.
	TLS TLS `yaml:"tls"`
}

// ScalerGateways says which gateways are watched.
type ScalerGateways struct {
	// Service in Consul as which gateways register themselves
	// (admin.register_as of the gateway).
	Service string `yaml:"service"`
	// Bearer token sent to the gateways: reading may need it, and announcing
	// ordered capacity does.
	Token Secret `yaml:"token"`
	// File that holds the token, read again when it changes. Instead of token.
	TokenFile string `yaml:"token_file"`
	// Time between two readings of every gateway.
	Interval time.Duration `yaml:"interval" min:"100ms" max:"30s"`
	// Time in which a gateway must answer. A gateway that does not answer
	// lowers the coverage, and nothing is scaled in until it does.
	Timeout time.Duration `yaml:"timeout" min:"50ms" max:"30s"`
	// Most gateways that are read at the same time.
	Parallel int `yaml:"parallel" min:"1" max:"1024"`
}

// ScalerPrometheus is a second source of signals.
type ScalerPrometheus struct {
	// URL of the server, such as http://127.0.0.1:9090; empty is none.
	URL string `yaml:"url"`
	// Bearer token sent to it.
	Token Secret `yaml:"token"`
	// File that holds the token, read again when it changes. Instead of token.
	TokenFile string `yaml:"token_file"`
	// Time between two queries.
	Interval time.Duration `yaml:"interval" min:"1s" max:"5m"`
	// Time in which all queries of a round must be answered.
	Timeout time.Duration `yaml:"timeout" min:"50ms" max:"1m"`
}

// ScalerMoney bounds what is bought, in the currency of the offerings' prices.
// It never ends what runs: at the limit nothing more is bought.
type ScalerMoney struct {
	// Most money an hour for everything that runs; 0 is no limit.
	PerHour float64 `yaml:"per_hour" min:"0"`
	// Most money a day (UTC); 0 is no limit.
	PerDay float64 `yaml:"per_day" min:"0"`
}

// ScalerTimings are the deadlines and periods of the machinery. What passes a
// deadline has an outcome: it is tried again, replaced, or set aside.
type ScalerTimings struct {
	// Time between two rounds of looking, deciding and acting.
	Tick time.Duration `yaml:"tick" min:"50ms" max:"1m"`
	// Time between two listings of a provider's machines. Shorter notices
	// lost machines sooner and uses up the provider's request limit.
	List time.Duration `yaml:"list" min:"100ms" max:"10m"`
	// Time for one call to a provider; after it the call's outcome is in doubt
	// and settled by listing.
	Call time.Duration `yaml:"call" min:"100ms" max:"10m"`
	// Time for one call to a Docker Engine, pulling images excepted.
	EngineCall time.Duration `yaml:"engine_call" min:"100ms" max:"10m"`
	// Time from an order to the machine running with an address.
	Booting time.Duration `yaml:"booting" min:"1s"`
	// Time from running to settled: init has done its work.
	Joining time.Duration `yaml:"joining" min:"1s"`
	// Time from settled to ready: the engine answers and images are there.
	Preparing time.Duration `yaml:"preparing" min:"1s"`
	// Time to start a machine that was kept stopped.
	Waking time.Duration `yaml:"waking" min:"1s"`
	// Time to pull an image and start a container.
	Starting time.Duration `yaml:"starting" min:"1s"`
	// Time to register an instance.
	Registering time.Duration `yaml:"registering" min:"1s"`
	// Time until an instance's check passes.
	Checking time.Duration `yaml:"checking" min:"1s"`
	// Time to stop and remove a container, beside its own grace.
	Stopping time.Duration `yaml:"stopping" min:"1s"`
	// Time after which a machine that will not go away is reported.
	Deleting time.Duration `yaml:"deleting" min:"1s"`
	// First and longest pause between repetitions of something that failed.
	RetryMin time.Duration `yaml:"retry_min" min:"10ms"`
	// Longest pause between repetitions of something that failed.
	RetryMax time.Duration `yaml:"retry_max" min:"10ms"`
	// Pause before an offering that was sold out or beyond the quota is tried
	// again; it doubles up to offering_backoff_max.
	OfferingBackoff time.Duration `yaml:"offering_backoff" min:"10ms"`
	// Longest pause before an offering is tried again.
	OfferingBackoffMax time.Duration `yaml:"offering_backoff_max" min:"10ms"`
	// Time without a good answer after which an engine counts as dead.
	EngineDead time.Duration `yaml:"engine_dead" min:"1s"`
	// Time after which a machine that hears nothing of its scaler and has
	// carried no request ends itself. Machines with traffic never do.
	Lease time.Duration `yaml:"lease" min:"1m"`
	// Most machines without an owner that are removed in a minute. 0 removes
	// none and only reports them.
	Sweep int `yaml:"sweep" min:"0"`
}
