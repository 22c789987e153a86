package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// errIdle is why a stream was given up.
var errIdle = errors.New("no progress")

// watchdog ends a stream that makes no progress.
type watchdog struct {
	idle  time.Duration
	timer *time.Timer
}

// watch runs f and cancels its context when none of the watchdog's readers has
// read anything for that long.
func watch(ctx context.Context, idle time.Duration, f func(context.Context, *watchdog) error) error {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &watchdog{idle: idle}
	w.timer = time.AfterFunc(idle, func() { cancel(fmt.Errorf("%w for %s", errIdle, idle)) })
	defer w.stop()
	err := f(watched, w)
	switch cause := context.Cause(watched); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(cause, errIdle):
		return cause
	}
	return err
}

// stop calls the watchdog off: silence is expected.
func (w *watchdog) stop() { w.timer.Stop() }

// reader passes bytes on and keeps the watchdog quiet.
func (w *watchdog) reader(r io.Reader) io.Reader { return &watchedReader{r, w} }

type watchedReader struct {
	io.Reader
	w *watchdog
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	// A timer that has been called off or has run out stays so.
	if n > 0 && r.w.timer.Stop() {
		r.w.timer.Reset(r.w.idle)
	}
	return n, err
}
