package hostinit_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/scaler/hostinit"
	"spillway/scaler/hostinit/join"
	"spillway/scaler/hostinit/machine"
)

// sandbox runs scripts with a root directory of their own and programs that
// only write down how they were called.
type sandbox struct {
	t         *testing.T
	root, bin string
}

func newSandbox(t *testing.T, programs map[string]string) *sandbox {
	t.Helper()
	s := &sandbox{t: t, root: t.TempDir(), bin: t.TempDir()}
	for name, body := range programs {
		s.program(name, body)
	}
	return s
}

func (s *sandbox) program(name, body string) {
	s.t.Helper()
	text := fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%s/calls\n%s\n", name, s.root, body)
	if err := os.WriteFile(filepath.Join(s.bin, name), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) run(script string) string {
	s.t.Helper()
	path := filepath.Join(s.root, "script")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), "timeout", "30", "sh", path)
	cmd.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "SPILLWAY_ROOT=" + s.root}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v:\n%s", err, out)
	}
	return string(out)
}

func (s *sandbox) read(path string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, path))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// machinePrograms are those of a machine whose pulls fail.
func machinePrograms() map[string]string {
	return map[string]string{
		"cloud-init": "echo i-42", "hostname": "echo m1", "systemctl": "", "apt-get": "", "dockerd": "",
		"docker": `case $1 in version) echo 20.10.24 ;; pull) exit 1 ;; esac`,
		"ip": `case "$*" in
			*get*) echo "192.0.2.1 via 10.0.0.1 dev eth0 src 10.0.0.7 uid 0" ;;
			*replace*) echo "$3 via $5 dev eth0 " >"$0.routes" ;;
			*show*) cat "$0.routes" 2>/dev/null ;;
		esac`,
	}
}

// desk is the scaler's side.
type desk struct {
	t      *testing.T
	ca     *join.CA
	claims join.DirClaims
	url    string

	mu      sync.Mutex
	handler http.Handler
	stages  []join.Stage
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	ca, err := join.OpenCA(join.CAOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, ca: ca, claims: join.DirClaims(t.TempDir())}
	d.forget()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		h := d.handler
		d.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	cert, err := ca.Server([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	t.Cleanup(s.Close)
	d.url = s.URL
	return d
}

// forget begins anew, as a scaler that was restarted does.
func (d *desk) forget() {
	h := join.NewServer(join.Options{
		CA: d.ca, Claims: d.claims, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Belongs: func(order, id string) (join.Listed, bool) {
			return join.Listed{Name: "m1", Address: "10.0.0.7"}, order == "web-1" && id == "i-42"
		},
		Config: func(_, _ string, at join.Listed) join.Config {
			return join.Config{Labels: map[string]string{"ip": at.Address}}
		},
		Reached: func(st join.Stage) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.stages = append(d.stages, st)
		},
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handler, d.stages = h, nil
}

func TestTheScriptMakesADockerHost(t *testing.T) {
	d, s := newDesk(t), newSandbox(t, machinePrograms())
	all := layers()
	web := all["web"]
	web.ID, web.Hold = "cloud-init query instance_id", 1
	all["web"] = web
	b := hostinit.Boot{Scaler: d.url, CA: string(d.ca.PEM()), Token: d.ca.Token("web-1", time.Time{}), Lease: time.Hour}
	text, err := resolve(t, all, "web").Render(b, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	out := s.run(string(text))
	var names []string
	for _, st := range d.stages {
		names = append(names, st.Name)
		if (st.Error != "") != (st.Name == machine.Images) || time.Since(st.At) > time.Minute {
			t.Errorf("stage %+v", st)
		}
	}
	if got := strings.Join(names, " "); got != strings.Join(machine.Stages(), " ") {
		t.Errorf("told %q\n%s", got, out)
	}
	if _, err := tls.LoadX509KeyPair(s.root+"/var/lib/spillway/tls/cert.pem", s.root+"/var/lib/spillway/tls/key.pem"); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		"etc/docker/daemon.json": `"ip=10.0.0.7"`,
		"etc/resolv.conf":        "nameserver 10.0.0.2\nnameserver 10.0.0.9\n",
		"etc/motd":               "it's web\n",
		"etc/systemd/system/docker.service.d/spillway.conf": "-H tcp://10.0.0.7:2376 --tlsverify",
		"calls": "systemctl enable --now spillway-lease",
	} {
		if got := s.read(path); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", path, got, want)
		}
	}
	for _, call := range []string{"apt-get install -y -qq docker.io", "docker pull -q app:1", "ip route replace 10.8.0.0/16 via 10.0.0.1"} {
		if !strings.Contains(s.read("calls"), call) {
			t.Errorf("no call %q in\n%s", call, s.read("calls"))
		}
	}
	renews(t, s, d)
	leases(t, s.read("usr/local/sbin/spillway-lease"))
}

// renews runs the lease's script for two looks beside a scaler that forgot
// what the machine had told.
func renews(t *testing.T, s *sandbox, d *desk) {
	s.program("iptables", "")
	s.program("sleep", `n=$(wc -l <"$0.n" 2>/dev/null || echo 0); echo >>"$0.n"; [ "$n" -lt 1 ] || kill $PPID`)
	d.forget()
	out := s.run("sh " + s.root + "/usr/local/sbin/spillway-lease; exit 0")
	var names []string
	for _, st := range d.stages {
		names = append(names, st.Name)
	}
	if got := strings.Join(names, " "); got != "running address phone-home docker settled lease lease" {
		t.Errorf("told %q\n%s", got, out)
	}
}

// leases runs the lease's script, which has an hour, in worlds where a look
// takes 1,000 seconds.
func leases(t *testing.T, script string) {
	for name, tt := range map[string]struct {
		iptables, curl string
		ends           bool
	}{
		"idle, scaler away":           {`echo "  7 700 all -- * * 0.0.0.0/0 0.0.0.0/0 /* requests */"`, "exit 7", true},
		"idle, scaler there":          {`echo "  7 700 all -- * * 0.0.0.0/0 0.0.0.0/0 /* requests */"`, "", false},
		"requests, scaler away":       {`echo "  $(wc -l <"$0.calls") 700 all -- * * /* requests */"; echo >>"$0.calls"`, "exit 7", false},
		"nobody counts, scaler away":  {"exit 1", "exit 7", false},
		"counter in ruins, away also": {"echo hello", "exit 7", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t, map[string]string{
				"ip": `echo "default via 10.0.0.1 dev eth0 proto dhcp"`, "iptables": tt.iptables, "curl": tt.curl, "cat": "echo secret",
				"date":      `n=$(wc -l <"$0.n" 2>/dev/null || echo 0); echo >>"$0.n"; echo $((n * 1000))`,
				"systemctl": "kill $PPID", "sleep": `n=$(wc -l <"$0.n" 2>/dev/null || echo 0); echo >>"$0.n"; [ "$n" -lt 20 ] || kill $PPID`,
			})
			s.run("sh " + quoted(t, script) + "; exit 0")
			ended := strings.Contains(s.read("calls"), "systemctl poweroff")
			if ended != tt.ends {
				t.Errorf("ended: %v", ended)
			}
		})
	}
}

// quoted is the path of a file with a script.
func quoted(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lease")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return "'" + path + "'"
}
