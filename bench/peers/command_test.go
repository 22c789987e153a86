package peers

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestBadArgumentsAreRefusedBeforeAnythingStarts(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	tests := []struct {
		name string
		args []string
		want string
		code int
	}{
		{"no rounds", []string{"--rounds", "0"}, "at least 1", exitUsage},
		{"half a second", []string{"--duration", "1500ms"}, "whole seconds", exitUsage},
		{"no connections", []string{"--connections", "64,0"}, `"0" is no number of connections`, exitUsage},
		{"stray argument", []string{"nginx"}, `"nginx"`, exitUsage},
		{"unknown flag", []string{"--fast"}, "-fast", exitUsage},
		{"variant without file", []string{"--variant", "x"}, "NAME=TEMPLATE", exitUsage},
		{"attach without pid", []string{"--attach", "x=y=http://127.0.0.1/"}, "no process id", exitUsage},
		{"attach to another machine", []string{"--attach", "x=" + pid + "=http://192.0.2.1/"}, "loopback", exitUsage},
		{"attach to a name", []string{"--attach", "x=" + pid + "=http://example.com/"}, "loopback", exitUsage},
		{"attach by https", []string{"--attach", "x=" + pid + "=https://127.0.0.1/"}, "http://", exitUsage},
		{"twice the same", []string{"--peers", "nginx,nginx"}, "given twice", exitUsage},
		{"unknown peer", []string{"--peers", "envoy"}, "one of nginx, haproxy", exitFailure},
		{"missing binary", []string{"--peers", "spillway", "--spillway", "/nonexistent/spillway"}, "no such file", exitFailure},
		{"unknown scenario", []string{"--scenario", "8"}, "7 two-hundred", exitUsage},
		{"quick without scenario", []string{"--quick"}, "need --scenario", exitUsage},
		{"gate on a scenario", []string{"--scenario", "cpu", "--gate", "1"}, "plain comparison", exitUsage},
		{"one file for all", []string{"--scenario", "all", "--json", "x"}, "--out", exitUsage},
		{"half a second beside wrk", []string{"--scenario", "cpu", "--duration", "500ms"}, "whole seconds", exitUsage},
		{"too short", []string{"--scenario", "latency", "--duration", "1ms"}, "at least 50ms", exitUsage},
		{"servers change nowhere", []string{"--scenario", "churn", "--quick", "--peers", "nethttp"}, "servers change under", exitFailure},
		{"render nothing", []string{"--render", "x.md"}, "without results", exitUsage},
		{"render what is not there", []string{"--render", "x.md", "/nonexistent.json"}, "no such file", exitFailure},
		{"load on another machine", []string{"load", `{"url":"http://192.0.2.1/"}`}, "loopback", exitFailure},
		{"load without a description", []string{"load", "x"}, "cannot read load", exitFailure},
		{"load on nobody", []string{"load", `{"url":"http://127.0.0.1:1/","connections":1,"duration":1000000}`}, "connection refused", exitFailure},
		{"serve nothing", []string{"serve"}, "want backend", exitUsage},
		{"serve unknown", []string{"serve", "x", "--listen", "127.0.0.1:0", "--backends", "127.0.0.1:1"}, "one of backend", exitFailure},
		{"serve without address", []string{"serve", "backend"}, "no address", exitFailure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := Command(tt.args, &stdout, &stderr); code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			if !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("stderr lacks %q: %s", tt.want, stderr.String())
			}
		})
	}
}

func TestGateDecidesTheExitCode(t *testing.T) {
	row := func(ratio float64, failed int64) Row {
		return Row{Peer: "spillway", Connections: 64, Errors: failed, CPURatio: &Spread{Median: ratio}}
	}
	tests := []struct {
		name  string
		rows  []Row
		gate  float64
		slack float64
		want  int
	}{
		{"no gate", []Row{row(2, 0)}, 0, 1, exitOK},
		{"below", []Row{row(0.85, 0)}, 0.9, 1, exitOK},
		{"exactly at", []Row{row(0.9, 0)}, 0.9, 1, exitOK},
		{"above", []Row{row(0.91, 0)}, 0.9, 1, exitGate},
		{"above at the second number of connections", []Row{row(0.8, 0), row(0.95, 0)}, 0.9, 1, exitGate},
		{"above but within the slack", []Row{row(1.2, 0)}, 0.9, 1.5, exitOK},
		{"failed requests", []Row{row(0.8, 1)}, 0.9, 1, exitInvalid},
		{"no baseline", []Row{{Peer: "spillway"}}, 0.9, 1, exitInvalid},
		{"not measured", []Row{{Peer: "nginx"}}, 0.9, 1, exitInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settings{gate: tt.gate, slack: tt.slack}
			var stdout, stderr bytes.Buffer
			if got := s.finish(&Report{Rows: tt.rows}, &stdout, &stderr); got != tt.want {
				t.Errorf("exit %d, want %d: %s", got, tt.want, stderr.String())
			}
		})
	}
}
