package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Errors a caller branches on. What is none of them is worth another try.
var (
	// ErrBusy: the engine has all the calls in flight that it may have.
	ErrBusy = errors.New("engine is busy")
	// ErrDown: the engine cannot be reached, or did not answer several times
	// and is left alone for a moment.
	ErrDown = errors.New("engine is down")
	// ErrInvalid: the engine, or this package, refuses it as it is.
	ErrInvalid = errors.New("invalid")
	// ErrNoImage: the image is not on the engine, or no source has it.
	ErrNoImage = errors.New("no such image")
	// ErrNotFound: there is no such container.
	ErrNotFound = errors.New("no such container")
	// ErrForeign: a container of that name exists which is not ours.
	ErrForeign = errors.New("name is taken by a container that is not ours")
	// ErrPort: another program has a port that the container wants.
	ErrPort = errors.New("port is taken")
)

// wrap says what failed on which engine, and gives the error its sentinel.
func wrap(what string, e Engine, err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		return fmt.Errorf("cannot %s on engine %q: %w: %w", what, e.ID, kind, err)
	}
	return fmt.Errorf("cannot %s on engine %q: %w", what, e.ID, err)
}

func kindOf(err error) error {
	switch {
	case ours(err):
		return nil
	case isPortTaken(err):
		return ErrPort
	case unreachable(err):
		return ErrDown
	case errdefs.IsInvalidArgument(err):
		return ErrInvalid
	}
	return nil
}

func ours(err error) bool {
	for _, known := range []error{ErrBusy, ErrDown, ErrInvalid, ErrNoImage, ErrNotFound, ErrForeign, ErrPort} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// isPortTaken knows the words of the engine's port allocator and those of the
// kernel; the API has no code for it.
func isPortTaken(err error) bool {
	text := err.Error()
	return strings.Contains(text, "port is already allocated") || strings.Contains(text, "address already in use")
}

// unreachable: the connection was not made or broke, so the engine as a whole
// is in doubt and not only this call.
func unreachable(err error) bool {
	var op *net.OpError
	return client.IsErrConnectionFailed(err) || errors.As(err, &op)
}

// judge says what the outcome of a call made with ctx tells about the engine;
// late: that it ran into a deadline speaks against the engine.
func judge(ctx context.Context, err error, late bool) verdict {
	switch {
	case err == nil:
		return alive
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return silent
	case unreachable(err):
		return dead
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errIdle):
		if late {
			return dead
		}
		return silent
	}
	return alive
}

// isVersion: the engine no longer speaks the API version agreed on; it was
// replaced by an older or a much newer one.
func isVersion(err error) bool {
	return err != nil && strings.Contains(err.Error(), "client version") &&
		(strings.Contains(err.Error(), "is too new") || strings.Contains(err.Error(), "is too old"))
}

// Kind sorts an error as outcomes of effects are sorted: "" for none,
// "not_found", "invalid" where trying again is useless, else "transient".
func Kind(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrForeign):
		return "invalid"
	}
	return "transient"
}
