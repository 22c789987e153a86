package scaler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"spillway/scaler/docker"
)

// container of a fake engine.
type container struct {
	docker.Container
	spec docker.Spec
	at   time.Time
}

// engines are Docker Engines by address. One answers while its machine runs and
// its init is done.
type engines struct {
	w          *world
	containers map[string]map[string]*container // by machine address, by name
	hang       map[string]bool                  // addresses
	// settled machines by address, as they were at known.
	known   time.Time
	settled map[string]bool
}

var errNoAnswer = errors.New("context deadline exceeded")

func (e *engines) up(address string) bool {
	if e.hang[address] {
		return false
	}
	if strings.HasPrefix(address, "192.168.") {
		return true
	}
	now := e.w.clock.Now()
	if !e.known.Equal(now) {
		e.known, e.settled = now, map[string]bool{}
		for _, h := range e.w.cloud.Hosts() {
			_, e.settled[h.Address] = h.Init(now)
		}
	}
	return e.settled[address]
}

// on returns the containers of a machine; those of one that is gone are gone.
func (e *engines) on(address string) (map[string]*container, error) {
	if !e.up(address) {
		return nil, errNoAnswer
	}
	if e.containers[address] == nil {
		e.containers[address] = map[string]*container{}
	}
	return e.containers[address], nil
}

func (e *engines) Ping(_ context.Context, en docker.Engine) error {
	_, err := e.on(en.Host)
	return err
}

func (e *engines) Image(ctx context.Context, en docker.Engine, _ string, _ []string) error {
	return e.Ping(ctx, en)
}

func (e *engines) Ensure(_ context.Context, en docker.Engine, s docker.Spec) (docker.Container, error) {
	all, err := e.on(en.Host)
	if err != nil {
		return docker.Container{}, err
	}
	if c := all[s.Name]; c != nil {
		if fmt.Sprint(c.spec) != fmt.Sprint(s) {
			e.w.fail("container %s was replaced: %v is not %v", s.Name, c.spec, s)
		}
		return c.Container, nil
	}
	c := &container{docker.Container{ID: s.Name, Name: s.Name, Image: s.Image, Running: true, Labels: s.Labels}, s, e.w.clock.Now()}
	all[s.Name] = c
	e.w.say("container %s starts on %s", s.Name, en.ID)
	return c.Container, nil
}

func (e *engines) Remove(_ context.Context, en docker.Engine, name string, _ time.Duration) error {
	all, err := e.on(en.Host)
	if err != nil {
		return err
	}
	if c := all[name]; c != nil {
		e.w.gates.mustNotUse(c.Labels[labelAddress], "container "+name+" is removed")
		delete(all, name)
		e.w.say("container %s is removed", name)
	}
	return nil
}

func (e *engines) List(_ context.Context, en docker.Engine, cluster string) ([]docker.Container, error) {
	all, err := e.on(en.Host)
	if err != nil {
		return nil, err
	}
	var list []docker.Container
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Labels[docker.LabelCluster] == cluster {
			list = append(list, all[name].Container)
		}
	}
	return list, nil
}

func (e *engines) Exec(context.Context, docker.Engine, string, docker.ExecSpec) (int, error) {
	return 0, errNoAnswer
}

func (e *engines) Logs(context.Context, docker.Engine, string, int, bool, io.Writer) error {
	return errNoAnswer
}

// serves reports whether a container of that address runs.
func (e *engines) serves(address string) (since time.Time, ok bool) {
	host, _, _ := strings.Cut(address, ":")
	if !e.alive(host) {
		return time.Time{}, false
	}
	for _, c := range e.containers[host] {
		if c.Labels[labelAddress] == address {
			return c.at, true
		}
	}
	return time.Time{}, false
}

// alive is up, also when the engine hangs: containers run on.
func (e *engines) alive(address string) bool {
	hang := e.hang
	e.hang = nil
	defer func() { e.hang = hang }()
	return e.up(address)
}
