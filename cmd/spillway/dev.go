package main

import (
	"context"
	"fmt"
	"net"

	"spillway/configs"
	"spillway/upsync/devregistry"
)

// Where dev listens unless a flag says otherwise or the port is taken.
const (
	devListen   = "127.0.0.1:8080"
	devAdmin    = "127.0.0.1:9901"
	devRegistry = "127.0.0.1:8500"
	devBackends = 9001 // the first port of the backends
)

// devRegistered backends are in the registry from the start; one more waits
// to be added.
const devRegistered = 3

// devEnv is what `spillway dev` runs beside the gateway: a development
// registry, backends, and a small load that shows where requests go.
type devEnv struct {
	t        *terminal
	registry *devregistry.Registry
	consul   *devregistry.Server
	backends []*backend
	show     *display
	listen   string
	admin    string
}

// dev tries everything out on one machine.
func (t *terminal) dev(args []string) int {
	fs := t.newFlags("dev")
	listen := fs.String("listen", "", "`ADDRESS` of the gateway (default "+devListen+", or a free port)")
	admin := fs.String("admin", "", "`ADDRESS` of the administrative server (default "+devAdmin+", or a free port)")
	registry := fs.String("registry", "", "`ADDRESS` of the development registry (default "+devRegistry+", or a free port)")
	rate := fs.Int("rate", 20, "requests a second of the load that shows where traffic goes, at most 1000; 0 is none")
	loops := fs.Int("loops", 0, "number of event loops, 0: one for each CPU")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	if *rate < 0 || *rate > 1000 {
		return t.misuse("dev: --rate is %d, allowed: 0 to 1000", *rate)
	}
	signals, stop := watchSignals()
	defer stop()
	d := &devEnv{t: t, show: newDisplay(t.out)}
	defer d.close()
	if err := d.start(*listen, *admin, *registry); err != nil {
		return t.failDev(err)
	}
	s, err := d.server(*loops)
	if err != nil {
		return t.failDev(err)
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	s.started = func(addrs []net.Addr) {
		d.instructions(addrs[0].String(), s.gw.AdminAddr().String())
		go d.show.run(ctx)
		if *rate > 0 {
			go d.load(ctx, addrs[0].String(), *rate)
		}
	}
	return s.run(signals)
}

func (t *terminal) failDev(err error) int {
	fmt.Fprintln(t.err, "spillway dev:", err)
	return exitFailure
}

// start opens the registry and the backends, and finds the gateway's ports.
func (d *devEnv) start(listen, admin, registry string) error {
	log := newLogger(d.t.err, &configs.Log{Level: "warn", Format: "auto"})
	slogDefault(log)
	d.registry = devregistry.New(devregistry.Options{Logger: log.Logger})
	var err error
	if d.consul, err = d.registry.Start(portOrFree(registry, devRegistry)); err != nil {
		return err
	}
	for i := range devRegistered + 1 {
		b, err := startBackend(fmt.Sprintf("backend-%d", i+1), portOrFree("", fmt.Sprintf("127.0.0.1:%d", devBackends+i)))
		if err != nil {
			return err
		}
		d.backends = append(d.backends, b)
		d.show.name(b.addr, b.name)
		if i < devRegistered {
			d.registry.PutKV("upstreams/web/"+b.addr, []byte(`{"weight":1}`))
		}
	}
	d.listen, d.admin = portOrFree(listen, devListen), portOrFree(admin, devAdmin)
	return nil
}

// portOrFree is the address asked for; without one it is usual, or a free
// port beside it if that is taken.
func portOrFree(asked, usual string) string {
	if asked != "" {
		return asked
	}
	if ln, err := net.Listen("tcp", usual); err == nil {
		ln.Close()
		return usual
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return usual // whose error will be told
	}
	defer ln.Close()
	return ln.Addr().String()
}

// server is a gateway as `spillway gateway` runs it.
func (d *devEnv) server(loops int) (*server, error) {
	text := fmt.Sprintf(`gateway: {listen: %q, loops: %d, shutdown_timeout: 2s}
admin: {listen: %q}
log: {level: warn}
consul: {address: %q}
upstreams:
  web: {source: consul-kv, key: upstreams/web/}
routes:
  - upstream: web
`, d.listen, loops, d.admin, d.consul.Addr())
	load := func() (*configs.Config, error) {
		return configs.Load(configs.Source{Path: "dev.yaml", Data: []byte(text)})
	}
	cfg, err := load()
	if err != nil {
		return nil, err
	}
	return newServer(cfg, load, newLogger(d.t.err, &cfg.Log), d.show.live)
}

// instructions prints what there is and what to try.
func (d *devEnv) instructions(listen, admin string) {
	kv := d.consul.URL() + "/v1/kv/upstreams/web/"
	w := d.t.out
	fmt.Fprintf(w, "Spillway, to try it out. The registry is a development registry: in memory, for this\nmachine, gone when this ends. Production uses Consul; the requests below are Consul's.\n\n")
	fmt.Fprintf(w, "  gateway    http://%s\n  admin      http://%s\n  registry   %s\n", listen, admin, d.consul.URL())
	for i, b := range d.backends {
		note := ""
		if i >= devRegistered {
			note = "   (running, not registered: the one to add)"
		}
		fmt.Fprintf(w, "  %s  %s%s\n", b.name, b.addr, note)
	}
	fmt.Fprintf(w, "\nIn another terminal:\n\n")
	line := func(about, format string, args ...any) {
		fmt.Fprintf(w, "  # %s\n  curl -sS %s\n", about, fmt.Sprintf(format, args...))
	}
	line("a request", "http://%s/", listen)
	line("add "+d.backends[3].name, "-X PUT -d '{\"weight\":1}' %s%s", kv, d.backends[3].addr)
	line("weigh "+d.backends[0].name+": five times the requests", "-X PUT -d '{\"weight\":5}' %s%s", kv, d.backends[0].addr)
	line("drain "+d.backends[1].name+": no new requests", "-X PUT -d '{\"down\":1}' %s%s", kv, d.backends[1].addr)
	line("remove "+d.backends[2].name, "-X DELETE %s%s", kv, d.backends[2].addr)
	line("see them", "'http://%s/upstream_show?web'", admin)
	fmt.Fprintf(w, "\nWhat changes is shown here. ^C ends everything.\n\n")
}

// close ends what start began.
func (d *devEnv) close() {
	for _, b := range d.backends {
		b.close()
	}
	if d.consul != nil {
		d.consul.Close()
	}
	if d.registry != nil {
		d.registry.Close()
	}
}
