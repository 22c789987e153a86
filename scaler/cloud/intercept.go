package cloud

import "context"

// The kinds of call, as limits, metrics and errors name them.
const (
	OpOfferings = "offerings"
	OpCreate    = "create"
	OpList      = "list"
	OpDelete    = "delete"
	OpStop      = "stop"
	OpStart     = "start"
	OpEvents    = "events"
)

// Call is one call of a driver on its way through the wrappers. Op says which
// of the other fields are set.
type Call struct {
	Op      string
	ID      string            // delete, stop, start
	Tags    map[string]string // list
	Request *CreateRequest    // create; wrappers do not change it
	// The answer, once the driver has given it.
	Machines  []Machine // create, list
	Offerings []Offering
	Events    []Event
}

// Writes reports whether the call changes anything at the provider.
func (c *Call) Writes() bool {
	return c.Op == OpCreate || c.Op == OpDelete || c.Op == OpStop || c.Op == OpStart
}

// machines is what a limit that counts machines counts.
func (c *Call) machines() int {
	if c.Op == OpCreate {
		return c.Request.Count
	}
	return 1
}

// Interceptor stands between a caller and a driver. next makes the call and
// sets its answer; it may be called any number of times.
type Interceptor func(ctx context.Context, c *Call, next func(context.Context) error) error

// Intercept returns d with every call but Describe going through f. It has the
// optional interfaces that d has.
func Intercept(d Driver, f Interceptor) Driver {
	in := intercepted{d, f}
	s, stops := d.(Stopper)
	w, watches := d.(Watcher)
	switch {
	case stops && watches:
		return struct {
			intercepted
			stopper
			watcher
		}{in, stopper{s, f}, watcher{w, f}}
	case stops:
		return struct {
			intercepted
			stopper
		}{in, stopper{s, f}}
	case watches:
		return struct {
			intercepted
			watcher
		}{in, watcher{w, f}}
	}
	return in
}

type intercepted struct {
	d Driver
	f Interceptor
}

func (in intercepted) Describe() Description { return in.d.Describe() }

func (in intercepted) Offerings(ctx context.Context) ([]Offering, error) {
	c := Call{Op: OpOfferings}
	err := in.f(ctx, &c, func(ctx context.Context) (err error) {
		c.Offerings, err = in.d.Offerings(ctx)
		return err
	})
	return c.Offerings, err
}

func (in intercepted) Create(ctx context.Context, r CreateRequest) ([]Machine, error) {
	c := Call{Op: OpCreate, Request: &r}
	err := in.f(ctx, &c, func(ctx context.Context) (err error) {
		c.Machines, err = in.d.Create(ctx, r)
		return err
	})
	return c.Machines, err
}

func (in intercepted) List(ctx context.Context, tags map[string]string) ([]Machine, error) {
	c := Call{Op: OpList, Tags: tags}
	err := in.f(ctx, &c, func(ctx context.Context) (err error) {
		c.Machines, err = in.d.List(ctx, tags)
		return err
	})
	return c.Machines, err
}

func (in intercepted) Delete(ctx context.Context, id string) error {
	return byID(ctx, in.f, OpDelete, id, in.d.Delete)
}

type stopper struct {
	s Stopper
	f Interceptor
}

func (s stopper) Stop(ctx context.Context, id string) error {
	return byID(ctx, s.f, OpStop, id, s.s.Stop)
}

func (s stopper) Start(ctx context.Context, id string) error {
	return byID(ctx, s.f, OpStart, id, s.s.Start)
}

type watcher struct {
	w Watcher
	f Interceptor
}

func (w watcher) Events(ctx context.Context) ([]Event, error) {
	c := Call{Op: OpEvents}
	err := w.f(ctx, &c, func(ctx context.Context) (err error) {
		c.Events, err = w.w.Events(ctx)
		return err
	})
	return c.Events, err
}

func byID(ctx context.Context, f Interceptor, op, id string, do func(context.Context, string) error) error {
	c := Call{Op: op, ID: id}
	return f(ctx, &c, func(ctx context.Context) error { return do(ctx, id) })
}
