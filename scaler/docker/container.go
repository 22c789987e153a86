package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// rounds bounds how often Ensure looks again after somebody else changed what
// it had seen.
const rounds = 20

// Ensure implements Runtime. It goes round until what it sees is what is
// wanted; each round is one look and one step, so that it does not matter who
// made the steps before:
//
//	          +--------------------- again <-----------------------+
//	          v                                                    |
//	       [look] -- missing ---------> network, create -----------+
//	          |  -- being removed ----> wait until it is gone -----+
//	          |  -- other hash -------> stop with grace, remove ---+
//	          |  -- created, exited --> start ---------------------+
//	          |  -- paused -----------> unpause -------------------+
//	          |  -- not ours ---------> ErrForeign
//	          v
//	running, restarted by its engine, or ended after it was started here
func (x *Engines) Ensure(ctx context.Context, e Engine, s Spec) (Container, error) {
	var c Container
	if err := s.check(); err != nil {
		return c, err
	}
	l := x.lane(e)
	err := l.short(ctx, fmt.Sprintf("ensure container %q", s.Name), func(ctx context.Context, api *client.Client) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 3*x.opts.Call+s.Stop)
		defer cancel()
		c, err = (&ensuring{lane: l, api: api, spec: &s, hash: Hash(s)}).run(ctx)
		return err
	})
	return c, err
}

type ensuring struct {
	lane    *lane
	api     *client.Client
	spec    *Spec
	hash    string
	started bool // by us
}

func (n *ensuring) run(ctx context.Context) (Container, error) {
	for round := range rounds {
		if err := n.pause(ctx, round); err != nil {
			return Container{}, err
		}
		found, err := n.lane.inspect(ctx, n.api, n.spec.Name)
		switch {
		case errors.Is(err, ErrNotFound):
			err = n.create(ctx)
		case err != nil:
		case n.good(found):
			return containerOf(found), nil
		default:
			err = n.step(ctx, found)
		}
		if err != nil {
			return Container{}, err
		}
	}
	return Container{}, fmt.Errorf("it was changed by others %d times", rounds)
}

// pause gives others time when it takes many rounds: a name can be taken for a
// moment before its container is seen.
func (n *ensuring) pause(ctx context.Context, round int) error {
	if round < 3 {
		return nil
	}
	select {
	case <-time.After(time.Duration(round) * 10 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *ensuring) good(c container.InspectResponse) bool {
	if c.Config.Labels[LabelHash] != n.hash || c.State.Paused {
		return false
	}
	return c.State.Running || c.State.Restarting || n.started && c.State.Status == container.StateExited
}

// step does what brings a container that exists nearer to what is wanted.
func (n *ensuring) step(ctx context.Context, c container.InspectResponse) error {
	hash, labelled := c.Config.Labels[LabelHash]
	switch {
	case !labelled:
		return ErrForeign
	case c.State.Status == container.StateRemoving:
		return n.lane.awaitGone(ctx, n.api, c.ID)
	case hash != n.hash, c.State.Dead:
		return n.lane.remove(ctx, n.api, c.ID, n.spec.Stop)
	case c.State.Paused:
		return n.request(ctx, func(ctx context.Context) error { return n.api.ContainerUnpause(ctx, c.ID) })
	}
	return n.start(ctx, c.ID)
}

// create makes the container, or finds that somebody else just did.
func (n *ensuring) create(ctx context.Context) error {
	if n.spec.named() {
		if err := n.lane.ensureNetwork(ctx, n.api, n.spec.Network, n.spec.Labels[LabelCluster]); err != nil {
			return err
		}
	}
	err := n.request(ctx, func(ctx context.Context) error {
		_, err := n.api.ContainerCreate(ctx, n.spec.config(), n.spec.host(n.lane.opts), nil, nil, n.spec.Name)
		return err
	})
	switch {
	case errdefs.IsConflict(err):
		return nil
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	return err
}

// start starts what is created or ended. A network of it that was removed
// meanwhile makes it useless: it is made anew.
func (n *ensuring) start(ctx context.Context, id string) error {
	err := n.request(ctx, func(ctx context.Context) error {
		return n.api.ContainerStart(ctx, id, container.StartOptions{})
	})
	switch {
	case err == nil:
		n.started = true
	case errdefs.IsConflict(err): // being removed: the next look tells
		return nil
	case errdefs.IsNotFound(err):
		return n.lane.remove(ctx, n.api, id, 0)
	}
	return err
}

func (n *ensuring) request(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.lane.opts.Call)
	defer cancel()
	return f(ctx)
}

// Remove implements Runtime. A container that is not ours is ErrForeign.
func (x *Engines) Remove(ctx context.Context, e Engine, name string, grace time.Duration) error {
	l := x.lane(e)
	return l.long(ctx, fmt.Sprintf("remove container %q", name), func(ctx context.Context, api *client.Client) error {
		c, err := l.inspect(ctx, api, name)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, labelled := c.Config.Labels[LabelHash]; !labelled {
			return ErrForeign
		}
		return l.remove(ctx, api, c.ID, grace)
	})
}

// remove ends one container for good; several may do it at once. An engine
// that cannot stop a container may still be able to remove it.
func (l *lane) remove(ctx context.Context, api *client.Client, id string, grace time.Duration) error {
	seconds := wholeSeconds(grace)
	_, err := within(ctx, l.opts.Call+time.Duration(seconds)*time.Second, func(ctx context.Context) (any, error) {
		return nil, api.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	})
	if judge(ctx, err, true) != alive {
		return err
	}
	_, err = within(ctx, l.opts.Call, func(ctx context.Context) (any, error) {
		return nil, api.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
	})
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case errdefs.IsConflict(err): // being removed by somebody else
		return l.awaitGone(ctx, api, id)
	}
	return err
}

// awaitGone waits for the end of a removal that is under way.
func (l *lane) awaitGone(ctx context.Context, api *client.Client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Call)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := l.inspect(ctx, api, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it is %s and does not go: %s: %w", c.State.Status, c.State.Error, ctx.Err())
		}
	}
}

func (l *lane) inspect(ctx context.Context, api *client.Client, name string) (container.InspectResponse, error) {
	c, err := within(ctx, l.opts.Call, func(ctx context.Context) (container.InspectResponse, error) {
		return api.ContainerInspect(ctx, name)
	})
	switch {
	case errdefs.IsNotFound(err):
		return c, fmt.Errorf("%w: %w", ErrNotFound, err)
	case err == nil && (c.ContainerJSONBase == nil || c.State == nil || c.Config == nil):
		return c, errors.New("the engine's answer is incomplete")
	}
	return c, err
}
