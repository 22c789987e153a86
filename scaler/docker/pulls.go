package docker

import (
	"context"
	"sync"
	"time"
)

// pulls are the images on their way to one engine. The zero value is ready.
type pulls struct {
	mu      sync.Mutex
	flights map[string]*flight
}

// flight is one pull with those who wait for it.
type flight struct {
	waiting int // under pulls.mu
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // once done is closed
}

// share runs do for the first caller of a key and lets all others wait for
// its end. It goes on when the first caller goes away, and is cancelled when
// the last one does.
func (p *pulls) share(ctx context.Context, key string, limit time.Duration, do func(context.Context) error) error {
	f := p.join(ctx, key, limit, do)
	defer p.leave(key, f)
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pulls) join(ctx context.Context, key string, limit time.Duration, do func(context.Context) error) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.flights[key]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		if p.flights == nil {
			p.flights = map[string]*flight{}
		}
		p.flights[key] = f
		ctx, f.cancel = context.WithTimeout(context.WithoutCancel(ctx), limit)
		go func() {
			defer close(f.done)
			f.err = do(ctx)
		}()
	}
	f.waiting++
	return f
}

// leave lets the last one out switch off the light. A flight that is over is
// also taken off the list, so that the next caller begins anew.
func (p *pulls) leave(key string, f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.waiting--
	select {
	case <-f.done:
	default:
		if f.waiting > 0 {
			return
		}
	}
	f.cancel()
	if p.flights[key] == f {
		delete(p.flights, key)
	}
}
