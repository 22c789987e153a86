package bench

import "context"

func (t *terminal) search(ctx context.Context, args []string) error    { return nil }
func (t *terminal) compare(ctx context.Context, args []string) error   { return nil }
func (t *terminal) report(ctx context.Context, args []string) error    { return nil }
func (t *terminal) generator(ctx context.Context, args []string) error { return nil }
