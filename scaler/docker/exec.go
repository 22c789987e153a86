package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Exec implements Runtime: it runs a command in a running container and
// returns its exit code when both the command and its output have ended.
//
// When ctx ends first, the connection is closed and Exec returns; a command
// that does not notice the end of its input goes on in the container. The
// goroutine that reads In ends at its first read after the command's end,
// because a Reader cannot be interrupted.
func (x *Engines) Exec(ctx context.Context, e Engine, name string, spec ExecSpec) (int, error) {
	l := x.lane(e)
	exit := -1
	err := l.session(ctx, fmt.Sprintf("exec in container %q", name), func(ctx context.Context, api *client.Client) (err error) {
		r := &running{lane: l, api: api, spec: spec}
		if err := r.create(ctx, name); err != nil {
			return err
		}
		if err := r.attach(ctx); err != nil {
			return err
		}
		exit, err = r.exitCode(ctx)
		return err
	})
	return exit, err
}

// running is one command.
type running struct {
	lane *lane
	api  *client.Client
	spec ExecSpec
	id   string
}

func (r *running) create(ctx context.Context, name string) error {
	made, err := within(ctx, r.lane.opts.Call, func(ctx context.Context) (container.ExecCreateResponse, error) {
		return r.api.ContainerExecCreate(ctx, name, container.ExecOptions{
			Cmd: r.spec.Command, Env: r.spec.Env, Tty: r.spec.TTY,
			AttachStdin: r.spec.In != nil, AttachStdout: true, AttachStderr: true,
		})
	})
	r.id = made.ID
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// attach starts the command and carries its streams until its output ends.
func (r *running) attach(ctx context.Context) error {
	s, err := r.lane.hijack(ctx, r.api, "/exec/"+r.id+"/start", container.ExecStartOptions{Tty: r.spec.TTY})
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Close() })()
	ended := make(chan struct{})
	defer close(ended)
	if r.spec.In != nil {
		go r.send(s)
	}
	if r.spec.Resize != nil {
		go r.resize(ctx, ended)
	}
	err = r.receive(s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// send passes the input on, and its end: half of the connection is closed, the
// other half still carries output.
func (r *running) send(s *stream) {
	// Neither error matters: whoever reads output sees the connection's end.
	_, _ = io.Copy(s, r.spec.In)
	_ = s.closeWrite()
}

func (r *running) receive(s io.Reader) error {
	out, err := orDiscard(r.spec.Out), orDiscard(r.spec.Err)
	if r.spec.TTY {
		_, copyErr := io.Copy(out, s)
		return copyErr
	}
	return demux(s, out, err)
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// resize follows the sizes of the caller's terminal. The first may come before
// the engine has started the command and is then repeated.
func (r *running) resize(ctx context.Context, ended <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		select {
		case size, ok := <-r.spec.Resize:
			if !ok {
				return
			}
			r.resizeTo(ctx, size, ended)
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *running) resizeTo(ctx context.Context, size [2]uint, ended <-chan struct{}) {
	for wait := 20 * time.Millisecond; wait < time.Second; wait *= 2 {
		_, err := within(ctx, r.lane.opts.Call, func(ctx context.Context) (any, error) {
			return nil, r.api.ContainerExecResize(ctx, r.id, container.ResizeOptions{Width: size[0], Height: size[1]})
		})
		if err == nil {
			return
		}
		select {
		case <-time.After(wait):
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// exitCode asks until the engine has noticed the command's end, which may be
// a moment after the end of its output.
func (r *running) exitCode(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.lane.opts.Call)
	defer cancel()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		is, err := r.api.ContainerExecInspect(ctx, r.id)
		if err != nil {
			return -1, err
		}
		if !is.Running {
			return is.ExitCode, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return -1, errors.New("its output ended, but the command goes on")
		}
	}
}

// Logs implements Runtime. Without follow, an engine that stops in the middle
// is given up after Options.Call; with it, silence means nothing.
func (x *Engines) Logs(ctx context.Context, e Engine, name string, tail int, follow bool, out io.Writer) error {
	l := x.lane(e)
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow, Tail: "all"}
	if tail >= 0 {
		options.Tail = strconv.Itoa(tail)
	}
	return l.session(ctx, fmt.Sprintf("read logs of container %q", name), func(ctx context.Context, api *client.Client) error {
		return watch(ctx, x.opts.Call, func(ctx context.Context, w *watchdog) error {
			body, err := api.ContainerLogs(ctx, name, options)
			if errdefs.IsNotFound(err) {
				return fmt.Errorf("%w: %w", ErrNotFound, err)
			}
			if err != nil {
				return err
			}
			defer body.Close()
			if follow {
				w.stop()
			}
			return demux(w.reader(body), out, out)
		})
	})
}
