package docker

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// An engine that is stopped in its tracks takes connections and never
// answers. Its own callers fail within bounded time; another engine's callers
// do not notice.
func TestFrozenEngineDelaysNobodyElse(t *testing.T) {
	patient, good := world(t)
	m := useMachine(t, "two")
	m.alone(t)
	bad := m.engine()
	x := New(Options{Call: 500 * time.Millisecond, Ping: 300 * time.Millisecond, Wait: 100 * time.Millisecond, Pause: time.Minute, MaxPause: time.Minute})
	defer x.Close()
	s := spec(t, "speak", "1")
	ok(t, patient.Image(t.Context(), bad, probeName, []string{archive(t)}))
	c := run(t, patient, bad, s)
	ok(t, x.Ping(t.Context(), good))
	thaw := m.freeze(t)
	calls := map[string]func(Engine) error{
		"ping":   func(e Engine) error { return x.Ping(t.Context(), e) },
		"list":   func(e Engine) error { _, err := x.List(t.Context(), e, s.Name); return err },
		"ensure": func(e Engine) error { _, err := x.Ensure(t.Context(), e, s); return err },
		"image":  func(e Engine) error { return x.Image(t.Context(), e, probeName, nil) },
		"exec": func(e Engine) error {
			_, err := x.Exec(t.Context(), e, s.Name, ExecSpec{Command: []string{"/probe", "status"}})
			return err
		},
		"logs":   func(e Engine) error { return x.Logs(t.Context(), e, s.Name, 1, false, io.Discard) },
		"stats":  func(e Engine) error { _, err := x.Stats(t.Context(), e, s.Name); return err },
		"remove": func(e Engine) error { return x.Remove(t.Context(), e, s.Name, 0) },
	}
	var wg sync.WaitGroup
	for name, call := range calls {
		for range 4 {
			wg.Go(func() {
				start := time.Now()
				if err := call(bad); err == nil {
					t.Errorf("%s: a frozen engine answered", name)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s: failed after %v", name, took)
				}
			})
		}
	}
	for range 20 {
		start := time.Now()
		if err := x.Ping(t.Context(), good); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("the other engine's ping: %v after %v", err, time.Since(start))
		}
	}
	wg.Wait()
	wants(t, x.Ping(t.Context(), bad), ErrDown)
	thaw()
	again, err := patient.Ensure(t.Context(), bad, s)
	ok(t, err)
	if again.ID != c.ID {
		t.Errorf("container was %s, is %s", c.ID, again.ID)
	}
}

func TestEngineThatRestartsIsFoundAgain(t *testing.T) {
	t.Parallel()
	m := useMachine(t, "two")
	m.alone(t)
	e := m.engine()
	x := New(Options{Pause: 50 * time.Millisecond, MaxPause: 100 * time.Millisecond, Ping: time.Second})
	defer x.Close()
	ok(t, x.Image(t.Context(), e, probeName, []string{archive(t)}))
	s := spec(t, "speak", "1")
	s.Restart = true
	was := run(t, x, e, s)
	ended := make(chan error)
	var seen buffer
	go func() { ended <- x.Logs(t.Context(), e, s.Name, -1, true, &seen) }()
	eventually(t, "logs", func() error { return seen.shows("out 0") })
	m.daemon(t).Kill()
	select {
	case <-ended: // its stream does not outlive it
	case <-time.After(10 * time.Second):
		t.Error("logs of an engine that is dead go on")
	}
	var is Container
	eventually(t, "it is ensured again", func() (err error) {
		is, err = x.Ensure(t.Context(), e, s)
		return err
	})
	if is.ID != was.ID || !is.Running {
		t.Errorf("was %+v, is %+v", was, is)
	}
}

func TestEngineThatNobodyListensFor(t *testing.T) {
	x := New(Options{Pause: time.Minute, MaxPause: time.Minute})
	defer x.Close()
	for name, e := range map[string]Engine{
		"unix": {ID: "unix", Host: "unix:///nowhere/docker.sock"},
		"tcp":  {ID: "tcp", Host: "tcp://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				wants(t, x.Ping(t.Context(), e), ErrDown)
			}
			if err := x.Ping(t.Context(), e); err == nil || !strings.Contains(err.Error(), `engine "`+name+`"`) {
				t.Errorf("error does not name the engine: %v", err)
			}
		})
	}
	for _, host := range []string{"", "127.0.0.1:2376", "tcp://127.0.0.1", "unix://", "ssh://host", "://"} {
		wants(t, x.Ping(t.Context(), Engine{ID: host, Host: host}), ErrInvalid)
	}
	bad := Engine{ID: "pem", Host: "tcp://127.0.0.1:1", CA: []byte("nonsense")}
	wants(t, x.Ping(t.Context(), bad), ErrInvalid)
}
