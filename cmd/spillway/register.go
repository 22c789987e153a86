package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"spillway/configs"
	"spillway/internal/buildinfo"
	"spillway/upsync/consul"
)

// reachedAt is where others reach the admin server, which listens at addr.
func reachedAt(a *configs.Admin, addr net.Addr) netip.AddrPort {
	at, _ := netip.ParseAddrPort(addr.String()) // a unix socket is reached nowhere
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if ip, err := netip.ParseAddr(a.Advertise); err == nil {
		return netip.AddrPortFrom(ip, at.Port())
	}
	if other, err := netip.ParseAddrPort(a.Advertise); err == nil {
		return other
	}
	return at
}

// gatewayID names a gateway in Consul and in its signals: by where it is
// reached, so that it is the same after a restart.
func gatewayID(a *configs.Admin, addr net.Addr) string {
	if addr == nil {
		return a.RegisterAs
	}
	at := reachedAt(a, addr)
	if !at.IsValid() {
		return a.RegisterAs + "-" + addr.String()
	}
	return a.RegisterAs + "-" + at.String()
}

// registering registers the gateway in Consul, if it is to be, and keeps it so
// until stop, which removes it.
func (s *server) registering() (stop func()) {
	cfg := s.config() // a reload changes nothing of it
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { s.register(ctx, cfg); done <- nil }()
	return func() {
		cancel()
		await(done, saveLimit)
	}
}

// register keeps the gateway registered until ctx ends.
func (s *server) register(ctx context.Context, cfg *configs.Config) {
	a, addr := &cfg.Admin, s.gw.AdminAddr()
	if !a.Register || addr == nil {
		return
	}
	client, err := consul.New(consulConfig(&cfg.Consul), consul.Env{Log: s.log.Logger})
	if err != nil {
		s.log.Error("cannot register in Consul", "error", err)
		return
	}
	at := reachedAt(a, addr)
	probing, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { client.Run(probing); close(done) }()
	client.Register(ctx, consul.Service{
		ID: gatewayID(a, addr), Name: a.RegisterAs, Address: at.Addr().String(), Port: int(at.Port()),
		Meta:  map[string]string{"version": buildinfo.Get().Version},
		Check: "http://" + net.JoinHostPort(at.Addr().String(), strconv.Itoa(int(at.Port()))) + "/-/healthy",
	})
	stop()
	<-done
}
