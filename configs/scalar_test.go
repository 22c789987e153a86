package configs

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDurationsAndSizesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "duration"))
		if rapid.Bool().Draw(t, "whole seconds") {
			d = d / 1e9 % 1e6 * time.Second
		}
		if got, err := parseDuration(formatDuration(d)); err != nil || got != d {
			t.Fatalf("%d: wrote %s, read %d (%v)", d, formatDuration(d), got, err)
		}
		s := Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size")) >> rapid.IntRange(0, 62).Draw(t, "shift") << rapid.IntRange(0, 20).Draw(t, "unit")
		if s < 0 {
			s = math.MaxInt64
		}
		if got, err := parseSize(s.String()); err != nil || got != s {
			t.Fatalf("%d: wrote %s, read %d (%v)", s, s, got, err)
		}
	})
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "512": 512, "1B": 1, "64KiB": 65536, "1MiB": 1 << 20, "1GiB": 1 << 30, "1TiB": 1 << 40,
		"64k": 65536, "64K": 65536, "10m": 10 << 20, "2g": 2 << 30, "8388607TiB": 8388607 << 40,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: found %d (%v), want %d", text, got, err, want)
		}
	}
	for text, hint := range map[string]string{
		"": "", "KiB": "", "-1": "", "+1": "", "1.5MiB": "", "64KB": "64KiB", "64 KiB": "64KiB", "64kib": "64KiB",
		"1t": "", "8388608TiB": "", "99999999999999999999": "", "1KiBB": "", "0x10": "",
	} {
		if got, err := parseSize(text); err == nil || err.hint != hint {
			t.Errorf("%q: found %d (%v), want an error with hint %q", text, got, err, hint)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "loops", "limits", "timeouts", "access_log", "keepalive_requests"}
	for word, want := range map[string]string{
		"listn": "listen", "LISTEN": "listen", "lsiten": "listen", "loop": "loops", "timeout": "timeouts", "keepalive_request": "keepalive_requests",
		"accesslog": "access_log", "keepalive": "keepalive_requests", "zzz": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("%q: found %q, want %q", word, got, want)
		}
	}
}

func TestServerLines(t *testing.T) {
	unset := ServerLine{Weight: 1, MaxFails: -1, FailTimeout: -1}
	with := func(change func(*ServerLine)) ServerLine { s := unset; change(&s); return s }
	for line, want := range map[string]ServerLine{
		"127.0.0.1:80":             with(func(s *ServerLine) { s.Addr = "127.0.0.1:80" }),
		"  10.0.0.1  ":             with(func(s *ServerLine) { s.Addr = "10.0.0.1:80" }),
		"[0:0::1]:8080":            with(func(s *ServerLine) { s.Addr = "[::1]:8080" }),
		"[::1]":                    with(func(s *ServerLine) { s.Addr = "[::1]:80" }),
		"[::ffff:10.0.0.1]:81":     with(func(s *ServerLine) { s.Addr = "10.0.0.1:81" }),
		"App.Internal:9000 backup": with(func(s *ServerLine) { s.Addr, s.Hostname, s.Backup = "app.internal:9000", true, true }),
		"app":                      with(func(s *ServerLine) { s.Addr, s.Hostname = "app:80", true }),
		"unix:/run/a.sock down":    with(func(s *ServerLine) { s.Addr, s.Down = "unix:/run/a.sock", true }),
		"server 1.2.3.4:5 weight=40 max_fails=0 fail_timeout=30s max_conns=7;": with(func(s *ServerLine) {
			*s = ServerLine{Addr: "1.2.3.4:5", Weight: 40, WeightSet: true, FailTimeout: 30 * time.Second, MaxConns: 7}
		}),
		"server":                       with(func(s *ServerLine) { s.Addr, s.Hostname = "server:80", true }),
		"1.2.3.4:5 fail_timeout=10":    with(func(s *ServerLine) { s.Addr, s.FailTimeout = "1.2.3.4:5", 10*time.Second }),
		"1.2.3.4:5 fail_timeout=1m30s": with(func(s *ServerLine) { s.Addr, s.FailTimeout = "1.2.3.4:5", 90*time.Second }),
	} {
		got, err := ParseServer(line)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", line, err, diff)
		}
		if again, err := ParseServer(got.String()); err != nil || again != got {
			t.Errorf("%q: wrote %q, read %+v (%v)", line, got, again, err)
		}
	}
}

func TestServerLinesRefused(t *testing.T) {
	for _, line := range []string{
		"", ";", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:+80", "10.0.0.1:65536", ":80", "[::1", "[::1]80", "[10.0.0.1]:80", "[fe80::1%eth0]:80",
		"::1", "1.2.3:80", "1.2.3.4.5:80", "-a:80", "a-:80", "a..b:80", "a b:80", "http://a:80", "a:80 weight=-1", "a:80 weight=1x",
		"a:80 weight=", "a:80 weight=99999999999999999999", "a:80 max_fails=-1", "a:80 fail_timeout=", "a:80 fail_timeout=-1s",
		"a:80 backup=0", "a:80 slow_start=10s", "a:80 weight=1 weight=1", "unix:" + strings.Repeat("x", 108), "a:80; b:80", "a:80 WEIGHT=1",
	} {
		if got, err := ParseServer(line); err == nil {
			t.Errorf("%q: found %+v, want an error", line, got)
		} else if v := (*valueError)(nil); !errors.As(err, &v) || v.found == "" || v.allowed == "" {
			t.Errorf("%q: the error does not say what was found and what is allowed: %v", line, err)
		}
	}
}
