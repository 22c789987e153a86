package leader

import (
	"errors"
	"testing"
	"time"

	"spillway/scaler/ledger"
)

func TestLeaseEndsBeforeTheSessionCan(t *testing.T) {
	asked := time.Now()
	fence := ledger.Fence{Key: "k", Session: "s", Index: 1}
	held := lease{fence: fence}.renewed(asked, 10*time.Second, 2*time.Second)
	suspended := asked.Round(0).Add(9 * time.Second) // only the wall clock went on
	for _, c := range []struct {
		name  string
		lease lease
		now   time.Time
		want  bool
	}{
		{"never held", lease{}, asked, false},
		{"never held, renewed", lease{}.renewed(asked, 10*time.Second, 0), asked, false},
		{"held, not renewed", lease{fence: fence}, asked, false},
		{"just renewed", held, asked, true},
		{"shortly before", held, asked.Add(7999 * time.Millisecond), true},
		{"TTL less margin", held, asked.Add(8 * time.Second), false},
		{"by the wall clock alone", held, suspended, false},
		{"renewed again", held.renewed(asked.Add(5*time.Second), 10*time.Second, 2*time.Second), asked.Add(12 * time.Second), true},
	} {
		if got := c.lease.leads(c.now); got != c.want {
			t.Errorf("%s: leads %v", c.name, got)
		}
	}
}

func TestNewConsulRefusesWhatCannotWork(t *testing.T) {
	client, err := ledger.ConsulConfig{}.Client()
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{}, {Key: "k", TTL: 10 * time.Second, Margin: 5 * time.Second}} {
		if _, err := NewConsul(client, cfg); err == nil {
			t.Errorf("took %+v", cfg)
		}
	}
	if _, err := NewConsul(client, Config{Key: "k"}); err != nil {
		t.Error(err)
	}
}

func TestElectionInMemory(t *testing.T) {
	store := ledger.NewMemory()
	m := NewMemory(store)
	a, b := m.Candidate("a"), m.Candidate("b")
	now := time.Unix(1, 0)
	write := func(c *Candidate) error {
		_, err := store.Commit(t.Context(), c.State().Fence, []ledger.Op{{Key: now.String(), Value: []byte(c.address)}})
		now = now.Add(time.Second)
		return err
	}
	if err := write(a); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("written without a leader: %v", err)
	}
	m.Elect(a, now)
	if err := errors.Join(write(a), a.Verify(t.Context())); err != nil {
		t.Error(err)
	}
	if s := b.State(); s.Leading || s.Leader != "a" {
		t.Errorf("follower: %+v", s)
	}
	m.Elect(b, now)
	if !a.State().Leading || !b.State().Leading {
		t.Error("two leaders were asked for")
	}
	if err := write(a); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the old leader wrote: %v", err)
	}
	if err := a.Verify(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the old leader verifies: %v", err)
	}
	if err := write(b); err != nil {
		t.Error(err)
	}
	a.Notice(now)
	if s := a.State(); s.Leading || s.Leader != "b" {
		t.Errorf("after notice: %+v", s)
	}
}

func TestAlwaysLeads(t *testing.T) {
	a := Always{Address: "here"}
	store := ledger.NewMemory()
	fence, ok := a.Fence()
	if s := a.State(); !ok || !s.Leading || s.Leader != "here" {
		t.Errorf("%+v", s)
	}
	if _, err := store.Commit(t.Context(), fence, []ledger.Op{{Key: "x"}}); err != nil {
		t.Error(err)
	}
	if err := a.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
