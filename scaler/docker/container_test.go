package docker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	resp, err := (&http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// answers waits until a URL answers with the text.
func answers(t *testing.T, url, text string) {
	t.Helper()
	eventually(t, url, func() error {
		got, err := get(t, url)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("answers %q, want %q", got, text)
		}
		return err
	})
}

func TestContainerIsEnsuredAndRemovedAnyNumberOfTimes(t *testing.T) {
	x, e := world(t)
	ctx := t.Context()
	s := spec(t, "serve", ":8080")
	first := run(t, x, e, s)
	if !first.Running || first.Name != s.Name || first.Hash != Hash(s) || first.Labels[LabelCluster] != s.Name || first.Started.IsZero() {
		t.Errorf("made %+v", first)
	}
	again, err := x.Ensure(ctx, e, s)
	ok(t, err)
	if again.ID != first.ID || !again.Started.Equal(first.Started) {
		t.Errorf("was %+v, is %+v", first, again)
	}
	list, err := x.List(ctx, e, s.Name)
	ok(t, err)
	if len(list) != 1 || list[0].ID != first.ID || !list[0].Running || list[0].Hash != Hash(s) {
		t.Errorf("list is %+v", list)
	}
	if other, err := x.List(ctx, e, "another"); err != nil || len(other) > 0 {
		t.Errorf("list of another cluster is %v, %v", other, err)
	}
	for range 2 {
		ok(t, x.Remove(ctx, e, s.Name, time.Second))
	}
	if list, err := x.List(ctx, e, s.Name); err != nil || len(list) > 0 {
		t.Errorf("after its removal the list is %v, %v", list, err)
	}
}

func TestContainerWithAnotherSpecIsReplaced(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "1")
	was := run(t, x, e, s)
	s.Env = []string{"GREETING=hi"}
	is, err := x.Ensure(t.Context(), e, s)
	ok(t, err)
	if is.ID == was.ID || is.Hash == was.Hash || !is.Running {
		t.Errorf("was %+v, is %+v", was, is)
	}
}

// A container in any state that a crash can leave behind ends up running.
func TestContainerIsEnsuredFromEveryState(t *testing.T) {
	x, e := world(t)
	ctx := t.Context()
	api, err := x.lane(e).client(ctx)
	ok(t, err)
	for name, leave := range map[string]func(s Spec){
		"created": func(s Spec) {
			_, err := api.ContainerCreate(ctx, s.config(), s.host(&x.opts), nil, nil, s.Name)
			ok(t, err)
		},
		"stopped": func(s Spec) {
			c, err := x.Ensure(ctx, e, s)
			ok(t, err)
			zero := 0
			ok(t, api.ContainerStop(ctx, c.ID, container.StopOptions{Timeout: &zero}))
		},
		"killed": func(s Spec) {
			c, err := x.Ensure(ctx, e, s)
			ok(t, err)
			ok(t, api.ContainerKill(ctx, c.ID, "KILL"))
		},
		"paused": func(s Spec) {
			c, err := x.Ensure(ctx, e, s)
			ok(t, err)
			ok(t, api.ContainerPause(ctx, c.ID))
		},
		"being removed": func(s Spec) {
			c, err := x.Ensure(ctx, e, s)
			ok(t, err)
			go api.ContainerRemove(context.WithoutCancel(ctx), c.ID, container.RemoveOptions{Force: true})
		},
		"of another spec, stopped": func(s Spec) {
			s.Env = []string{"GREETING=old"}
			c, err := x.Ensure(ctx, e, s)
			ok(t, err)
			ok(t, api.ContainerKill(ctx, c.ID, "KILL"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, "speak", "1")
			s.Name = strings.NewReplacer(" ", "", ",", "").Replace(s.Name)
			leave(s)
			if c := run(t, x, e, s); !c.Running || c.Hash != Hash(s) {
				t.Errorf("is %+v", c)
			}
		})
	}
}

func TestContainerIsMadeOnceByManyAtOnce(t *testing.T) {
	_, e := world(t)
	s := spec(t, "speak", "1")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			x := New(Options{Wait: 20 * time.Second}) // each as another scaler
			defer x.Close()
			c, err := x.Ensure(t.Context(), e, s)
			if err != nil || !c.Running {
				t.Errorf("%d: %+v, %v", i, c, err)
			}
			ids[i] = c.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("made more than one: %q", ids)
		}
	}
	x := New(Options{})
	defer x.Close()
	for range ids {
		wg.Go(func() {
			if err := x.Remove(t.Context(), e, s.Name, time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestContainerOfSomebodyElseIsLeftAlone(t *testing.T) {
	x, e := world(t)
	ctx := t.Context()
	api, err := x.lane(e).client(ctx)
	ok(t, err)
	s := spec(t, "speak", "1")
	c, err := api.ContainerCreate(ctx, &container.Config{Image: probeName}, nil, nil, nil, s.Name)
	ok(t, err)
	t.Cleanup(func() { api.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true}) })
	_, err = x.Ensure(ctx, e, s)
	wants(t, err, ErrForeign)
	wants(t, x.Remove(ctx, e, s.Name, 0), ErrForeign)
	_, err = api.ContainerInspect(ctx, c.ID)
	ok(t, err)
}

func TestContainerThatEndsAtOnce(t *testing.T) {
	x, e := world(t)
	s := spec(t, "exit", "5")
	t.Cleanup(func() { discard(t, x, e, s.Name) })
	for range 2 {
		// Whether it is seen to run is a matter of luck.
		c, err := x.Ensure(t.Context(), e, s)
		if err != nil || !c.Running && c.ExitCode != 5 {
			t.Errorf("is %+v, %v", c, err)
		}
		eventually(t, "its exit code", func() error {
			list, err := x.List(t.Context(), e, s.Name)
			if err == nil && (len(list) != 1 || list[0].Running || list[0].ExitCode != 5) {
				err = fmt.Errorf("list is %+v", list)
			}
			return err
		})
	}
}

func TestContainerThatIgnoresTermIsKilledAfterItsGrace(t *testing.T) {
	x, e := world(t)
	s := spec(t, "deaf")
	run(t, x, e, s)
	start := time.Now()
	ok(t, x.Remove(t.Context(), e, s.Name, 300*time.Millisecond)) // a second, rounded up
	if took := time.Since(start); took < 900*time.Millisecond || took > 8*time.Second {
		t.Errorf("removed after %v, want its grace of 1 s", took)
	}
}

func TestContainerWithoutItsImage(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "1")
	s.Image = "spillway-test/never:made"
	_, err := x.Ensure(t.Context(), e, s)
	wants(t, err, ErrNoImage)
}

func TestSpecsThatMakeNoSense(t *testing.T) {
	x := New(Options{})
	good := spec(t)
	for name, spoil := range map[string]func(*Spec){
		"no name":       func(s *Spec) { s.Name = "" },
		"name":          func(s *Spec) { s.Name = "a/b" },
		"no image":      func(s *Spec) { s.Image = "" },
		"network":       func(s *Spec) { s.Network = "container:x" },
		"negative CPU":  func(s *Spec) { s.CPU = -1 },
		"port 0":        func(s *Spec) { s.Ports = map[int]int{80: 0} },
		"port too high": func(s *Spec) { s.Ports = map[int]int{80: 65536} },
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			spoil(&s)
			_, err := x.Ensure(t.Context(), Engine{Host: "unix:///nowhere"}, s)
			wants(t, err, ErrInvalid)
		})
	}
}

// What an engine may not do for a container is said to the kernel; this asks
// the kernel.
func TestContainerHasLimitsAndNoPrivileges(t *testing.T) {
	x, e := world(t)
	ctx := t.Context()
	s := spec(t, "speak", "1")
	s.CPU, s.Memory, s.ReadOnly, s.CapDrop = 0.25, 64<<20, true, []string{"ALL"}
	c := run(t, x, e, s)
	api, err := x.lane(e).client(ctx)
	ok(t, err)
	i, err := api.ContainerInspect(ctx, c.ID)
	ok(t, err)
	h := i.HostConfig
	if h.NanoCPUs != 250_000_000 || h.Memory != 64<<20 || h.MemorySwap != 64<<20 || h.PidsLimit == nil || *h.PidsLimit != DefaultPIDs {
		t.Errorf("limits are %+v", h.Resources)
	}
	if h.LogConfig.Config["max-size"] != "10m" || h.LogConfig.Config["max-file"] != "2" {
		t.Errorf("log is %+v", h.LogConfig)
	}
	var out buffer
	exit, err := x.Exec(ctx, e, s.Name, ExecSpec{Command: []string{"/probe", "status"}, Out: &out})
	if err != nil || exit != 0 {
		t.Fatalf("exit %d, %v", exit, err)
	}
	for _, line := range []string{"NoNewPrivs:\t1", "CapBnd:\t0000000000000000", "Uid:\t65534"} {
		if err := out.shows(line); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]int{"/x": 1, "/tmp/x": 0} {
		if exit, err := x.Exec(ctx, e, s.Name, ExecSpec{Command: []string{"/probe", "write", path}}); err != nil || exit != want {
			t.Errorf("write %s: exit %d, %v, want %d", path, exit, err, want)
		}
	}
}

func TestPublishedPortAnswersOnTheMachinesAddress(t *testing.T) {
	x, e := world(t)
	m := useMachine(t, "one")
	for name, network := range map[string]string{"bridge": "", "named": "spillway-net"} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, "serve", ":8080")
			s.Network, s.Address, s.Env = network, m.ip, []string{"GREETING=" + name}
			s.Ports = map[int]int{8080: freePort(t)}
			run(t, x, e, s)
			answers(t, fmt.Sprintf("http://%s:%d/", m.ip, s.Ports[8080]), "65534 "+name)
		})
	}
	t.Run("host", func(t *testing.T) {
		s := spec(t, "serve", fmt.Sprintf(":%d", freePort(t)))
		s.Network, s.Env = "host", []string{"GREETING=host"}
		run(t, x, e, s)
		answers(t, "http://"+m.ip+s.Command[1], "65534 host")
	})
	t.Run("none", func(t *testing.T) {
		s := spec(t, "serve", ":8080")
		s.Network, s.Ports = "none", map[int]int{8080: freePort(t)}
		if c := run(t, x, e, s); !c.Running {
			t.Errorf("is %+v", c)
		}
	})
}

func TestTwoContainersOfOneNetworkMadeAtOnce(t *testing.T) {
	x, e := world(t)
	var wg sync.WaitGroup
	for i := range 4 {
		s := spec(t, "speak", "1")
		s.Name, s.Network = fmt.Sprintf("%s-%d", s.Name, i), "spillway-shared"
		t.Cleanup(func() { discard(t, x, e, s.Name) })
		wg.Go(func() {
			if _, err := x.Ensure(t.Context(), e, s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestContainerWhoseNetworkWasRemovedIsMadeAnew(t *testing.T) {
	x, e := world(t)
	ctx := t.Context()
	api, err := x.lane(e).client(ctx)
	ok(t, err)
	s := spec(t, "speak", "1")
	s.Network = "spillway-lost"
	c := run(t, x, e, s)
	ok(t, api.ContainerKill(ctx, c.ID, "KILL"))
	eventually(t, "network removed", func() error {
		_ = api.NetworkDisconnect(ctx, s.Network, c.ID, true)
		return api.NetworkRemove(ctx, s.Network)
	})
	if again := run(t, x, e, s); !again.Running {
		t.Errorf("is %+v", again)
	}
}

func TestPortThatIsTaken(t *testing.T) {
	x, e := world(t)
	a, b := spec(t, "serve", ":80"), spec(t, "serve", ":80")
	a.Ports = map[int]int{80: freePort(t)}
	b.Name, b.Ports = b.Name+"-b", a.Ports
	run(t, x, e, a)
	t.Cleanup(func() { discard(t, x, e, b.Name) })
	_, err := x.Ensure(t.Context(), e, b)
	wants(t, err, ErrPort)
	ok(t, x.Remove(t.Context(), e, a.Name, 0))
	run(t, x, e, b)
}

func TestInfoTellsOfTheMachine(t *testing.T) {
	x, e := world(t)
	m := useMachine(t, "one")
	i, err := x.Info(t.Context(), e)
	ok(t, err)
	if i.CPUs < 1 || i.Memory < 1<<20 || i.Labels["idc"] != "lab" || i.Labels["ip"] != m.ip || i.Version == "" || i.API == "" || i.Storage != "overlay2" {
		t.Errorf("info is %+v", i)
	}
}

func TestStatsCountUp(t *testing.T) {
	x, e := world(t)
	ctx := t.Context()
	s := spec(t, "burn")
	s.CPU, s.Memory = 0.5, 64<<20
	run(t, x, e, s)
	first, err := x.Stats(ctx, e, s.Name)
	ok(t, err)
	eventually(t, "CPU is used", func() error {
		now, err := x.Stats(ctx, e, s.Name)
		if err == nil && (now.CPU-first.CPU < 50*time.Millisecond || now.Throttled == 0 || !now.At.After(first.At)) {
			err = fmt.Errorf("was %+v, is %+v", first, now)
		}
		return err
	})
	if first.MemoryLimit != 64<<20 || first.Memory <= 0 || first.Memory > 64<<20 || first.PIDs < 1 {
		t.Errorf("stats are %+v", first)
	}
	_, err = x.Stats(ctx, e, "nobody")
	wants(t, err, ErrNotFound)
}
