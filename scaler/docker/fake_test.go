package docker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake is an engine of which each answer can be chosen.
type fake struct {
	*httptest.Server
	calls  atomic.Int32
	answer func(w http.ResponseWriter, r *http.Request) // but for pings
}

func startFake(t *testing.T, version string, answer func(http.ResponseWriter, *http.Request)) (*fake, Engine) {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		if r.URL.Path == "/_ping" {
			w.Header().Set("Api-Version", version)
			return
		}
		f.answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f, Engine{ID: t.Name(), Host: "tcp://" + f.Listener.Addr().String()}
}

func fails(code int, message string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"message":%q}`, message)
	}
}

func TestEngineHasFewCallsInFlight(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	f, e := startFake(t, "1.41", func(w http.ResponseWriter, _ *http.Request) {
		<-held
		io.WriteString(w, "[]")
	})
	x := New(Options{Calls: 2, Wait: 20 * time.Millisecond})
	defer x.Close()
	ok(t, x.Ping(t.Context(), e))
	before := f.calls.Load()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := x.List(t.Context(), e, "c"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "two calls", func() error {
		if n := f.calls.Load() - before; n != 2 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	_, err := x.List(t.Context(), e, "c")
	wants(t, err, ErrBusy)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = x.List(ctx, e, "c")
	wants(t, err, context.Canceled)
	close(held)
	wg.Wait()
	if _, err := x.List(t.Context(), e, "c"); err != nil {
		t.Error(err)
	}
}

// People who follow logs do not keep the scaler from its work.
func TestSessionsTakeNoTurnOfOtherCalls(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/logs"):
			io.WriteString(w, frame(1, "here"))
			w.(http.Flusher).Flush()
			<-ended
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			io.WriteString(w, "[]")
		default:
			fails(404, "No such container")(w, r)
		}
	})
	x := New(Options{Calls: 1, Works: 1, Sessions: 2, Wait: 20 * time.Millisecond})
	defer x.Close()
	var wg sync.WaitGroup
	for range 2 {
		var out buffer
		wg.Go(func() {
			if err := x.Logs(t.Context(), e, "c", -1, true, &out); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "logs", func() error { return out.shows("here") })
	}
	wants(t, x.Logs(t.Context(), e, "c", -1, true, io.Discard), ErrBusy)
	_, err := x.List(t.Context(), e, "c")
	ok(t, err)
	ok(t, x.Remove(t.Context(), e, "c", 0))
	close(ended)
	wg.Wait()
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		code int
		text string
		want error
		kind string
	}{
		{"bad parameter", 400, "invalid reference", ErrInvalid, "invalid"},
		{"no such image", 404, "No such image", ErrNoImage, "transient"},
		{"port", 500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", ErrPort, "transient"},
		{"of the kernel", 500, "listen tcp :80: bind: address already in use", ErrPort, "transient"},
		{"other", 500, "no space left on device", nil, "transient"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					fails(404, "No such container")(w, r)
					return
				}
				fails(test.code, test.text)(w, r)
			})
			x := New(Options{})
			defer x.Close()
			_, err := x.Ensure(t.Context(), e, spec(t))
			if test.want != nil {
				wants(t, err, test.want)
			}
			if err == nil || !strings.Contains(err.Error(), test.text) || Kind(err) != test.kind {
				t.Errorf("error is %v of kind %q, want %q of kind %q", err, Kind(err), test.text, test.kind)
			}
			// An engine that answers is not down, whatever it says.
			for range 5 {
				x.List(t.Context(), e, "c")
			}
			ok(t, x.Ping(t.Context(), e))
		})
	}
}

func TestContainerThatCannotBeStoppedIsRemoved(t *testing.T) {
	t.Parallel()
	removed := false
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			fmt.Fprintf(w, `{"Id":"c1","State":{"Status":"running"},"Config":{"Labels":{%q:"h"}}}`, LabelHash)
		case http.MethodPost:
			fails(500, "tried to kill container, but did not receive an exit event")(w, r)
		case http.MethodDelete:
			removed = r.URL.Query().Get("force") == "1"
		}
	})
	x := New(Options{})
	defer x.Close()
	ok(t, x.Remove(t.Context(), e, "c", 0))
	if !removed {
		t.Error("not removed by force")
	}
}

func TestEnsureGivesUpOnAContainerThatNeverStays(t *testing.T) {
	t.Parallel()
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fails(404, "No such container")(w, r)
			return
		}
		fails(409, "Conflict. The container name is already in use")(w, r)
	})
	x := New(Options{})
	defer x.Close()
	_, err := x.Ensure(t.Context(), e, spec(t))
	if err == nil || !strings.Contains(err.Error(), "changed by others") {
		t.Errorf("error is %v", err)
	}
}

func TestContainerThatEndedRightAfterItsStart(t *testing.T) {
	s := spec(t)
	starts := 0
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			starts++
		}
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"Id":"c1","State":{"Status":"exited","ExitCode":9},"Config":{"Labels":{%q:%q}}}`, LabelHash, Hash(s))
		}
	})
	x := New(Options{})
	defer x.Close()
	c, err := x.Ensure(t.Context(), e, s)
	if err != nil || c.Running || c.ExitCode != 9 || starts != 1 {
		t.Errorf("is %+v after %d starts, %v", c, starts, err)
	}
}

// The version agreed on is the lower of both, and agreed on anew when the
// engine was replaced.
func TestVersionIsAgreedOnAgain(t *testing.T) {
	var version atomic.Value
	version.Store("1.41")
	var asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", version.Load().(string))
		if r.URL.Path == "/_ping" {
			return
		}
		asked.Store(r.URL.Path)
		if !strings.HasPrefix(r.URL.Path, "/v"+version.Load().(string)+"/") {
			fails(400, "client version 1.41 is too new. Maximum supported API version is 1.40")(w, r)
			return
		}
		io.WriteString(w, "[]")
	}))
	defer server.Close()
	e := Engine{ID: "v", Host: "tcp://" + server.Listener.Addr().String()}
	x := New(Options{})
	defer x.Close()
	_, err := x.List(t.Context(), e, "c")
	ok(t, err)
	if got := asked.Load(); got != "/v1.41/containers/json" {
		t.Errorf("asked %s", got)
	}
	version.Store("1.40")
	_, err = x.List(t.Context(), e, "c")
	if err == nil {
		t.Error("an engine that refuses the version answered")
	}
	_, err = x.List(t.Context(), e, "c")
	ok(t, err)
	version.Store("")
	x.Forget("v")
	if err := x.Ping(t.Context(), e); err == nil || !strings.Contains(err.Error(), "no Docker Engine") {
		t.Errorf("something else that answers: %v", err)
	}
}

func TestEngineThatChangedItsAddressIsMetAnew(t *testing.T) {
	_, e := startFake(t, "1.41", fails(500, "x"))
	x := New(Options{Pause: time.Minute})
	defer x.Close()
	dead := Engine{ID: e.ID, Host: "tcp://127.0.0.1:1"}
	for range 4 {
		wants(t, x.Ping(t.Context(), dead), ErrDown)
	}
	ok(t, x.Ping(t.Context(), e))
}
