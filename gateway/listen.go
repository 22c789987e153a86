package gateway

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// listen opens the addresses that are not open yet and returns those it
// opened, also with an error; mu is held.
func (g *Gateway) listen(want []string) (opened []string, err error) {
	for _, addr := range want {
		if g.addrs[addr] != nil {
			continue
		}
		at, err := g.openListener(addr)
		if err != nil {
			return opened, err
		}
		g.addrs[addr] = at
		opened = append(opened, addr)
		g.log.Info("listening", "address", at.String())
	}
	return opened, nil
}

// openListener takes an inherited socket if there is one for the address.
func (g *Gateway) openListener(addr string) (net.Addr, error) {
	f := g.opt.Sockets[addr]
	if f == nil {
		return g.engine.Listen(addr)
	}
	ln, err := net.FileListener(f) // a copy of the descriptor, for its address
	if err != nil {
		return nil, fmt.Errorf("cannot use inherited socket for %q: %w", addr, err)
	}
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	delete(g.opt.Sockets, addr)
	return ln.Addr(), g.engine.ListenFile(addr, f)
}

// unlisten stops accepting on an address; mu is held.
func (g *Gateway) unlisten(addr string) {
	delete(g.addrs, addr)
	g.engine.Unlisten(addr)
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			g.log.Warn("cannot remove socket", "path", path, "error", err)
		}
	}
}

// unlistenOthers closes the listeners that are not in want; mu is held.
func (g *Gateway) unlistenOthers(want []string) {
	for addr, at := range g.addrs {
		if !slices.Contains(want, addr) {
			g.unlisten(addr)
			g.log.Info("no longer listening", "address", at.String())
		}
	}
}

// listenAddrs are the open addresses in the order of the settings.
func (g *Gateway) listenAddrs() []net.Addr {
	var addrs []net.Addr
	for _, addr := range g.settings.Listen {
		if at := g.addrs[addr]; at != nil {
			addrs = append(addrs, at)
		}
	}
	return addrs
}
