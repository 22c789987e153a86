package main_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"spillway/upsync/devregistry"
)

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// devLister lists servers in the fault injector. Those of one group can be
// deleted in one write.
type devLister struct {
	reg   *devregistry.Registry
	group string // "" or "NAME/"
}

func (d devLister) add(addr string) { d.touch(addr, 0) }

func (d devLister) touch(addr string, n int) {
	d.reg.PutKV("up/kv/"+d.group+addr, fmt.Appendf(nil, `{"weight":1, "touched":%d}`, n))
	in := d.instance(addr)
	in.Service.Meta = map[string]string{"touched": strconv.Itoa(n)}
	d.register(in)
}

func (d devLister) node() string { return "node-" + strings.TrimSuffix(d.group, "/") }

func (d devLister) instance(addr string) devregistry.Registration {
	host, port := splitAddr(addr)
	return devregistry.Registration{
		Node: d.node(), Address: "192.0.2.1",
		Service: &devregistry.CatalogService{ID: "web-" + addr, Service: "web", Address: host, Port: port},
	}
}

func (d devLister) register(in devregistry.Registration) {
	if err := d.reg.Register(in); err != nil {
		panic("BUG: cannot register: " + err.Error())
	}
}

func (d devLister) remove(addr string) {
	d.reg.DeleteKV("up/kv/" + d.group + addr)
	d.deregister(devregistry.Deregistration{Node: d.node(), ServiceID: "web-" + addr})
}

// removeAll deletes the group: one write for the keys, one for the instances.
func (d devLister) removeAll() {
	d.reg.DeleteTree("up/kv/" + d.group)
	d.deregister(devregistry.Deregistration{Node: d.node()})
}

func (d devLister) deregister(out devregistry.Deregistration) {
	if err := d.reg.Deregister(out); err != nil {
		panic("BUG: cannot deregister: " + err.Error())
	}
}

func splitAddr(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		panic("BUG: not an address: " + addr)
	}
	return host, port
}

// dumpHolds reports whether the dump of an upstream lists every server that
// is listed from the start, and no other.
func (s *scene) dumpHolds(upstream string) bool {
	b, err := os.ReadFile(s.dir + "/" + upstream + ".conf")
	if err != nil || strings.Count(string(b), "server ") != len(s.base) {
		return false
	}
	for _, a := range s.base {
		if !strings.Contains(string(b), "server "+a+" ") {
			return false
		}
	}
	return true
}
