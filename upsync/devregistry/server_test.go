package devregistry

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStopRefusesAndResumeTakesTheSamePort(t *testing.T) {
	f := newFixture(t)
	failed := make(chan error, 1)
	go func() {
		_, _, err := f.get(context.Background(), webTree+"&index=999")
		failed <- err
	}()
	if err := f.AwaitBlocked(t.Context(), "/v1/kv/", 1); err != nil {
		t.Fatal(err)
	}
	url := f.server.URL()
	f.server.Stop()
	if err := <-failed; err == nil {
		t.Error("a blocking query outlived the stop")
	}
	if _, _, err := f.get(t.Context(), webTree); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while stopped: %v, want connection refused", err)
	}
	if err := f.server.Resume(); err != nil {
		t.Fatal(err)
	}
	if f.server.URL() != url {
		t.Errorf("resumed at %s, want %s", f.server.URL(), url)
	}
	if _, body, err := f.get(t.Context(), webTree); err != nil || !strings.Contains(string(body), "web/") {
		t.Errorf("after the resume: %q, %v", body, err)
	}
}

func TestPartitionIsSilentAndHealsWhatWaited(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.get(t.Context(), webTree); err != nil { // an established connection
		t.Fatal(err)
	}
	f.server.Partition()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := f.get(ctx, webTree); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("established connection: %v, want silence", err)
	}
	c, err := net.Dial("tcp", f.server.Addr())
	if err != nil {
		t.Fatalf("a new connection is taken by the kernel, yet: %v", err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("new connection: %d bytes, %v, want silence", n, err)
	}
	f.server.Heal()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("after healing: %v", err)
	}
}

func TestServerResetsItsConnections(t *testing.T) {
	f := newFixture(t)
	c, err := net.Dial("tcp", f.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, t.Context(), func() bool { return f.server.Connections() == 1 })
	f.server.Reset()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestRestoredSnapshotTakesTheIndexBack(t *testing.T) {
	for name, tt := range map[string]struct {
		back     func(*Registry, *Snapshot)
		rewrites bool
	}{
		"restore": {(*Registry).Restore, false},
		"rewind":  {(*Registry).Rewind, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			old := kvIndex(f.Registry, "web/")
			snap := f.Snapshot()
			f.PutKV("web/127.0.0.1:81", nil)
			last := f.Index()
			tt.back(f.Registry, snap)
			if got := kvIndex(f.Registry, "web/"); got != old {
				t.Errorf("index after: %d, want %d", got, old)
			}
			f.PutKV("web/127.0.0.1:82", nil)
			if got := f.Index() <= last; got != tt.rewrites {
				t.Errorf("next index %d, last before %d: repeated is %v, want %v", f.Index(), last, got, tt.rewrites)
			}
		})
	}
}

func TestRestoreWakesBlockedQueries(t *testing.T) {
	f := newFixture(t)
	snap := f.Snapshot()
	done := make(chan error, 1)
	go func() {
		_, _, err := f.get(context.Background(), webTree+"&index=99999")
		done <- err
	}()
	if err := f.AwaitBlocked(t.Context(), "/v1/kv/", 1); err != nil {
		t.Fatal(err)
	}
	f.Restore(snap)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLogCountsRequestsAndWhoWaits(t *testing.T) {
	f := newFixture(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = f.get(context.Background(), webTree+"&index=99")
	}()
	if err := f.AwaitBlocked(t.Context(), "/v1/kv/web/", 1); err != nil {
		t.Fatal(err)
	}
	if got := f.Blocked("/v1/health/"); got != 0 {
		t.Errorf("%d requests wait for health, want 0", got)
	}
	f.client.CloseIdleConnections()
	f.server.Reset()
	<-done
	if err := f.AwaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Blocked(""); got != 0 {
		t.Errorf("%d requests wait after the connection is gone", got)
	}
	log := f.Requests("/v1/kv/")
	if len(log) != 1 || !log[0].Blocked || !log[0].Done || f.Count("/v1/kv/") != 1 {
		t.Errorf("log %+v, count %d", log, f.Count("/v1/kv/"))
	}
}
