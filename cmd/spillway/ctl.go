package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"spillway/scaler/api"
)

// exitCtlUsage is how ctl ends when it was typed wrong. Its other codes are 0
// and 1, and for exec and run that of the command: 64 is one that commands
// hardly have.
const exitCtlUsage = 64

// ctlVerb is what stands after "spillway ctl".
type ctlVerb struct {
	words, args, about string
	run                func(c *ctl, args []string) int
}

// ctlVerbs lists them in the order in which help shows them.
func ctlVerbs() []ctlVerb {
	return append(scalerCtlVerbs(), upstreamVerbs()...)
}

func scalerCtlVerbs() []ctlVerb {
	return []ctlVerb{
		{"scaler status", "", "apps, pools of machines, orders and spend at a glance", (*ctl).status},
		{"scaler why", "APP [--at TIME]", "why an app has its size: inputs, candidates, clamps", (*ctl).why},
		{"scaler plan", "", "what the scaler would do now; nothing is done", (*ctl).plan},
		{"scaler scale", "APP[/POOL] +N|-N [--ttl 1h]", "N instances more or fewer, until the ttl has passed", (*ctl).scale},
		{"scaler pause", "[APP] [--ttl 1h]", "change nothing of an app, or of all, until the ttl has passed", (*ctl).pause},
		{"scaler resume", "[APP]", "end pause and scale of an app, or of all", (*ctl).resume},
		{"scaler audit", "[--limit N]", "what was ordered lately, by whom", (*ctl).audit},
		{"node list", "", "the machines", (*ctl).nodes},
		{"node cordon", "ID", "no new containers", nodeVerb(api.Cordon)},
		{"node drain", "ID", "move its containers away, then give it back", nodeVerb(api.Drain)},
		{"node undrain", "ID", "take cordon and drain back", nodeVerb(api.Undrain)},
		{"node replace", "ID", "order another one, then drain", nodeVerb(api.Replace)},
		{"ps", "[APP]", "the containers", (*ctl).ps},
		{"logs", "INSTANCE [--follow]", "what a container writes", (*ctl).logs},
		{"exec", "INSTANCE [COMMAND...]", "a command in a container, on whatever machine; sh if none is named", (*ctl).exec},
		{"run", "IMAGE [COMMAND...]", "a container that belongs to no app", (*ctl).runOnce},
	}
}

// ctl is one invocation of "spillway ctl". The flags that all verbs have are
// read into it.
type ctl struct {
	*terminal
	console console
	now     func() time.Time
	verb    ctlVerb

	address, tokenFile, caFile, output, user string
	timeout                                  time.Duration
}

// ctl asks a running scaler, or a gateway.
func (t *terminal) ctl(args []string) int {
	c := &ctl{terminal: t, console: console{os.Stdin, os.Stdout}, now: time.Now}
	return c.dispatch(args)
}

func (c *ctl) dispatch(args []string) int {
	if len(args) > 1 && args[0] == "scaler" && args[1] == "node" {
		args = args[1:] // nodes are the scaler's, after all
	}
	for _, v := range ctlVerbs() {
		n := len(strings.Fields(v.words))
		if len(args) >= n && strings.Join(args[:n], " ") == v.words {
			c.verb = v
			return v.run(c, args[n:])
		}
	}
	switch {
	case len(args) == 0:
		c.ctlUsage(c.err, "")
	case slices.Contains([]string{"help", "-h", "--help"}, args[len(args)-1]):
		c.ctlUsage(c.out, strings.Join(args[:len(args)-1], " "))
		return exitOK
	case isGroup(args[0]) && len(args) == 1:
		c.ctlUsage(c.err, args[0])
	default:
		return c.wrong("unknown verb %q", strings.Join(args[:min(len(args), 2)], " "))
	}
	return exitCtlUsage
}

func isGroup(word string) bool {
	return slices.ContainsFunc(ctlVerbs(), func(v ctlVerb) bool { return strings.HasPrefix(v.words, word+" ") })
}

// ctlUsage lists the verbs, or those of one group.
func (c *ctl) ctlUsage(w io.Writer, group string) {
	fmt.Fprint(w, "usage: spillway ctl VERB [FLAGS]\n\n")
	for _, v := range ctlVerbs() {
		if isGroup(group) && !strings.HasPrefix(v.words, group+" ") {
			continue
		}
		fmt.Fprintf(w, "  %-43s %s\n", strings.TrimSpace(v.words+" "+v.args), v.about)
	}
	fmt.Fprint(w, `
Verbs marked "gateway:" ask the admin server of one gateway (--address, 127.0.0.1:9901), the others a scaler;
any scaler of the cluster will do: it sends ctl to the leader. Variables stand in for flags:
SPILLWAY_CTL_GATEWAY (address of the gateway), SPILLWAY_CTL_ADDRESS (of the scaler), SPILLWAY_CTL_TOKEN,
SPILLWAY_CTL_TOKEN_FILE, SPILLWAY_CTL_CA_FILE, SPILLWAY_CTL_OUTPUT.
`+"`spillway ctl VERB --help`"+` lists the flags of a verb. Exit codes: 0 ok, 1 failure, 64 usage; exec and run
end with the command's.
`)
}

// wrong says that something was typed wrong.
func (c *ctl) wrong(format string, args ...any) int {
	name := strings.TrimSpace("ctl " + c.verb.words)
	fmt.Fprintf(c.err, "spillway: "+name+": "+format+"; see spillway "+name+" --help\n", args...)
	return exitCtlUsage
}

// fail says what went wrong.
func (c *ctl) fail(err error) int {
	fmt.Fprintf(c.err, "spillway: %v\n", err)
	return exitFailure
}

// flags returns the flag set of a verb, with those that all have.
func (c *ctl) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("ctl "+c.verb.words, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	fs.Usage = func() {
		fmt.Fprintf(c.out, "usage: spillway ctl %s [FLAGS]\n\n%s.\n\n%s", strings.TrimSpace(c.verb.words+" "+c.verb.args), c.verb.about, fs.FlagUsages())
	}
	fs.StringVar(&c.address, "address", c.variable("ADDRESS", api.DefaultListen), "`ADDRESS` of a scaler: host:port, http(s)://host:port or unix:/path")
	fs.StringVar(&c.tokenFile, "token-file", c.variable("TOKEN_FILE", ""), "`FILE` with the token that changes need")
	fs.StringVar(&c.caFile, "ca-file", c.variable("CA_FILE", ""), "`FILE` with the authority (PEM) behind an https address; none is the system's")
	fs.StringVar(&c.output, "output", c.variable("OUTPUT", "text"), "text or json")
	fs.StringVar(&c.user, "user", c.self(), "who asks, for the audit log")
	fs.DurationVar(&c.timeout, "timeout", 30*time.Second, "longest time to wait for an answer")
	return fs
}

func (c *ctl) variable(name, without string) string {
	if v, ok := c.env("SPILLWAY_CTL_" + name); ok && v != "" {
		return v
	}
	return without
}

// self is the user and the machine.
func (c *ctl) self() string {
	user, _ := c.env("USER")
	if user == "" {
		user = fmt.Sprintf("uid-%d", os.Getuid())
	}
	host, err := os.Hostname()
	if err != nil {
		return user
	}
	return user + "@" + host
}

// parse reads flags and counts arguments. done says that ctl ends here.
func (c *ctl) parse(fs *pflag.FlagSet, args []string, least, most int) (code int, done bool) {
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK, true
	case err != nil:
		return c.wrong("%v", err), true
	case fs.NArg() < least:
		return c.wrong("%s is missing", strings.Fields(c.verb.args)[fs.NArg()]), true
	case most >= 0 && fs.NArg() > most:
		return c.wrong("unexpected argument %q", fs.Arg(most)), true
	case c.output != "text" && c.output != "json":
		return c.wrong("output %q is neither text nor json", c.output), true
	}
	return exitOK, false
}

// client is one that asks as the flags say.
func (c *ctl) client() (*api.Client, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	o := api.ClientOptions{Address: c.address, Token: token, User: c.user, Timeout: c.timeout}
	if o.TLS, err = c.tls(); err != nil {
		return nil, err
	}
	return api.NewClient(o)
}

// tls trusts the authority that was named, nil if none was.
func (c *ctl) tls() (*tls.Config, error) {
	if c.caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read authority: %w", err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot read authority %q: no certificate in it", c.caFile)
	}
	return cfg, nil
}

// token comes from a file or a variable; a flag would show it to everyone on
// the machine.
func (c *ctl) token() (string, error) {
	if c.tokenFile == "" {
		return c.variable("TOKEN", ""), nil
	}
	text, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return "", fmt.Errorf("cannot read token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// ask asks with f until a signal ends it.
func (c *ctl) ask(f func(ctx context.Context, client *api.Client) error) int {
	client, err := c.client()
	if err != nil {
		return c.fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := f(ctx, client); err != nil {
		return c.fail(err)
	}
	return exitOK
}

// show prints an answer: JSON as it came, or the text that print makes of it.
func (c *ctl) show(v any, print func(w io.Writer)) error {
	if c.output == "text" {
		print(c.out)
		return nil
	}
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
