package engine_test

import (
	"runtime"
	"testing"

	"spillway/gateway/upstream"
)

// muteScene is a gateway before a backend that stalls and, unless alone, one
// that answers, with these requests waiting at the first.
func muteScene(t *testing.T, retry upstream.Retry, alone bool, requests ...string) (p *proxy, mute string, waiting []*wire) {
	t.Helper()
	silent, count := counted(t, func(w *wire, _ *message) { stalls(w) })
	list := specs(silent.addr)
	p = startProxy(t, withRetry(retry, silent.addr))
	for _, r := range requests {
		c := p.dial()
		c.send(r)
		waiting = append(waiting, c)
	}
	for late := deadline(); int(count.Load()) < len(requests) && !late(); {
		runtime.Gosched()
	}
	if !alone {
		list = append(list, specs(hello(t).addr)...)
		p.apply("web", list)
	}
	return p, silent.addr, waiting
}

// waits for so many requests to be with servers.
func (p *proxy) waits(n int64) {
	p.t.Helper()
	late := deadline()
	for p.inflight() != n {
		if late() {
			p.t.Fatalf("%d requests in flight, want %d", p.inflight(), n)
		}
		runtime.Gosched()
	}
}

// Requests that wait for a server that is found not to answer go elsewhere.
func TestRequestsAreTakenFromAMuteServer(t *testing.T) {
	if differs(t, "it has no probes") {
		return
	}
	retry := upstream.Retry{Tries: 3, OnTimeout: true}
	p, mute, waiting := muteScene(t, retry, false, get("/"), get("/2"), post("/", "once"))
	p.mute("web", mute)
	waiting[0].answer(200)
	waiting[1].answer(200)
	p.waits(1) // the one that may not be sent twice
	for _, w := range waiting {
		w.close()
	}
	p.settles()
}

func TestRequestsWaitOn(t *testing.T) {
	if differs(t, "it has no probes") {
		return
	}
	for name, c := range map[string]struct {
		retry upstream.Retry
		alone bool
	}{
		"with nowhere to go":          {upstream.Retry{Tries: 3, OnTimeout: true}, true},
		"if timeouts are not retried": {upstream.Retry{Tries: 3, OnError: true}, false},
		"if there is no try left":     {upstream.Retry{Tries: 1, OnTimeout: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, mute, waiting := muteScene(t, c.retry, c.alone, get("/"))
			p.mute("web", mute)
			if !c.alone {
				p.alive(200) // on each loop, behind the mailbox
			}
			p.waits(1)
			waiting[0].close()
			p.settles()
		})
	}
}
