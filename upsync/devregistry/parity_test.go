package devregistry

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The scenarios of testdata/parity are what real Consul 1.19.2 answered. They
// are played against the development registry always, and against real Consul
// when SPILLWAY_CONSUL names its binary. With -rewrite they are recorded
// again, from real Consul only.
//
//	# a comment
//	GET /v1/kv/a?recurse        a request; {index}, {modify} and {id} stand for
//	> body                      the last X-Consul-Index, ModifyIndex and ID seen
//	SETTLE GET ...              asked again until the answer stays the same
//	WAIT GET ...                a blocking query, sent in the background
//	STILL                       the query of WAIT has not been answered
//	JOIN                        the answer to the query of WAIT
//	< ...                       what was answered
//
// Indexes are written as their rank among all of the scenario (#1 is the
// lowest), so that equality and order are compared and not absolute values.
var rewrite = flag.Bool("rewrite", false, "record testdata/parity from the Consul of SPILLWAY_CONSUL")

// target is a registry to play a scenario against.
type target struct {
	name  string
	start func(t *testing.T) running
}

// running is a target that serves: blocked returns once a blocking query that
// was sent is known to wait.
type running struct {
	url     string
	blocked func(ctx context.Context) error
}

func targets() []target {
	all := []target{{"devregistry", startDev}}
	if bin := os.Getenv("SPILLWAY_CONSUL"); bin != "" {
		all = append(all, target{"consul", func(t *testing.T) running { return startConsul(t, bin) }})
	}
	return all
}

func startDev(t *testing.T) running {
	r := New(Options{Node: "n1", Logger: quiet})
	s, err := r.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		r.Close()
	})
	return running{s.URL(), func(ctx context.Context) error { return r.AwaitBlocked(ctx, "/", 1) }}
}

func freePort(t *testing.T) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func startConsul(t *testing.T, bin string) running {
	port := freePort(t)
	cmd := exec.Command(bin, "agent", "-dev", "-node", "n1", "-http-port", strconv.Itoa(port),
		"-server-port", strconv.Itoa(freePort(t)), "-serf-lan-port", strconv.Itoa(freePort(t)),
		"-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	eventually(t, ctx, func() bool {
		resp, err := http.Get(url + "/v1/health/service/consul")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return bytes.Contains(body, []byte("serfHealth")) && bytes.Contains(body, []byte("lan_ipv4"))
	})
	return running{url, func(context.Context) error {
		//arch:allow sleep: nothing tells from outside when Consul has taken a blocking query in
		time.Sleep(blockedSoon)
		return nil
	}}
}

// blockedSoon is how long real Consul gets to take a blocking query in.
const blockedSoon = 150 * time.Millisecond

func eventually(t *testing.T, ctx context.Context, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
}

// reply is one answer as the scenario compares it.
type reply struct {
	status  int
	headers []string
	body    string
}

// player plays one scenario and remembers what its variables stand for.
type player struct {
	t *testing.T
	running
	client  *http.Client
	index   string
	modify  string
	id      string
	ids     map[string]string
	waiting chan reply
}

func (p *player) do(method, path, body string) reply {
	req, err := http.NewRequest(method, p.url+p.expand(path), strings.NewReader(p.expand(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, body: compact(raw)}
	for _, name := range []string{
		"Content-Type", "X-Consul-Index", "X-Consul-Knownleader", "X-Consul-Lastcontact",
		"X-Consul-Effective-Consistency", "X-Consul-Query-Backend", "X-Consul-Reason", "Allow", "Location",
	} {
		if v := resp.Header.Get(name); v != "" {
			r.headers = append(r.headers, name+": "+v)
		}
	}
	return r
}

func compact(raw []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) == nil {
		return b.String()
	}
	return strings.TrimRight(string(raw), "\n")
}

var (
	modifyIndex = regexp.MustCompile(`"ModifyIndex":(\d+)`)
	uuid        = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	indexField  = regexp.MustCompile(`("(?:Modify|Create)Index":|X-Consul-Index: |current modify index )(\d+)`)
	contentHash = regexp.MustCompile(`"ContentHash":"[0-9a-f]+"`)
	volatile    = regexp.MustCompile(`("version":"1.19.2"|"(?:non_voter|raft_version|read_replica|serf_protocol_\w+)":"\w+",?|127.0.0.1:\d+)`)
)

// remember takes the variables from an answer.
func (p *player) remember(r reply) {
	for _, h := range r.headers {
		if v, ok := strings.CutPrefix(h, "X-Consul-Index: "); ok {
			p.index = v
		}
	}
	if m := modifyIndex.FindAllStringSubmatch(r.body, -1); m != nil {
		p.modify = m[len(m)-1][1]
	}
	if strings.HasPrefix(r.body, `{"ID":`) {
		p.id = uuid.FindString(r.body)
	}
}

func (p *player) expand(s string) string {
	return strings.NewReplacer("{index}", p.index, "{modify}", p.modify, "{id}", p.id).Replace(s)
}

// settle asks until two answers in a row are the same: an agent brings what
// was registered with it to the catalog a little later.
func (p *player) settle(method, path, body string) reply {
	last := p.do(method, path, body)
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	eventually(p.t, ctx, func() bool {
		now := p.do(method, path, body)
		same := cmp.Equal(now, last, cmp.AllowUnexported(reply{}))
		last = now
		return same
	})
	return last
}

// play runs the scenario's requests and returns it with the answers it got.
func (p *player) play(script string) string {
	var out strings.Builder
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "< ") || strings.HasPrefix(line, "> ") {
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintln(&out, line)
		body := ""
		if i+1 < len(lines) {
			if b, ok := strings.CutPrefix(lines[i+1], "> "); ok {
				body = b
				fmt.Fprintln(&out, lines[i+1])
			}
		}
		p.step(&out, line, body)
	}
	return strings.TrimRight(ranked(p.symbols(out.String())), "\n") + "\n"
}

func (p *player) step(out io.Writer, line, body string) {
	var r reply
	words := strings.Fields(line)
	switch words[0] {
	case "SETTLE":
		r = p.settle(words[1], words[2], body)
	case "WAIT":
		waiting := make(chan reply, 1)
		p.waiting = waiting
		path := p.expand(words[2])
		go func() { waiting <- p.do(words[1], path, body) }()
		if err := p.blocked(p.t.Context()); err != nil {
			p.t.Error(err)
		}
		return
	case "STILL":
		select {
		case r := <-p.waiting:
			p.t.Errorf("answered too early: %+v", r)
			p.waiting <- r
		case <-time.After(200 * time.Millisecond): // a wait that must not end
		}
		return
	case "JOIN":
		r = <-p.waiting
	default:
		r = p.do(words[0], words[1], body)
	}
	p.remember(r)
	fmt.Fprintf(out, "< %d\n", r.status)
	for _, h := range r.headers {
		fmt.Fprintf(out, "< %s\n", h)
	}
	if r.body != "" {
		fmt.Fprintf(out, "< %s\n", r.body)
	}
}

// symbols replaces what differs from run to run.
func (p *player) symbols(s string) string {
	s = uuid.ReplaceAllStringFunc(s, func(id string) string {
		if p.ids[id] == "" {
			p.ids[id] = fmt.Sprintf("uuid-%d", len(p.ids)+1)
		}
		return p.ids[id]
	})
	s = contentHash.ReplaceAllString(s, `"ContentHash":"hash"`)
	return volatile.ReplaceAllStringFunc(s, func(v string) string {
		if strings.HasPrefix(v, "127.0.0.1:") {
			return "127.0.0.1:port"
		}
		if v == `"version":"1.19.2"` {
			return v
		}
		return ""
	})
}

// ranked writes every index as its rank.
func ranked(s string) string {
	var all []uint64
	for _, m := range indexField.FindAllStringSubmatch(s, -1) {
		n, _ := strconv.ParseUint(m[2], 10, 64)
		all = append(all, n)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return indexField.ReplaceAllStringFunc(s, func(v string) string {
		m := indexField.FindStringSubmatch(v)
		n, _ := strconv.ParseUint(m[2], 10, 64)
		return fmt.Sprintf("%s#%d", m[1], slices.Index(all, n)+1)
	})
}

func TestAnswersLikeConsul(t *testing.T) {
	files, err := filepath.Glob("testdata/parity/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, tg := range targets() {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			t.Run(tg.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				playFile(t, tg, file)
			})
		}
	}
}

func playFile(t *testing.T, tg target, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	p := &player{t: t, running: tg.start(t), ids: make(map[string]string), client: &http.Client{
		Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	got := p.play(string(want))
	if *rewrite && tg.name == "consul" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if *rewrite {
		return
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s answers differently than %s says (-file +answer):\n%s", tg.name, file, diff)
	}
}
