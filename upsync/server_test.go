package upsync

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

func TestParseServer(t *testing.T) {
	base := func(addr string, f func(*upstream.Spec)) upstream.Spec {
		s := upstream.Spec{Addr: addr, Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second, WeightFrom: "default"}
		f(&s)
		return s
	}
	plain := func(*upstream.Spec) {}
	tests := []struct {
		line string
		want upstream.Spec
	}{
		{"127.0.0.1:80", base("127.0.0.1:80", plain)},
		{"127.0.0.1", base("127.0.0.1:80", plain)},
		{"127.0.0.1:80 fail_timeout=1500ms", base("127.0.0.1:80", func(s *upstream.Spec) { s.FailTimeout = 1500 * time.Millisecond })},
		{"[::1]", base("[::1]:80", plain)},
		{"  [::1]:81 ; ", base("[::1]:81", plain)},
		{"app.example:81", base("app.example:81", func(s *upstream.Spec) { s.Host = "app.example" })},
		{"server app.example;", base("app.example:80", func(s *upstream.Spec) { s.Host = "app.example" })},
		{"unix:/run/a.sock weight=2", base("unix:/run/a.sock", func(s *upstream.Spec) { s.Weight, s.WeightFrom = 2, "config" })},
		{
			"server 10.0.0.1:80 weight=5 max_fails=0 fail_timeout=1m max_conns=7 down backup;",
			base("10.0.0.1:80", func(s *upstream.Spec) {
				s.Weight, s.WeightFrom, s.MaxFails, s.FailTimeout, s.MaxConns = 5, "config", 0, time.Minute, 7
				s.Down, s.DownWhy, s.Backup = true, "config", true
			}),
		},
	}
	for _, tt := range tests {
		got, err := ParseServer(tt.line)
		if d := cmp.Diff(tt.want, got); d != "" || err != nil {
			t.Errorf("%q: error %v, spec (-want +got):\n%s", tt.line, err, d)
		}
	}
	for _, line := range []string{
		"", ";", "server ;", "10.0.0.1:0", "10.0.0.1:99999", "10.0.0.1:80 weight=0", "10.0.0.1:80 weight=+1", "10.0.0.1:80 weight=x",
		"10.0.0.1:80 wait=1", "10.0.0.1:80 slow", "10.0.0.1:80 fail_timeout=x", "10.0.0.1:80 fail_timeout=-1s", "a b:80", "unix:", "http://10.0.0.1:80",
	} {
		if got, err := ParseServer(line); err == nil {
			t.Errorf("%q: %+v, want an error", line, got)
		}
	}
}

func TestParseServersNamesTheLine(t *testing.T) {
	specs, err := ParseServers("# list\n10.0.0.1:80\n\nserver 10.0.0.2:80; # two\n")
	if len(specs) != 2 || err != nil {
		t.Errorf("%d servers, error %v, want 2", len(specs), err)
	}
	if _, err := ParseServers("10.0.0.1:80\n10.0.0.2:0"); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one that names line 2", err)
	}
}

func FuzzParseServer(f *testing.F) {
	f.Add("server 10.0.0.1:80 weight=5 max_fails=0 fail_timeout=1m max_conns=7 down backup;")
	f.Add("[::1]")
	f.Add("unix:/a")
	f.Fuzz(func(t *testing.T, line string) {
		s, err := ParseServer(line)
		if err != nil {
			return
		}
		if s.Addr == "" || s.Weight < 1 || s.MaxFails < 0 || s.MaxConns < 0 || s.FailTimeout < 0 {
			t.Errorf("%q gave %+v", line, s)
		}
		if s.Host == "" {
			if again, err := upstream.ParseAddr(s.Addr); err != nil || again != s.Addr {
				t.Errorf("%q gave address %q, which is not canonical", line, s.Addr)
			}
		}
	})
}
