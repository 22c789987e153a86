package openstack_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/openstack"
)

func typed(t *testing.T, err error) *cloud.Error {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) {
		t.Fatalf("error without a kind: %v", err)
	}
	return e
}

// scripted is a driver whose Keystone and flavors are as they should be, and
// whose servers are answered by h.
func scripted(t *testing.T, change func(*openstack.Options), h http.HandlerFunc) *openstack.Driver {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("/v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"token":{"expires_at":"2036-03-01T12:00:00.000000Z","catalog":[{"type":"compute","name":"nova","id":"c",
			"endpoints":[{"interface":"public","region":"RegionOne","region_id":"RegionOne","id":"e","url":"%s/v2.1"}]}]}}`, s.URL)
	})
	mux.HandleFunc("/v2.1/flavors/detail", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"flavors":[{"id":"1","name":"small","vcpus":2,"ram":4096,"disk":20,"swap":""}]}`)
	})
	mux.HandleFunc("/v2.1/servers", h)
	mux.HandleFunc("/v2.1/servers/", h)
	o := options()
	o.Auth.URL = s.URL + "/v3"
	if change != nil {
		change(&o)
	}
	d, err := openstack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFaults has answers as Nova documents them.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		status         int
		body           string
		create, delete cloud.Kind
		what           string // of create
	}{
		{403, `{"forbidden":{"code":403,"message":"Quota exceeded for cores, ram: Requested 4, 8192, but already used 20, 51200 of 20 cores, 51200 ram"}}`, cloud.Quota, cloud.Quota, "cores, ram"},
		{403, `{"forbidden":{"code":403,"message":"Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"}}`, cloud.Quota, cloud.Quota, "instances"},
		{403, `{"forbidden":{"code":403,"message":"Resource project is over its limits: project p1 is over limit for [Resource servers is over limit of 10 due to current usage 10 and delta 1]"}}`, cloud.Quota, cloud.Quota, "Resource servers is over limit of 10 due to current usage 10 and delta 1"},
		{403, `{"forbidden":{"code":403,"message":"Maximum number of ports exceeded"}}`, cloud.Quota, cloud.Quota, "Maximum number of ports"},
		{403, `{"forbidden":{"code":403,"message":"Policy doesn't allow os_compute_api:servers:create to be performed."}}`, cloud.Auth, cloud.Auth, "small in az1"},
		{400, `{"badRequest":{"code":400,"message":"No valid host was found. There are not enough hosts available."}}`, cloud.NoCapacity, cloud.NoCapacity, "small in az1"},
		{429, `{"overLimit":{"code":429,"message":"This request was rate-limited.","retryAfter":"7"}}`, cloud.RateLimited, cloud.RateLimited, "small in az1"},
		{413, `{"overLimit":{"code":413,"message":"This request was rate-limited."}}`, cloud.RateLimited, cloud.RateLimited, "small in az1"},
		{400, `{"badRequest":{"code":400,"message":"The requested availability zone is not available"}}`, cloud.Invalid, cloud.Invalid, "small in az1"},
		{404, `{"itemNotFound":{"code":404,"message":"Instance 7 could not be found."}}`, cloud.Invalid, cloud.NotFound, "small in az1"},
		{409, `{"conflictingRequest":{"code":409,"message":"Multiple possible networks found, use a Network ID to be more specific."}}`, cloud.Invalid, cloud.Transient, "small in az1"},
		{503, `{"serviceUnavailable":{"code":503,"message":"down"}}`, cloud.Transient, cloud.Transient, "small in az1"},
		{503, `<html>no server is available</html>`, cloud.Transient, cloud.Transient, "small in az1"},
		{500, `{"computeFault":{"code":500,"message":"Unexpected API Error."}}`, cloud.Ambiguous, cloud.Ambiguous, "small in az1"},
		{502, `bad gateway`, cloud.Ambiguous, cloud.Ambiguous, "small in az1"},
		{504, ``, cloud.Ambiguous, cloud.Ambiguous, "small in az1"},
		{202, `{"server":`, cloud.Ambiguous, cloud.Transient, "small in az1"},
		{202, `{}`, cloud.Ambiguous, cloud.Transient, "small in az1"},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			d := scripted(t, nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := d.Create(t.Context(), order("a"))
			e := typed(t, err)
			if e.Kind != c.create || e.What != c.what {
				t.Errorf("Create: error %v, want %v (%s)", err, c.create, c.what)
			}
			if c.create == cloud.RateLimited && e.After != 7*time.Second {
				t.Errorf("Create: after %v, want 7s", e.After)
			}
			if err := d.Delete(t.Context(), "7"); err != nil && typed(t, err).Kind != c.delete {
				t.Errorf("Delete: error %v, want %v", err, c.delete)
			}
		})
	}
}

// TestStopOfAStoppedMachine: Nova calls it a conflict.
func TestStopOfAStoppedMachine(t *testing.T) {
	for _, c := range []struct {
		status, task string
		stop, start  bool // is no error
	}{
		{"SHUTOFF", "", true, false},
		{"ACTIVE", "powering-off", true, false},
		{"ACTIVE", "", false, true},
		{"SHUTOFF", "powering-on", false, true},
		{"ACTIVE", "deleting", false, false},
	} {
		d := scripted(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = fmt.Fprintf(w, `{"server":{"id":"7","status":%q,"OS-EXT-STS:task_state":%q}}`, c.status, c.task)
				return
			}
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"conflictingRequest":{"code":409,"message":"Cannot do it while it is in vm_state so-and-so"}}`)
		})
		for what, call := range map[string]struct {
			err  error
			fine bool
		}{"Stop": {d.Stop(t.Context(), "7"), c.stop}, "Start": {d.Start(t.Context(), "7"), c.start}} {
			if call.fine != (call.err == nil) || (call.err != nil && typed(t, call.err).Kind != cloud.Transient) {
				t.Errorf("%s of a machine that is %s %s: error %v, want none %t, else Transient", what, c.status, c.task, call.err, call.fine)
			}
		}
	}
}

// TestBatchThatCannotBeListedIsAmbiguous: it was made.
func TestBatchThatCannotBeListedIsAmbiguous(t *testing.T) {
	for _, list := range []string{`{"servers":[]}`, `{"computeFault":`} {
		d := scripted(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, `{"reservation_id":"r-1"}`)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, list)
		})
		if _, err := d.Create(t.Context(), order("a", "b")); typed(t, err).Kind != cloud.Ambiguous {
			t.Errorf("list %s: error %v, want Ambiguous", list, err)
		}
	}
}

func TestBrokenConnections(t *testing.T) {
	d := scripted(t, nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := d.Create(t.Context(), order("a")); typed(t, err).Kind != cloud.Ambiguous {
		t.Errorf("Create: error %v, want Ambiguous", err)
	}
	if err := d.Delete(t.Context(), "7"); typed(t, err).Kind != cloud.Ambiguous {
		t.Errorf("Delete: error %v, want Ambiguous", err)
	}
	if _, err := d.List(t.Context(), nil); typed(t, err).Kind != cloud.Transient {
		t.Errorf("List: error %v, want Transient", err)
	}
}

// TestLogin: whatever happens there, nothing was bought.
func TestLogin(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   cloud.Kind
	}{
		{401, `{"error":{"code":401,"message":"The request you have made requires authentication."}}`, cloud.Auth},
		{429, ``, cloud.RateLimited},
		{500, ``, cloud.Transient},
		{503, ``, cloud.Transient},
		{201, `{"token":`, cloud.Transient},
		{0, ``, cloud.Transient},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.status == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		o := options()
		o.Auth.URL = s.URL + "/v3"
		d, err := openstack.New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Create(t.Context(), order("a"))
		if e := typed(t, err); e.Kind != c.want || strings.Contains(err.Error(), string(o.Auth.Password)) {
			t.Errorf("status %d: error %v, want %v", c.status, err, c.want)
		}
		s.Close()
	}
}

// TestDown: ten minutes of 503, for Keystone too.
func TestDown(t *testing.T) {
	p := open(t)
	p.fake.Down(10 * time.Minute)
	if _, err := p.driver.Create(t.Context(), order("a")); typed(t, err).Kind != cloud.Transient {
		t.Errorf("Create while all is down: error %v, want Transient", err)
	}
	p.clock.Advance(11 * time.Minute)
	if _, err := p.driver.Create(t.Context(), order("a")); err != nil {
		t.Errorf("Create after it: %v", err)
	}
}
