package dump

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"spillway/gateway/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func snapshot(weight int) *Snapshot {
	return &Snapshot{
		Upstream: "web", Source: "consul-kv", Key: "up/web/", Address: "http://127.0.0.1:8500", Index: 42,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Servers: []upstream.Spec{
			{Addr: "127.0.0.1:8088", Weight: weight, MaxFails: 2, FailTimeout: 10 * time.Second, WeightFrom: "kv"},
			{Addr: "127.0.0.1:8089", Weight: 20, FailTimeout: 30 * time.Second, Down: true, DownWhy: "kv", Backup: true, MaxConns: 3},
			{Addr: "app.example:80", Host: "app.example", Weight: 1, MaxFails: 2, FailTimeout: 10 * time.Second},
		},
	}
}

func TestTextIsNginxUpsyncs(t *testing.T) {
	want := "server 127.0.0.1:8088 weight=40 max_fails=2 fail_timeout=10s;\n" +
		"server 127.0.0.1:8089 weight=20 max_fails=0 fail_timeout=30s down;\n" +
		"server app.example:80 weight=1 max_fails=2 fail_timeout=10s;\n"
	if d := cmp.Diff(want, string(Text(snapshot(40)))); d != "" {
		t.Errorf("text (-want +got):\n%s", d)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "web.conf")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of a snapshot that is not there, want ErrNotExist", err)
	}
	if err := Save(path, snapshot(40)); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if d := cmp.Diff(snapshot(40), got); d != "" || err != nil {
		t.Errorf("error %v, snapshot (-want +got):\n%s", err, d)
	}
	text, err := os.ReadFile(path)
	if !bytes.Equal(text, Text(snapshot(40))) || err != nil {
		t.Errorf("text %q, error %v", text, err)
	}
	if err := Save(path, &Snapshot{Upstream: "web"}); err != nil {
		t.Error(err)
	}
	if got, _ := Load(path); len(got.Servers) != 3 {
		t.Error("an empty set replaced the last good one")
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp*"))
	if len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestDamagedSnapshotFallsBackToTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.conf")
	for _, w := range []int{1, 2} {
		if err := Save(path, snapshot(w)); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := os.ReadFile(JSONPath(path))
	for name, damaged := range map[string][]byte{
		"altered": bytes.Replace(b, []byte("8088"), []byte("8087"), 1), "cut": b[:len(b)/2], "empty": nil, "none": []byte("hello"),
	} {
		if err := os.WriteFile(JSONPath(path), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		if err != nil || got.Servers[0].Weight != 1 || got.Recovered == "" {
			t.Errorf("%s: %+v, error %v, want the one before and why", name, got, err)
		}
	}
	if err := Save(path, snapshot(3)); err != nil {
		t.Fatal(err)
	}
	if prev, err := load(bakPath(JSONPath(path))); err != nil || prev.Servers[0].Weight != 1 {
		t.Errorf("a damaged file took the place of the previous good one: %v", err)
	}
	os.WriteFile(JSONPath(path), []byte("x"), 0o600)
	os.Remove(bakPath(JSONPath(path)))
	if _, err := Load(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want ErrDamaged", err)
	}
}

func TestFailedSaveLeavesTheOldFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "web.conf")
	if err := Save(path, snapshot(1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // a rename onto it fails, for root too
		t.Fatal(err)
	}
	if err := Save(path, snapshot(2)); err == nil {
		t.Error("no error for a path that cannot be replaced")
	}
	if err := Save(filepath.Join(JSONPath(path), "x"), snapshot(2)); err == nil {
		t.Error("no error below a file")
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.tmp*"))
	if len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestWriterKeepsTheNewestAndTriesAgain(t *testing.T) {
	type try struct {
		weight int
		err    error
	}
	tries := make(chan try, 100)
	w := NewWriter(func(_ string, s *Snapshot, err error) { tries <- try{s.Servers[0].Weight, err} })
	w.Pause, w.RetryAfter = 50*time.Millisecond, 10*time.Millisecond
	full := errors.New("no space left on device")
	fails := 2
	w.save = func(string, *Snapshot) error {
		if fails > 0 {
			fails--
			return full
		}
		return nil
	}
	for i := range 10 {
		w.Put("a", snapshot(i+1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	for _, want := range []try{{10, full}, {10, full}, {10, nil}} {
		if got := <-tries; got != want {
			t.Errorf("try %v, want %v", got, want)
		}
	}
	w.Put("a", snapshot(11))
	w.Put("a", snapshot(12))
	cancel()
	<-done
	if got := <-tries; got != (try{12, nil}) {
		t.Errorf("last try %v, want the newest set, saved at the end", got)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := Encode(snapshot(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte(`{"format":1,"sha256":"","snapshot":null}`))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil || !cmp.Equal(s, back) {
			t.Errorf("error %v, after a round trip:\n%s", err, cmp.Diff(s, back))
		}
	})
}
