package cloud

import (
	"context"
	"errors"
)

// Typed gives every error of d a kind, so that what a driver lets through from
// below cannot be taken for harmless: an unknown error of a Create may have
// made machines. Errors that have a kind pass as they are.
func Typed(d Driver) Driver {
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		err := next(ctx)
		if err == nil {
			return nil
		}
		c.Machines, c.Offerings, c.Events = nil, nil, nil
		var typed *Error
		if errors.As(err, &typed) {
			return err
		}
		kind := Transient
		if c.Writes() {
			kind = Ambiguous
		}
		return &Error{Kind: kind, Op: c.Op, What: c.ID, Err: err}
	})
}
