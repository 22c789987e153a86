package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

// slowed is a bound on work, not on waiting: the race detector makes work an
// order of magnitude dearer.
func slowed(d time.Duration) time.Duration {
	if raceDetector {
		return 12 * d
	}
	return d
}

// rowCrowd: ten thousand instances are read in bounded time and memory, and
// then followed at the pace the budget for decoding allows.
func rowCrowd(t *testing.T, l *lab) {
	s := newScene(t, l)
	const many = 10000
	crowd := devLister{s.reg, "crowd/"}
	for i := range many { // down, so that nobody asks them
		addr := fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255)
		s.reg.PutKV("up/kv/crowd/"+addr, []byte(`{"down":1}`))
		in := crowd.instance(addr)
		in.Service.Tags = []string{"down"}
		crowd.register(in)
	}
	start := time.Now()
	s.startGateway()
	for _, u := range sources() {
		await(t, 30*time.Second, "ten thousand instances of "+u, func() bool {
			return s.serverCount(u) == many+len(s.base)
		})
	}
	if d := time.Since(start); d > slowed(3*time.Second) {
		t.Errorf("%d instances took %v", many, d)
	}
	s.traffic = startTraffic(t, s.ip+":8080", false, sources()...)
	s.keepsServing(0)
	more := s.fleet.add()
	start = time.Now()
	s.list(more)
	s.arrives(more, start, debtLimit, "with ten thousand instances")
	s.flawless()
	if rss := s.residentBytes(); rss > 1<<30 {
		t.Errorf("%d MiB resident", rss>>20)
	}
	s.note(13, "10,000 instances", "live", "-", paced)
}

// paced is how soon a watch follows whose answers are so large that decoding
// them is rationed.
const paced = "paced: decoding takes 5 % of a core at most"

// debtLimit is how long a watch may be deaf after an answer that took long to
// decode, and a little.
const debtLimit = 12 * time.Second

// rowHuge: answers of many megabytes are refused or survive, in bounded
// memory.
func rowHuge(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	for _, v := range []struct {
		name, kv, says string
		size           int64
	}{
		{"20 MB of keys whose values are junk", "verdict refused", "empty", 20 << 20},
		{"answer above 64 MiB", "error too_large", "larger than", 66 << 20},
	} {
		s.play(episode{
			row: 13, name: v.name, says: v.says, served: lastKnown, limit: debtLimit, within: paced,
			inject: func(s *scene) {
				s.reg.SetFault(devregistry.OnPath("/v1/kv/", devregistry.Always(devregistry.HugeKV("up/kv/", v.size))))
			},
			seen: map[string]string{"kv": v.kv},
		})
	}
	if rss := s.residentBytes(); rss > 1<<30 {
		t.Errorf("%d MiB resident after all that", rss>>20)
	}
}

// serverCount is how many servers an upstream has, without listing them.
func (s *scene) serverCount(upstream string) int {
	var list struct {
		Upstreams []struct {
			Servers int `json:"servers"`
		} `json:"upstreams"`
	}
	if err := json.Unmarshal([]byte(s.text("/api/v1/upstreams?filter="+upstream)), &list); err != nil || len(list.Upstreams) == 0 {
		return 0
	}
	return list.Upstreams[0].Servers
}

func (s *scene) residentBytes() int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.gateway.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		s.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// rowOddEntries: what cannot be used is left out, the rest serves.
func rowOddEntries(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	v6, twin, viaNode := s.fleet.addOn("[::1]:0"), s.fleet.add(), s.fleet.add()
	for key, value := range map[string]string{
		"":                            "",
		"10.0.0.1:0":                  "",
		"10.0.0.1:65536":              "",
		"10.0.0.1":                    "",
		"ünïcödé-✓:80":                "",
		"[2001:db8::zz]:80":           "",
		"10.0.0.2:80":                 "{nonsense",
		"a/b/c/d/e/" + twin:           "",
		"deep/er/" + twin:             `{"weight":9}`,
		v6:                            `{"weight":2}`,
		viaNode:                       "",
		strings.Repeat("long/", 60):   "",
		"\x01control:80":              "",
		"10.0.0.3:80\n10.0.0.4:80":    "",
		"10.0.0.5:80/" + "10.0.0.6:x": "",
	} {
		s.reg.PutKV("up/kv/"+key, []byte(value))
	}
	d := devLister{s.reg, "odd/"}
	odd := func(id, node, address string, port int) {
		d.register(devregistry.Registration{Node: id, Address: node, Service: &devregistry.CatalogService{ID: id, Service: "web", Address: address, Port: port}})
	}
	odd("port-0", "192.0.2.1", "10.0.0.1", 0)
	odd("port-65536", "192.0.2.1", "10.0.0.1", 65536)
	odd("unicode", "192.0.2.1", "ünïcödé", 80)
	_, port := splitAddr(twin)
	odd("twin-1", "192.0.2.1", "127.0.0.1", port)
	odd("twin-2", "192.0.2.1", "127.0.0.1", port)
	_, port = splitAddr(v6)
	odd("ipv6", "192.0.2.1", net.IPv6loopback.String(), port)
	_, port = splitAddr(viaNode)
	odd("no-address", "127.0.0.1", "", port)
	s.serves(append(slices.Clone(s.base), v6, twin, viaNode)...)
	start := time.Now()
	for _, a := range []string{v6, twin, viaNode} {
		s.arrives(a, start, backoffLimit, "among odd entries")
	}
	s.keepsServing(0)
	s.converges(time.Second, "among odd entries")
	s.note(13, "ports 0 and 65536, Unicode, control characters, no JSON, deep keys, duplicate ids, IPv6, node address for an empty one",
		"live: what can be used", "-", "≤ 1 s")
}

// rowFlapping: a hundred changes a second are coalesced, and cost the servers
// that stay nothing.
func rowFlapping(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	flapping := s.fleet.add()
	s.list(flapping)
	s.arrives(flapping, time.Now(), time.Second, "before the flapping")
	before := map[string]int{}
	for _, a := range s.base {
		before[a], _ = s.fleet.connections(a)
	}
	mark := s.mark(&episode{})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 200 {
		<-tick.C
		if i%2 == 0 {
			s.lister.remove(flapping)
		} else {
			s.lister.add(flapping)
		}
	}
	s.noHotLoop(mark)
	s.keepsServing(0)
	for _, a := range s.base {
		// Three clients on two loops can need this many at once, of each
		// upstream; churn would open hundreds.
		if now, _ := s.fleet.connections(a); now-before[a] > 12 {
			t.Errorf("%d connections were opened to %s, which stayed", now-before[a], a)
		}
	}
	s.lister.remove(flapping)
	s.leaves(flapping)
	s.converges(time.Second, "after the flapping")
	s.note(14, "100 changes a second for 2 s", "live: coalesced, connections to servers that stay survive", "-", "≤ 1 s")
}

// rowManyServices: 6,500 upstreams with 45,000 servers idle for next to
// nothing.
func rowManyServices(t *testing.T, l *lab) {
	s := newScene(t, l)
	const upstreams, each = 6500, 7
	for i := range upstreams {
		for j := range each {
			s.reg.PutKV(fmt.Sprintf("many/m%04d/10.%d.%d.%d:80", i, j, i>>8, i&255), nil)
		}
	}
	s.extra = "  many: {source: consul-kv, key: many/*}\n"
	s.startGateway()
	await(t, 60*time.Second, "6,500 upstreams are found", func() bool {
		return strings.Contains(s.text("/api/v1/upstreams?limit=1"), fmt.Sprintf(`"total": %d`, upstreams+3))
	})
	s.traffic = startTraffic(t, s.ip+":8080", false, sources()...)
	s.serves(s.base...)
	s.settled()
	s.idles()
	asked, start := s.reg.Count("/v1/kv/"), time.Now()
	s.reg.PutKV("many/m4711/10.99.99.99:80", nil)
	await(t, 20*time.Second, "one change of one upstream", func() bool {
		v := s.view("m4711")
		return slices.Contains(v.addresses(), "10.99.99.99:80")
	})
	if d := time.Since(start); d > slowed(1500*time.Millisecond) {
		t.Errorf("one change among 45,500 servers took %v", d)
	}
	if n := s.reg.Count("/v1/kv/") - asked; n > 2 {
		t.Errorf("%d reads for one change, want the next one only", n)
	}
	s.converges(time.Second, "beside 6,500 upstreams")
	s.note(16, "6,500 upstreams with 45,500 servers: one read a change, idle CPU bounded", "live", "-", "≤ 1 s")
}

// idles waits until the gateway, without traffic, uses next to nothing for two
// seconds; what it read at the start may have to be looked at once more.
func (s *scene) idles() {
	s.t.Helper()
	defer s.traffic.pause()()
	most := 0.01
	if raceDetector {
		most = 0.05 // the detector makes everything several times dearer
	}
	await(s.t, 30*time.Second, "the gateway idles", func() bool {
		cpu, start := s.cpuTime(), time.Now()
		<-time.After(2 * time.Second)
		return (s.cpuTime() - cpu).Seconds() <= most*time.Since(start).Seconds()
	})
}

// cpuTime is what the gateway used so far, user and system.
func (s *scene) cpuTime() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.gateway.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	user, _ := strconv.Atoi(string(f[11]))
	system, _ := strconv.Atoi(string(f[12]))
	return time.Duration(user+system) * 10 * time.Millisecond
}
