package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/api"
)

// ctlBackend is a scaler that has one of everything and keeps what it was
// asked to do.
type ctlBackend struct {
	mu    sync.Mutex
	asked []any
	exec  func(ctx context.Context, r api.ExecRequest, s api.Streams) (int, error)
}

var ctlNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (b *ctlBackend) note(v any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, v)
}

// take returns what was asked since the last take.
func (b *ctlBackend) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

func (b *ctlBackend) Leader() (bool, string) { return true, "" }
func (b *ctlBackend) Ready() (bool, string)  { return true, "" }

func (b *ctlBackend) Status(context.Context) (api.Status, error) {
	eta := time.Now().Add(40 * time.Second)
	return api.Status{
		Cluster: "c1", Node: "s-1", Leader: true, DryRun: true, Tick: time.Now(), Alarms: []string{"zone b has no stock"},
		Apps: []api.App{{
			Name: "web", Want: 12.5, Ready: 8, Booting: 4, States: map[string]int{"serving": 8, "gone": 0}, P95: 12.25, Coverage: 1,
			LeadMS: 42_000, ETA: &eta, Flags: []string{"bottleneck-elsewhere"}, Override: &api.Override{App: "web", Delta: -1, By: "ann"},
		}},
		Pools:  []api.Pool{{Name: "public", Provider: "local", States: map[string]int{"ready": 2, "booting": 1}, Units: 8, PriceHour: 0.5}},
		Orders: []api.Order{{ID: "public-3-0", Pool: "public", Type: "small", Zone: "a", Count: 2, State: "ambiguous", Reason: "timed out"}},
		Spend:  api.Spend{RateHour: 1.5, Hour: 0.75, LimitDay: 20},
	}, nil
}

func (b *ctlBackend) Why(_ context.Context, app string, at time.Time) (api.Why, error) {
	if app != "web" {
		return api.Why{}, fmt.Errorf("app %q: %w", app, api.ErrNotFound)
	}
	b.note(at)
	return api.Why{
		App: app, At: ctlNoon, Want: 12, Have: 8, Urgent: true, Winner: "panic",
		Candidates: []api.Candidate{{Rule: "panic", Units: 20, Why: "in flight above the limit"}},
		Clamps:     []api.Clamp{{Limit: "max", From: 20, To: 12, Why: "max_units"}},
		Refused:    map[string]int{"memory": 12}, Reasons: []string{"vm-1 memory: short by 300 MiB"},
		Inputs: map[string]float64{"rate": 1234.5}, Flags: []string{"no-data"},
	}, nil
}

func (b *ctlBackend) Plan(context.Context) (api.Plan, error) {
	return api.Plan{At: ctlNoon, Actions: []api.Action{{Kind: "order", Pool: "public", Target: "small/a", Count: 3, Why: "12 units short"}}}, nil
}

func (b *ctlBackend) Nodes(context.Context) ([]api.Node, error) {
	return []api.Node{{ID: "public-3-1", State: "ready", Address: "10.0.0.5", Instances: 2, Since: time.Now().Add(-90 * time.Minute)}}, nil
}

func (b *ctlBackend) Ps(_ context.Context, app string) ([]api.Instance, error) {
	b.note(app)
	return []api.Instance{{ID: "web-1", App: "web", Node: "public-3-1", State: "serving", Address: "10.0.0.5:20000", Since: time.Now()}}, nil
}

func (b *ctlBackend) Scale(_ context.Context, r api.ScaleRequest) (api.Override, error) {
	b.note(r)
	return api.Override{App: r.App, Pool: r.Pool, Delta: r.Delta, Until: ctlNoon, By: r.By, Reason: r.Reason}, nil
}

func (b *ctlBackend) Pause(_ context.Context, r api.PauseRequest) (api.Override, error) {
	b.note(r)
	return api.Override{App: r.App, Paused: true, Until: ctlNoon, By: r.By}, nil
}

func (b *ctlBackend) Resume(_ context.Context, r api.ResumeRequest) error { b.note(r); return nil }

func (b *ctlBackend) NodeAction(_ context.Context, r api.NodeRequest) (api.Node, error) {
	b.note(r)
	return api.Node{ID: r.ID, State: "draining"}, nil
}

func (b *ctlBackend) Exec(ctx context.Context, r api.ExecRequest, s api.Streams) (int, error) {
	b.note(r)
	return b.exec(ctx, r, s)
}

func (b *ctlBackend) Run(_ context.Context, r api.RunRequest, s api.Streams) (api.RunResult, error) {
	b.note(r)
	result := api.RunResult{Instance: api.Instance{ID: "run-1", Node: "vm-1"}}
	if !r.Detach {
		fmt.Fprintln(s.Out, "out of it")
		fmt.Fprintln(s.Err, "complaint")
		result.Exit = 17
	}
	return result, nil
}

func (b *ctlBackend) Logs(_ context.Context, r api.LogsRequest, out io.Writer) error {
	b.note(r)
	fmt.Fprintln(out, "a line of log")
	return nil
}

// serveCtl serves the backend with the token "secret" and returns its address.
func serveCtl(t *testing.T, b api.Backend) string {
	t.Helper()
	s, err := api.New(api.Options{Listen: "127.0.0.1:0", Token: "secret", Backend: b, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// typedTo runs ctl inside the test, against that address.
func typedTo(address string, env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	t := &terminal{out: &out, err: &err, env: func(name string) (string, bool) {
		if v, ok := env[name]; ok {
			return v, true
		}
		v, ok := map[string]string{"SPILLWAY_CTL_ADDRESS": address, "SPILLWAY_CTL_TOKEN": "secret", "USER": "ann"}[name]
		return v, ok
	}}
	code = t.run(append([]string{"ctl"}, args...))
	return code, out.String(), err.String()
}

func TestCtl(t *testing.T) {
	b := &ctlBackend{exec: func(_ context.Context, r api.ExecRequest, s api.Streams) (int, error) {
		fmt.Fprintf(s.Out, "%q tty=%v", r.Command, r.TTY)
		return 5, nil
	}}
	address := serveCtl(t, b)
	for _, c := range []struct {
		args   string
		code   int
		out    string // in stdout; several, divided by |
		stderr string // in stderr
	}{
		{"scaler status", 0, "cluster c1, led by s-1|DRY RUN|ALARM: zone b has no stock|12.5|serving 8|bottleneck-elsewhere; more in|-1 instances until|booting 1, ready 2|ambiguous|1.5 an hour now; 0.75 this hour, 0 today of 20", ""},
		{"scaler status --output json", 0, `"cluster": "c1"|"lead_ms": 42000`, ""},
		{"scaler why web", 0, "12 units wanted, 8 there, urgent; decided by panic|in flight above the limit|max_units|memory 12|short by 300 MiB|1234.5|flag no-data", ""},
		{"scaler why other", 1, "", `spillway: app "other": not found`},
		{"scaler why", 64, "", "ctl scaler why: APP is missing; see spillway ctl scaler why --help"},
		{"scaler why web --at tomorrow", 64, "", "is neither"},
		{"scaler plan", 0, "nothing of this was done|small/a|12 units short", ""},
		{"scaler scale web +2 --reason launch", 0, "web: +2 instances until|(launch)", ""},
		{"scaler scale web/spot -1", 0, "web/spot: -1 instances", ""},
		{"scaler scale web 2", 64, "", `unexpected argument "2"`},
		{"scaler scale web", 64, "", "say how many more or fewer"},
		{"scaler scale web +0", 64, "", "say how many"},
		{"scaler scale +1", 64, "", "APP[/POOL] is missing"},
		{"scaler scale web +1 --ttl 0s", 64, "", "not above 0"},
		{"scaler pause web --ttl 10m", 0, "web: paused until", ""},
		{"scaler pause", 0, "all apps: paused until", ""},
		{"scaler resume web", 0, "web: resumed", ""},
		{"scaler audit", 0, "POST /api/v1/apps/web/scale|ann@", ""},
		{"node list", 0, "public-3-1|10.0.0.5|1h", ""},
		{"node drain vm-1 --reason old", 0, "vm-1: draining", ""},
		{"scaler node cordon vm-1", 0, "vm-1: draining", ""},
		{"node drain", 64, "", "ID is missing"},
		{"node drain a b", 64, "", `unexpected argument "b"`},
		{"node explode a", 64, "", `unknown verb "node explode"`},
		{"ps", 0, "web-1|serving|10.0.0.5:20000", ""},
		{"ps web --output json", 0, `"address": "10.0.0.5:20000"`, ""},
		{"ps --output yaml", 64, "", "neither text nor json"},
		{"logs web-1 --tail 5", 0, "a line of log", ""},
		{"exec web-1 ls -l --all", 5, `["ls" "-l" "--all"] tty=false`, ""},
		{"exec -T web-1 -- ls", 5, `["ls"] tty=false`, ""},
		{"exec web-1", 5, `["sh"]`, ""},
		{"exec", 64, "", "INSTANCE is missing"},
		{"run img echo -n", 17, "out of it", "complaint"},
		{"run --detach img", 0, "run-1 runs on vm-1", ""},
		{"run --memory lots img", 64, "", "is not such as 512MiB"},
		{"run --port x img", 64, "", `port "x"`},
		{"run --nonsense img", 64, "", "unknown flag: --nonsense"},
		{"", 64, "", "usage: spillway ctl VERB"},
		{"--help", 0, "scaler status", ""},
		{"scaler", 64, "", "scaler status"},
		{"node --help", 0, "node drain", ""},
		{"exec --help", 0, "--no-tty", ""},
		{"nonsense", 64, "", `unknown verb "nonsense"`},
		{"ps --ca-file /nonexistent", 1, "", "cannot read authority"},
		{"ps --token-file /nonexistent", 1, "", "cannot read token"},
		{"ps --address ftp://x", 1, "", "is neither host:port"},
		{"ps --address 127.0.0.1:1", 1, "", "cannot reach the scaler"},
	} {
		code, out, stderr := typedTo(address, nil, strings.Fields(c.args)...)
		for _, part := range strings.Split(c.out, "|") {
			if !strings.Contains(out, part) {
				t.Errorf("ctl %s: %q is not in\n%s", c.args, part, out)
			}
		}
		if code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("ctl %s: exit code %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, out, stderr)
		}
	}
}

// What is typed arrives as it was meant.
func TestCtlAsks(t *testing.T) {
	b := &ctlBackend{}
	address := serveCtl(t, b)
	by := (&ctl{terminal: &terminal{env: func(name string) (string, bool) { return "ann", name == "USER" }}}).self()
	for _, c := range []struct {
		args string
		want any
	}{
		{"scaler scale --ttl 90m web/spot -12 --reason sale", api.ScaleRequest{App: "web", Pool: "spot", Delta: -12, TTL: 90 * time.Minute, Reason: "sale", By: by}},
		{"scaler scale web +3", api.ScaleRequest{App: "web", Delta: 3, TTL: time.Hour, By: by}},
		{"scaler scale web +3 --user bob", api.ScaleRequest{App: "web", Delta: 3, TTL: time.Hour, By: "bob"}},
		{"scaler pause --ttl 5m", api.PauseRequest{TTL: 5 * time.Minute, By: by}},
		{"scaler resume web --reason over", api.ResumeRequest{App: "web", Reason: "over", By: by}},
		{"node replace vm-1", api.NodeRequest{ID: "vm-1", Action: api.Replace, By: by}},
		{"node undrain vm/1", api.NodeRequest{ID: "vm/1", Action: api.Undrain, By: by}},
		{"logs web-1 -f", api.LogsRequest{Instance: "web-1", Tail: -1, Follow: true}},
		{"ps web", "web"},
		{"scaler why web --at 2026-03-01T12:00:00Z", ctlNoon},
		{
			"run -d --name n --cpu 0.5 --memory 512MiB -e A=1 -e B=2,3 -p 80 -p 443:8443 --label idc=x --network host img c --d",
			api.RunRequest{
				Image: "img", Command: []string{"c", "--d"}, Name: "n", Env: []string{"A=1", "B=2,3"}, CPU: 0.5, Memory: 512 << 20,
				Network: "host", Ports: map[int]int{80: 0, 443: 8443}, Labels: map[string]string{"idc": "x"}, Detach: true, By: by,
			},
		},
	} {
		code, _, stderr := typedTo(address, nil, strings.Fields(c.args)...)
		if diff := cmp.Diff([]any{c.want}, b.take()); code != 0 || diff != "" {
			t.Errorf("ctl %s: exit code %d %s (-want +got)\n%s", c.args, code, stderr, diff)
		}
	}
}

func TestCtlTakesTheTokenFromAFile(t *testing.T) {
	address := serveCtl(t, &ctlBackend{})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := map[string]string{"SPILLWAY_CTL_TOKEN": "wrong"}
	if code, _, stderr := typedTo(address, wrong, "node", "drain", "vm-1"); code != 1 || !strings.Contains(stderr, "send Authorization") {
		t.Errorf("with a wrong token: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := typedTo(address, wrong, "node", "drain", "vm-1", "--token-file", file); code != 0 {
		t.Errorf("with the file: exit code %d, %s", code, stderr)
	}
}

func TestInstant(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-02-01T12:00:00Z": "2026-02-01T12:00:00Z",
		"5m":                   "2026-03-01T10:25:00Z",
		"1h30m ago":            "2026-03-01T09:00:00Z",
		"10:00":                "2026-03-01T10:00:00Z",
		"10:15:30":             "2026-03-01T10:15:30Z",
		"11:00":                "2026-02-28T11:00:00Z", // the last one there was
		"":                     "0001-01-01T00:00:00Z",
	} {
		got, err := instant(text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "-5m", "25:00", "2026-03-01"} {
		if at, err := instant(text, now); err == nil {
			t.Errorf("%q is taken as %v", text, at)
		}
	}
}

func TestCtlJSONIsWhatTheAPISays(t *testing.T) {
	_, out, _ := typedTo(serveCtl(t, &ctlBackend{}), nil, "node", "list", "--output", "json")
	var nodes []api.Node
	if err := json.Unmarshal([]byte(out), &nodes); err != nil || len(nodes) != 1 || nodes[0].ID != "public-3-1" {
		t.Errorf("%v in %s", err, out)
	}
}
