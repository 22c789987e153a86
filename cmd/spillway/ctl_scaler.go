package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/scaler/api"
)

func (c *ctl) status(args []string) int {
	if code, done := c.parse(c.flags(), args, 0, 0); done {
		return code
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		s, err := client.Status(ctx)
		if err != nil {
			return err
		}
		return c.show(s, func(w io.Writer) { printStatus(w, &s, c.now()) })
	})
}

func (c *ctl) why(args []string) int {
	fs := c.flags()
	at := fs.String("at", "", "the decision in effect at that `TIME`: 2026-03-01T12:00:00Z, 12:00 today, or 5m ago; none is the last one")
	if code, done := c.parse(fs, args, 1, 1); done {
		return code
	}
	when, err := instant(*at, c.now())
	if err != nil {
		return c.wrong("%v", err)
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		why, err := client.Why(ctx, fs.Arg(0), when)
		if err != nil {
			return err
		}
		return c.show(why, func(w io.Writer) { printWhy(w, &why) })
	})
}

// instant reads a time as people give it: in full, of this day, or so long ago.
func instant(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if ago, err := time.ParseDuration(strings.TrimSuffix(text, " ago")); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range [...]string{time.TimeOnly, "15:04"} {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		if at.After(now) {
			at = at.AddDate(0, 0, -1) // the last one there was
		}
		return at, nil
	}
	return time.Time{}, fmt.Errorf("time %q is neither 2026-03-01T12:00:00Z, 12:00 nor 5m", text)
}

func (c *ctl) plan(args []string) int {
	if code, done := c.parse(c.flags(), args, 0, 0); done {
		return code
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		p, err := client.Plan(ctx)
		if err != nil {
			return err
		}
		return c.show(p, func(w io.Writer) { printPlan(w, &p) })
	})
}

// delta is how many more, or fewer: always with its sign, so that nobody takes
// it for a size.
var delta = regexp.MustCompile(`^[+-][0-9]+$`)

func (c *ctl) scale(args []string) int {
	// -2 would be read as a flag.
	at := slices.IndexFunc(args, delta.MatchString)
	number := ""
	if at >= 0 {
		number = args[at]
		args = slices.Delete(slices.Clone(args), at, at+1)
	}
	fs := c.flags()
	ttl, reason := fs.Duration("ttl", time.Hour, "how long it holds"), fs.String("reason", "", "for the audit log")
	if code, done := c.parse(fs, args, 1, 1); done {
		return code
	}
	n, err := strconv.Atoi(number)
	if err != nil || n == 0 {
		return c.wrong("say how many more or fewer, such as +2 or -1")
	}
	if *ttl <= 0 {
		return c.wrong("ttl %v is not above 0", *ttl)
	}
	app, pool, _ := strings.Cut(fs.Arg(0), "/")
	return c.ask(func(ctx context.Context, client *api.Client) error {
		o, err := client.Scale(ctx, api.ScaleRequest{App: app, Pool: pool, Delta: n, TTL: *ttl, Reason: *reason})
		if err != nil {
			return err
		}
		return c.show(o, func(w io.Writer) { fmt.Fprintln(w, overrideText(&o)) })
	})
}

func (c *ctl) pause(args []string) int {
	fs := c.flags()
	ttl, reason := fs.Duration("ttl", time.Hour, "how long it holds"), fs.String("reason", "", "for the audit log")
	if code, done := c.parse(fs, args, 0, 1); done {
		return code
	}
	app := fs.Arg(0) // none is all
	if *ttl <= 0 {
		return c.wrong("ttl %v is not above 0", *ttl)
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		o, err := client.Pause(ctx, api.PauseRequest{App: app, TTL: *ttl, Reason: *reason})
		if err != nil {
			return err
		}
		return c.show(o, func(w io.Writer) { fmt.Fprintln(w, overrideText(&o)) })
	})
}

func (c *ctl) resume(args []string) int {
	fs := c.flags()
	reason := fs.String("reason", "", "for the audit log")
	if code, done := c.parse(fs, args, 0, 1); done {
		return code
	}
	app := fs.Arg(0) // none is all
	return c.ask(func(ctx context.Context, client *api.Client) error {
		if err := client.Resume(ctx, api.ResumeRequest{App: app, Reason: *reason}); err != nil {
			return err
		}
		return c.show(struct{}{}, func(w io.Writer) { fmt.Fprintf(w, "%s: resumed\n", orAll(app)) })
	})
}

func (c *ctl) audit(args []string) int {
	fs := c.flags()
	limit := fs.Int("limit", 50, "lines at most")
	if code, done := c.parse(fs, args, 0, 0); done {
		return code
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		entries, err := client.Audit(ctx, *limit)
		if err != nil {
			return err
		}
		return c.show(entries, func(w io.Writer) { printAudit(w, entries) })
	})
}

func (c *ctl) nodes(args []string) int {
	if code, done := c.parse(c.flags(), args, 0, 0); done {
		return code
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		nodes, err := client.Nodes(ctx)
		if err != nil {
			return err
		}
		return c.show(nodes, func(w io.Writer) { printNodes(w, nodes, c.now()) })
	})
}

// nodeVerb does something to one machine.
func nodeVerb(action string) func(c *ctl, args []string) int {
	return func(c *ctl, args []string) int {
		fs := c.flags()
		reason := fs.String("reason", "", "for the audit log")
		if code, done := c.parse(fs, args, 1, 1); done {
			return code
		}
		return c.ask(func(ctx context.Context, client *api.Client) error {
			n, err := client.NodeAction(ctx, api.NodeRequest{ID: fs.Arg(0), Action: action, Reason: *reason})
			if err != nil {
				return err
			}
			return c.show(n, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", n.ID, n.State) })
		})
	}
}
