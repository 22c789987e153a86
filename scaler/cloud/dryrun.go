package cloud

import "context"

type dryRunKey struct{}

// WithDryRun marks a context: a driver under RefuseWrites refuses every write
// made with it.
func WithDryRun(ctx context.Context) context.Context {
	return context.WithValue(ctx, dryRunKey{}, true)
}

func isDryRun(ctx context.Context) bool {
	marked, _ := ctx.Value(dryRunKey{}).(bool)
	return marked
}

// RefuseWrites refuses every write with an error of kind DryRun: all of them if
// always, else those whose context is marked by WithDryRun. It depends on nobody's
// good will further up: a policy or a planner that forgets it is in a dry run
// still changes nothing.
func RefuseWrites(d Driver, always bool) Driver {
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		if c.Writes() && (always || isDryRun(ctx)) {
			return &Error{Kind: DryRun, Op: c.Op, What: c.ID}
		}
		return next(ctx)
	})
}
