package cloud

import (
	"context"
	"time"
)

// Count tells observe of every call: what it was (Call.Op), how it ended ("ok"
// or the Kind's name) and how long it took. observe is called by whoever made
// the call, concurrently.
func Count(d Driver, now func() time.Time, observe func(op, kind string, took time.Duration)) Driver {
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		from := now()
		err := next(ctx)
		observe(c.Op, outcome(err), now().Sub(from))
		return err
	})
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return KindOf(err).String()
}
