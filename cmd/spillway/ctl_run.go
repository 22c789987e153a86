package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"spillway/scaler/api"
)

func (c *ctl) ps(args []string) int {
	fs := c.flags()
	if code, done := c.parse(fs, args, 0, 1); done {
		return code
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		instances, err := client.Ps(ctx, fs.Arg(0))
		if err != nil {
			return err
		}
		return c.show(instances, func(w io.Writer) { printInstances(w, instances, c.now()) })
	})
}

func (c *ctl) logs(args []string) int {
	fs := c.flags()
	follow := fs.BoolP("follow", "f", false, "go on with what is written from now on")
	tail := fs.Int("tail", -1, "only the last lines, so many; below 0 all")
	if code, done := c.parse(fs, args, 1, 1); done {
		return code
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		return client.Logs(ctx, api.LogsRequest{Instance: fs.Arg(0), Tail: *tail, Follow: *follow}, c.out)
	})
}

func (c *ctl) exec(args []string) int {
	fs := c.flags()
	fs.SetInterspersed(false) // what stands after INSTANCE is the command's
	noTTY := fs.BoolP("no-tty", "T", false, "no terminal in the container; without this there is one if ctl runs in one")
	if code, done := c.parse(fs, args, 1, -1); done {
		return code
	}
	request := api.ExecRequest{Instance: fs.Arg(0), Command: command(fs.Args()[1:]), TTY: !*noTTY && c.console.isTerminal()}
	if len(request.Command) == 0 {
		request.Command = []string{"sh"}
	}
	return c.attach(request.TTY, func(ctx context.Context, client *api.Client, ends api.Streams) (int, error) {
		if request.TTY {
			request.Columns, request.Rows = c.console.size()
		}
		return client.Exec(ctx, request, ends)
	})
}

// command leaves out a "--" before it.
func command(words []string) []string {
	if len(words) > 0 && words[0] == "--" {
		return words[1:]
	}
	return words
}

// attach gives do the terminal and returns its exit code. Whatever ends it,
// the terminal is afterwards as it was.
func (c *ctl) attach(tty bool, do func(ctx context.Context, client *api.Client, ends api.Streams) (int, error)) int {
	client, err := c.client()
	if err != nil {
		return c.fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ends := api.Streams{In: c.console.in, Out: c.out, Err: c.err}
	if tty {
		restore, err := c.console.raw()
		if err != nil {
			return c.fail(err)
		}
		defer restore()
		ends.Resize = c.console.sizes(ctx)
	}
	exit, err := do(ctx, client, ends)
	if err != nil {
		if tty {
			fmt.Fprint(c.err, "\r\n") // the message begins a line of its own
		}
		return c.fail(err)
	}
	return exit
}

func (c *ctl) runOnce(args []string) int {
	fs := c.flags()
	fs.SetInterspersed(false)
	var r api.RunRequest
	fs.StringVar(&r.Name, "name", "", "of the container; none chooses one")
	fs.StringArrayVarP(&r.Env, "env", "e", nil, "a variable, `NAME=VALUE`; may be repeated")
	fs.Float64Var(&r.CPU, "cpu", 0, "cores; 0 is no limit")
	memory := fs.String("memory", "", "such as 512MiB; none is no limit")
	fs.StringVar(&r.Network, "network", "", "bridge, host, none, or a named one")
	ports := fs.StringArrayP("port", "p", nil, "`INSIDE[:OUTSIDE]`; without OUTSIDE one is chosen; may be repeated")
	fs.StringToStringVar(&r.Labels, "label", nil, "labels that the machine must have, `NAME=VALUE`")
	fs.BoolVarP(&r.Detach, "detach", "d", false, "only start it; it stays until it is removed")
	if code, done := c.parse(fs, args, 1, -1); done {
		return code
	}
	r.Image, r.Command = fs.Arg(0), command(fs.Args()[1:])
	var err error
	if r.Memory, err = byteSize(*memory); err != nil {
		return c.wrong("%v", err)
	}
	if r.Ports, err = portMap(*ports); err != nil {
		return c.wrong("%v", err)
	}
	return c.attach(false, func(ctx context.Context, client *api.Client, ends api.Streams) (int, error) {
		ends.In = nil
		result, err := client.Run(ctx, r, ends)
		if err == nil && r.Detach {
			err = c.show(result, func(w io.Writer) { fmt.Fprintf(w, "%s runs on %s\n", result.Instance.ID, result.Instance.Node) })
		}
		return result.Exit, err
	})
}

// byteSize reads 512MiB; "" is 0.
func byteSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimRight(text, "KMGTiB")
	units := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
	unit, known := units[text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("size %q is not such as 512MiB", text)
	}
	return n * unit, nil
}

// portMap reads 8080 and 8080:80.
func portMap(texts []string) (map[int]int, error) {
	ports := map[int]int{}
	for _, text := range texts {
		inside, outside, fixed := strings.Cut(text, ":")
		in, err := portNumber(inside)
		if err != nil {
			return nil, err
		}
		out := 0
		if fixed {
			if out, err = portNumber(outside); err != nil {
				return nil, err
			}
		}
		ports[in] = out
	}
	return ports, nil
}

func portNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is no number from 1 to 65535", text)
	}
	return int(n), nil
}
