package devregistry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// fixture is a registry on a port with one key, and a client of its own.
type fixture struct {
	*Registry
	server *Server
	client *http.Client
}

func newFixture(t *testing.T) *fixture {
	r := New(Options{Logger: quiet})
	s, err := r.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.Close()
		r.Close()
	})
	r.PutKV("web/127.0.0.1:80", []byte(`{"weight":1}`))
	return &fixture{r, s, &http.Client{
		Transport: tr, Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

const webTree = "/v1/kv/web/?recurse"

func (f *fixture) get(ctx context.Context, path string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server.URL()+path, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// Faults that still answer, by what the client sees.
func TestFaultsThatAnswer(t *testing.T) {
	header := func(name, want string) func(*testing.T, *http.Response, []byte) {
		return func(t *testing.T, r *http.Response, body []byte) {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
			if !json.Valid(body) {
				t.Errorf("body was changed too: %q", body)
			}
		}
	}
	answers := func(status int, want string) func(*testing.T, *http.Response, []byte) {
		return func(t *testing.T, r *http.Response, body []byte) {
			if r.StatusCode != status || string(body) != want {
				t.Errorf("got %d %q, want %d %q", r.StatusCode, body, status, want)
			}
		}
	}
	for name, tt := range map[string]struct {
		fault Fault
		check func(*testing.T, *http.Response, []byte)
	}{
		"no leader":      {NoLeader(), answers(500, "No cluster leader")},
		"forbidden":      {Forbidden(), answers(403, "ACL not found")},
		"not found":      {Respond(404, ""), answers(404, "")},
		"empty":          {Body(""), answers(200, "")},
		"empty list":     {Body("[]"), answers(200, "[]")},
		"null":           {Body("null"), answers(200, "null")},
		"index missing":  {Index(""), header("X-Consul-Index", "")},
		"index zero":     {Index("0"), header("X-Consul-Index", "0")},
		"index a word":   {Index("soon"), header("X-Consul-Index", "soon")},
		"index too big":  {Index("99999999999999999999999"), header("X-Consul-Index", "99999999999999999999999")},
		"last contact":   {LastContact(90 * time.Second), header("X-Consul-LastContact", "90000")},
		"no known lead":  {KnownLeader(false), header("X-Consul-KnownLeader", "false")},
		"filtered":       {FilteredByACLs(), header("X-Consul-Results-Filtered-By-ACLs", "true")},
		"content type":   {ContentType("text/html"), header("Content-Type", "text/html")},
		"gzip":           {Gzip(), func(t *testing.T, r *http.Response, b []byte) { wantPrefix(t, b, "\x1f\x8b") }},
		"html":           {HTML(), func(t *testing.T, r *http.Response, b []byte) { wantPrefix(t, b, "<html>") }},
		"invalid JSON":   {InvalidJSON(), wantInvalid},
		"truncated JSON": {TruncateJSON(0.5), wantInvalid},
		"too many": {TooManyRequests(1500 * time.Millisecond), func(t *testing.T, r *http.Response, _ []byte) {
			if r.StatusCode != 429 || r.Header.Get("Retry-After") != "2" {
				t.Errorf("got %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
			}
		}},
		"redirect": {Redirect(307, "http://127.0.0.1:1"), func(t *testing.T, r *http.Response, _ []byte) {
			if got := r.Header.Get("Location"); r.StatusCode != 307 || got != "http://127.0.0.1:1"+webTree {
				t.Errorf("got %d to %q", r.StatusCode, got)
			}
		}},
		"huge": {HugeKV("web/", 1<<20), func(t *testing.T, _ *http.Response, b []byte) {
			if len(b) < 1<<20 || !json.Valid(b) {
				t.Errorf("%d bytes, valid: %v", len(b), json.Valid(b))
			}
		}},
		"same index, other body": {Chain(Index("11"), Body("[]")), header("X-Consul-Index", "11")},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.SetFault(Always(tt.fault))
			resp, body, err := f.get(t.Context(), webTree)
			if err != nil {
				t.Fatal(err)
			}
			tt.check(t, resp, body)
			if got := resp.Header.Get(Header); got == "" {
				t.Error("the answer is not labelled as the development registry's")
			}
		})
	}
}

func wantPrefix(t *testing.T, body []byte, prefix string) {
	t.Helper()
	if !bytes.HasPrefix(body, []byte(prefix)) {
		t.Errorf("body is %q, want it to begin with %q", body, prefix)
	}
}

func wantInvalid(t *testing.T, _ *http.Response, body []byte) {
	t.Helper()
	if len(body) == 0 || json.Valid(body) {
		t.Errorf("body is %q, want invalid JSON", body)
	}
}

// Faults that end in an error, by its kind.
func TestFaultsThatBreak(t *testing.T) {
	timeout := func(err error) bool { return os.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded) }
	for name, tt := range map[string]struct {
		fault Fault
		is    func(error) bool
	}{
		"hang":                {Hang(), timeout},
		"hang after headers":  {HangAfter(0), timeout},
		"hang in the body":    {HangAfter(10), timeout},
		"chunked without end": {ChunkedWithoutEnd(), timeout},
		"slow body":           {SlowBody(20), timeout},
		"delay":               {Delay(time.Minute), timeout},
		"truncated":           {Truncate(10), func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"dropped":             {Drop(), func(err error) bool { return errors.Is(err, io.EOF) }},
		"reset":               {Reset(), func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.SetFault(Always(tt.fault))
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, body, err := f.get(ctx, webTree)
			if err == nil || !tt.is(err) {
				t.Errorf("got %q, %v", body, err)
			}
			f.SetFault(nil)
			if _, _, err := f.get(t.Context(), webTree); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

func TestFaultsArePickedByRequest(t *testing.T) {
	f := newFixture(t)
	f.SetFault(OnPath("/v1/kv/", OnBlocking(Script(NoLeader(), nil, Respond(404, "")))))
	var got []int
	for _, path := range []string{webTree, webTree + "&index=1", webTree + "&index=1", "/v1/health/service/consul?index=1", webTree + "&index=1", webTree + "&index=1"} {
		resp, _, err := f.get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.StatusCode)
	}
	want := []int{200, 500, 200, 200, 404, 200}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("statuses %v, want %v", got, want)
		}
	}
}

func TestTwoRegistriesThatDisagree(t *testing.T) {
	f := newFixture(t)
	other := New(Options{Logger: quiet})
	defer other.Close()
	f.SetFault(Script(nil, From(other)))
	first, _, _ := f.get(t.Context(), webTree)
	second, _, _ := f.get(t.Context(), webTree)
	if first.StatusCode != 200 || second.StatusCode != 404 {
		t.Errorf("got %d and %d, want 200 and 404", first.StatusCode, second.StatusCode)
	}
}
