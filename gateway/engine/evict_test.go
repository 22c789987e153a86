package engine_test

import (
	"io"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// tunnelled is a gateway with one tunnel to one server.
func tunnelled(t *testing.T, limit time.Duration) (p *proxy, b *backend, c *wire) {
	t.Helper()
	b = newBackend(t, func(w *wire) {
		upgraded(w)
		w.send(switching)
		for ping := make([]byte, 4); ; {
			if _, err := io.ReadFull(w.r, ping); err != nil {
				return
			}
			w.send("pong")
		}
	}, always(ok("")))
	cfg := poolConfig{Specs: specs(b.addr)}
	cfg.Settings.DrainTimeout = limit
	p = startProxy(t, proxyConfig{Loops: 1, Pools: map[string]poolConfig{"web": cfg}})
	c = p.dial()
	c.send(upgrade("/"))
	c.answer(101)
	c.send("ping")
	c.expect("pong")
	return p, b, c
}

func TestTunnelsToAServerThatIsDrainedEnd(t *testing.T) {
	if differs(t, "it knows no drain") {
		return
	}
	for name, next := range map[string]func(b *backend) []upstream.Spec{
		"down":    func(b *backend) []upstream.Spec { s := specs(b.addr); s[0].Down = true; return s },
		"removed": func(*backend) []upstream.Spec { return specs(newBackend(t, always(ok(""))).addr) },
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 200 * time.Millisecond
			p, b, c := tunnelled(t, limit)
			began := time.Now()
			p.apply("web", next(b))
			c.send("ping") // it goes on meanwhile
			c.expect("pong")
			c.gone()
			if took := time.Since(began); took < limit {
				t.Errorf("ended after %v, before its time", took)
			}
			for deadline := time.Now().Add(patience); p.inflight() != 0; {
				if time.Now().After(deadline) {
					t.Fatal("the server is still charged with it")
				}
			}
		})
	}
}

func TestTunnelsStayWhenTheServerIsBackInTime(t *testing.T) {
	if differs(t, "it knows no drain") {
		return
	}
	const limit = 150 * time.Millisecond
	p, b, c := tunnelled(t, limit)
	down := specs(b.addr)
	down[0].Down = true
	p.apply("web", down)
	p.apply("web", specs(b.addr))
	for end := time.Now().Add(2 * limit); time.Now().Before(end); {
		c.send("ping")
		c.expect("pong")
	}
}

func TestTunnelsOutliveADrainWithoutALimit(t *testing.T) {
	if differs(t, "it knows no drain") {
		return
	}
	p, b, c := tunnelled(t, 0)
	down := specs(b.addr)
	down[0].Down = true
	p.apply("web", down)
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		c.send("ping")
		c.expect("pong")
	}
}

// A connection that served its last request at a drained server is not kept.
func TestConnectionsOfADrainedServerAreNotKept(t *testing.T) {
	if differs(t, "it keeps them until they time out") {
		return
	}
	asked, release := make(chan struct{}), make(chan struct{})
	b := newBackend(t, func(w *wire) {
		w.request()
		close(asked)
		<-release
		w.send(ok("late"))
		w.end() // the gateway closes it
	})
	p := startProxy(t, proxyConfig{Loops: 1, Pools: map[string]poolConfig{"web": {Specs: specs(b.addr)}}})
	c := p.dial()
	c.send(get("/"))
	<-asked
	down := specs(b.addr)
	down[0].Down = true
	p.apply("web", down)
	close(release)
	c.answer(200)
	b.drained()
}
