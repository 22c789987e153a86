package cloudtest

import (
	"spillway/scaler/cloud"
)

// lived: a machine from boot to end.
var lived = []test{
	{"boots and gets an address", boots},
	{"is listed in time", listedInTime},
	{"stops and starts", stopsAndStarts},
	{"is deleted until it is not found", deleted},
	{"deletes the one that was meant", deletesOne},
}

// running waits until a machine runs and can be reached.
func (e *env) running(id string) cloud.Machine {
	e.Helper()
	var m cloud.Machine
	e.within(e.setup.Boot, "running with an address: "+id, func() bool {
		m, _ = e.find(id)
		if m.State == cloud.Failed {
			e.Fatalf("machine %s failed: %s", id, m.Reason)
		}
		return m.State == cloud.Running && m.Address != ""
	})
	return m
}

func boots(e *env) {
	addresses := map[string]string{}
	for _, made := range e.buy(e.batch()) {
		m := e.running(made.ID)
		if other, taken := addresses[m.Address]; taken {
			e.Errorf("machines %s and %s have one address, %s", m.ID, other, m.Address)
		}
		addresses[m.Address] = m.ID
		if m.Created.IsZero() {
			e.Errorf("machine %s does not say when it was made", m.ID)
		}
	}
}

func listedInTime(e *env) {
	r := e.request(1)
	made := e.create(e.d, r)
	e.pass(e.can.ListLag)
	if _, ok := e.find(made[0].ID); !ok {
		e.Errorf("a machine is not listed after ListLag, %v", e.can.ListLag)
	}
	e.gone(made[0].ID)
	e.pass(e.can.ListLag)
	if m, ok := e.find(made[0].ID); ok && m.State != cloud.Deleting {
		e.Errorf("a machine that is gone is still listed as %s after ListLag, %v", m.State, e.can.ListLag)
	}
}

func stopsAndStarts(e *env) {
	s, ok := e.d.(cloud.Stopper)
	if !ok {
		return
	}
	made := e.buy(1)
	id := made[0].ID
	e.running(id)
	for range 2 { // again is no error
		if err := s.Stop(e.ctx, id); err != nil {
			e.Fatalf("Stop: %v", err)
		}
	}
	e.within(e.setup.End, "stopped", func() bool {
		m, _ := e.find(id)
		return m.State == cloud.Stopped
	})
	e.within(e.setup.Boot, "taken to start", func() bool { return s.Start(e.ctx, id) == nil })
	e.pass(e.can.ListLag)
	m := e.running(id)
	if !m.HasTags(made[0].Tags) {
		e.Errorf("after stop and start it has tags %v, want %v", m.Tags, made[0].Tags)
	}
	if err := s.Start(e.ctx, id); err != nil {
		e.Errorf("Start of a machine that runs: %v", err)
	}
}

func deleted(e *env) {
	made := e.buy(1)
	id := made[0].ID
	if err := e.raw.Delete(e.ctx, id); err != nil {
		e.Fatalf("Delete: %v", err)
	}
	e.gone(id)
	e.wantKind("Delete of a machine that is gone", e.raw.Delete(e.ctx, id), cloud.NotFound)
	e.pass(e.can.ListLag)
	if _, ok := e.find(id); ok {
		e.Error("a machine that is NotFound is still listed after ListLag")
	}
}

func deletesOne(e *env) {
	first, second := e.buy(1), e.buy(1)
	e.gone(first[0].ID)
	e.pass(e.can.ListLag)
	if _, ok := e.find(second[0].ID); !ok {
		e.Error("another machine went too")
	}
}
