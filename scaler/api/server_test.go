package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ask sends one request and returns status, a field's value and the body.
func ask(t *testing.T, s *Server, method, path, token, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+s.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return exchange(t, r)
}

func exchange(t *testing.T, r *http.Request) (int, http.Header, string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

func TestAnswers(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1\n") })
	s, _ := serve(t, &fake{}, func(o *Options) { o.Metrics = metrics })
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		text                      string // in the body
	}{
		{"GET", "/-/healthy", "", "", 200, "healthy"},
		{"GET", "/-/ready", "", "", 200, `"ready": true`},
		{"GET", "/metrics", "", "", 200, "up 1"},
		{"GET", "/api/v1/status", "", "", 200, `"cluster": "c1"`},
		{"GET", "/api/v1/apps/web/why", "", "", 200, `"at": "0001-01-01T00:00:00Z"`},
		{"GET", "/api/v1/apps/web/why?at=2026-03-01T12:00:00Z", "", "", 200, `"at": "2026-03-01T12:00:00Z"`},
		{"GET", "/api/v1/apps/web/why?at=noon", "", "", 422, "is no time such as"},
		{"GET", "/api/v1/plan", "", "", 200, `"actions"`},
		{"GET", "/api/v1/nodes", "", "", 200, "[]"},
		{"GET", "/api/v1/instances?app=web", "", "", 200, `"80": 20000`},
		{"GET", "/api/v1/instances/web-1/logs?tail=5", "", "", 200, "one\n"},
		{"GET", "/api/v1/instances/web-1/logs?tail=five", "", "", 422, "no whole number"},
		{"GET", "/api/v1/audit", "", "", 200, "["},
		{"GET", "/", "", "", 404, "not_found"},
		{"GET", "/api/v1/apps/web/scale", "secret", "", 405, "takes POST"},
		{"POST", "/api/v1/status", "secret", "", 405, "takes GET"},

		{"POST", "/api/v1/apps/web/scale", "", `{"delta":1}`, 401, "unauthorized"},
		{"POST", "/api/v1/apps/web/scale", "wrong", `{"delta":1}`, 401, "unauthorized"},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":-2,"ttl":"90m"}`, 200, `"until": "2026-03-01T13:30:00Z"`},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":1}`, 200, `"until": "2026-03-01T13:00:00Z"`},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":0}`, 422, "delta is 0"},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":1,"ttl":"-1h"}`, 422, "no duration such as"},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":1,"ttl":"9000h"}`, 422, "up to 720h0m0s"},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":1,"dleta":1}`, 422, "dleta"},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":1}{}`, 422, "more than one value"},
		{"POST", "/api/v1/apps/web/scale", "secret", `{"delta":`, 422, "cannot read body"},
		{"POST", "/api/v1/apps/web/scale", "secret", strings.Repeat(" ", maxBody+1), 413, "too_large"},
		{"POST", "/api/v1/apps/-/pause", "secret", ``, 200, `"paused": true`},
		{"POST", "/api/v1/apps/web/resume", "secret", `{"reason":"done"}`, 200, "{}"},
		{"POST", "/api/v1/nodes/vm-1/drain", "secret", "", 200, `"state": "drained"`},
		{"POST", "/api/v1/nodes/vm-1/explode", "secret", "", 404, "cordon, drain, undrain, replace"},
		{"POST", "/api/v1/instances/web-1/exec", "secret", `{"command":["ls"]}`, 426, "upgrade_required"},
		{"POST", "/api/v1/instances/web-1/exec", "secret", `{}`, 422, "there is no command"},
		{"POST", "/api/v1/run", "secret", `{}`, 422, "there is no image"},
	} {
		status, _, body := ask(t, s, c.method, c.path, c.token, c.body)
		if status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s %s %.40s: %d %s\nwant %d with %q", c.method, c.path, c.body, status, body, c.status, c.text)
		}
	}
}

func TestErrorsOfTheBackendHaveTheirStatus(t *testing.T) {
	b := &fake{}
	s, c := serve(t, b)
	for _, x := range []struct {
		err    error
		status int
		word   string
	}{
		{fmt.Errorf("app %q: %w", "web", ErrNotFound), 404, "not_found"},
		{fmt.Errorf("%w: so many", ErrInvalid), 422, "invalid"},
		{ErrConflict, 409, "conflict"},
		{ErrUnavailable, 503, "unavailable"},
		{ErrUnsupported, 501, "unsupported"},
		{ErrNotLeader, 503, "no_leader"},
		{errors.New("odd"), 500, "internal"},
	} {
		b.err = x.err
		status, _, body := ask(t, s, "POST", "/api/v1/nodes/vm-1/drain", "secret", "")
		var f failure
		if json.Unmarshal([]byte(body), &f) != nil || status != x.status || f.Code != x.status || f.Error != x.word {
			t.Errorf("%v: %d %s", x.err, status, body)
		}
		_, err := c.NodeAction(context.Background(), NodeRequest{ID: "vm-1", Action: Drain})
		if x.word != "internal" && !errors.Is(err, errors.Unwrap(x.err)) && !errors.Is(err, x.err) {
			t.Errorf("the client makes %v of %v", err, x.err)
		}
	}
}

func TestWritesNeedATokenToBeConfigured(t *testing.T) {
	s, _ := serve(t, &fake{}, func(o *Options) { o.Token = "" })
	for _, token := range []string{"", "anything"} {
		if status, _, body := ask(t, s, "POST", "/api/v1/nodes/vm-1/drain", token, ""); status != 403 || !strings.Contains(body, "writes_disabled") {
			t.Errorf("with token %q: %d %s", token, status, body)
		}
	}
}

func TestReadsFromElsewhereNeedTheToken(t *testing.T) {
	s, _ := serve(t, &fake{})
	for _, c := range []struct {
		host, field, token string
		status             int
	}{
		{"127.0.0.1:1", "", "", 200},
		{"localhost", "", "", 200},
		{"[::1]:80", "", "", 200},
		{"evil.example.com", "", "", 401}, // a page that had its name resolved to this machine
		{"evil.example.com", "", "secret", 200},
		{"127.0.0.1", "X-Forwarded-For", "", 401}, // through a proxy on this machine
		{"127.0.0.1", "Forwarded", "secret", 200},
	} {
		r, _ := http.NewRequest("GET", "http://"+s.Addr().String()+"/api/v1/status", nil)
		r.Host = c.host
		if c.field != "" {
			r.Header.Set(c.field, "192.0.2.1")
		}
		if c.token != "" {
			r.Header.Set("Authorization", "bearer "+c.token)
		}
		if status, _, _ := exchange(t, r); status != c.status {
			t.Errorf("%+v: %d", c, status)
		}
	}
	for remote, want := range map[string]bool{
		"127.0.0.1:5": true, "[::1]:5": true, "[::ffff:127.0.0.1]:5": true,
		"10.0.0.1:5": false, "[fe80::1%eth0]:5": false, "": false,
	} {
		r := &http.Request{RemoteAddr: remote, Host: "127.0.0.1", Header: http.Header{}}
		if fromHere(r) != want {
			t.Errorf("from %q: %v", remote, !want)
		}
	}
}

func TestReadTokenIsNeededForReads(t *testing.T) {
	s, _ := serve(t, &fake{}, func(o *Options) { o.ReadToken = "look" })
	for token, want := range map[string]int{"": 401, "look": 200, "secret": 200, "other": 401} {
		if status, _, _ := ask(t, s, "GET", "/api/v1/status", token, ""); status != want {
			t.Errorf("token %q reads: %d", token, status)
		}
	}
	if status, _, _ := ask(t, s, "POST", "/api/v1/nodes/vm-1/drain", "look", ""); status != 401 {
		t.Errorf("the read token writes: %d", status)
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(" first\n")
	s, _ := serve(t, &fake{}, func(o *Options) { o.Token, o.TokenFile = "", file })
	drain := func(token string) int {
		status, _, _ := ask(t, s, "POST", "/api/v1/nodes/vm-1/drain", token, "")
		return status
	}
	if got := drain("first"); got != 200 {
		t.Errorf("first token: %d", got)
	}
	put("the second")
	if got := drain("the second"); got != 200 {
		t.Errorf("second token: %d", got)
	}
	if got := drain("first"); got != 401 {
		t.Errorf("first token after the change: %d", got)
	}
	put("")
	if got := drain("the second"); got != 200 {
		t.Errorf("an empty file must keep the last token: %d", got)
	}
	if _, err := New(Options{Listen: "127.0.0.1:0", TokenFile: file}); err == nil {
		t.Error("a server started with an empty token file")
	}
}

func TestFollowersSendClientsToTheLeader(t *testing.T) {
	leader := &fake{}
	ls, _ := serve(t, leader)
	s, c := serve(t, &fake{leader: "http://" + ls.Addr().String() + "/"})
	status, header, _ := ask(t, s, "POST", "/api/v1/apps/web/scale?x=1", "secret", `{"delta":1}`)
	if want := "http://" + ls.Addr().String() + "/api/v1/apps/web/scale?x=1"; status != 307 || header.Get("Location") != want {
		t.Errorf("%d to %q, want %q", status, header.Get("Location"), want)
	}
	if status, _, _ := ask(t, s, "POST", "/api/v1/apps/web/scale", "wrong", `{"delta":1}`); status != 401 {
		t.Errorf("wrong token: %d", status)
	}
	if status, _, _ := ask(t, s, "GET", "/-/ready", "", ""); status != 200 {
		t.Errorf("a follower is ready: %d", status)
	}
	o, err := c.Scale(context.Background(), ScaleRequest{App: "web", Delta: 2, TTL: time.Minute, Reason: "r"})
	if err != nil || o.By != "ann" {
		t.Errorf("%+v, %v", o, err)
	}
	want := ScaleRequest{App: "web", Delta: 2, TTL: time.Minute, Reason: "r", By: "ann"}
	if diff := cmp.Diff(want, leader.last()); diff != "" {
		t.Errorf("the leader was asked (-want +got)\n%s", diff)
	}
}

func TestNoLeader(t *testing.T) {
	s, c := serve(t, &fake{none: true})
	status, header, body := ask(t, s, "GET", "/api/v1/status", "", "")
	if status != 503 || header.Get("Retry-After") == "" || !strings.Contains(body, "no_leader") {
		t.Errorf("%d %v %s", status, header, body)
	}
	if _, err := c.Status(context.Background()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("the client makes %v of it", err)
	}
}

func TestRedirectsEnd(t *testing.T) {
	b := &fake{}
	s, c := serve(t, b)
	b.leader = "http://" + s.Addr().String()
	if _, err := c.Status(context.Background()); err == nil || !strings.Contains(err.Error(), "3 redirects") {
		t.Errorf("in a circle: %v", err)
	}
	b.leader = "ftp://elsewhere"
	if _, err := c.Status(context.Background()); err == nil || !strings.Contains(err.Error(), "cannot follow") {
		t.Errorf("to another scheme: %v", err)
	}
}

func TestEveryWriteIsAudited(t *testing.T) {
	var log safeBuffer
	b := &fake{}
	s, c := serve(t, b, func(o *Options) { o.Audit = &log })
	ctx := context.Background()
	if _, err := c.NodeAction(ctx, NodeRequest{ID: "vm-1", Action: Drain, Reason: "old"}); err != nil {
		t.Fatal(err)
	}
	b.err = ErrConflict
	if _, err := c.Pause(ctx, PauseRequest{}); err == nil {
		t.Fatal("no error")
	}
	b.err = nil
	if _, err := c.Run(ctx, RunRequest{Image: "i", Env: []string{"PASSWORD=hunter2"}}, Streams{Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	ask(t, s, "POST", "/api/v1/apps/web/scale", "wrong", `{"delta":1}`)
	if _, err := c.Status(ctx); err != nil {
		t.Fatal(err)
	}
	// The client hears of the end of a stream before the log does.
	for deadline := time.Now().Add(10 * time.Second); ; {
		entries, err := c.Audit(ctx, 1)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the end of the stream is not in the log: %+v, %v", entries, err)
		}
		if len(entries) == 1 && entries[0].Status == 101 {
			break
		}
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		var e AuditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !strings.HasPrefix(e.From, "127.0.0.1:") || !e.At.Equal(noon) {
			t.Errorf("from %q at %v", e.From, e.At)
		}
		got = append(got, fmt.Sprint(e.ID, " ", e.By, " ", e.What, " ", string(e.Body), " ", e.Status, " ", e.Error))
	}
	want := []string{
		`1 ann POST /api/v1/nodes/vm-1/drain {"reason":"old"} 0 `,
		`1 ann POST /api/v1/nodes/vm-1/drain  200 `,
		`2 ann POST /api/v1/apps/-/pause {} 0 `,
		`2 ann POST /api/v1/apps/-/pause  409 not possible now`,
		`3 ann POST /api/v1/run {"env":["PASSWORD=***"],"image":"i"} 0 `,
		`3 ann POST /api/v1/run  101 exit 3`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if entries, err := c.Audit(ctx, 2); err != nil || len(entries) != 2 || entries[1].Status != 101 {
		t.Errorf("over the API: %+v, %v", entries, err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAWriteThatCannotBeAuditedIsRefused(t *testing.T) {
	b := &fake{}
	s, _ := serve(t, b, func(o *Options) { o.Audit = broken{} })
	if status, _, body := ask(t, s, "POST", "/api/v1/nodes/vm-1/drain", "secret", ""); status != 503 || !strings.Contains(body, "disk full") {
		t.Errorf("%d %s", status, body)
	}
	if b.last() != nil {
		t.Errorf("and was carried out: %+v", b.last())
	}
}

func TestAuditKeepsTheLast(t *testing.T) {
	l := &auditLog{now: func() time.Time { return noon }}
	for range auditKept + 10 {
		if _, err := l.begin(AuditEntry{}); err != nil {
			t.Fatal(err)
		}
	}
	kept := l.tail(auditKept * 2)
	if len(kept) != auditKept || kept[len(kept)-1].ID != auditKept+10 {
		t.Errorf("%d kept, the last is %d", len(kept), kept[len(kept)-1].ID)
	}
}

// careless panics when it is asked for its status.
type careless struct{ fake }

func (*careless) Status(context.Context) (Status, error) { panic("oh no") }

func TestAPanicIsAnAnswer(t *testing.T) {
	s, _ := serve(t, &careless{})
	for range 2 {
		if status, _, body := ask(t, s, "GET", "/api/v1/status", "", ""); status != 500 || !strings.Contains(body, "internal") || strings.Contains(body, "oh no") {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, _, _ := ask(t, s, "GET", "/api/v1/plan", "", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	serve(t, &fake{}, func(o *Options) { o.Listen = "unix:" + path })
	c, err := NewClient(ClientOptions{Address: "unix:" + path, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Status(context.Background()); err != nil || v.Cluster != "c1" {
		t.Errorf("%+v, %v", v, err)
	}
	var out bytes.Buffer
	if r, err := c.Run(context.Background(), RunRequest{Image: "i"}, Streams{Out: &out}); err != nil || r.Exit != 3 || out.String() != "running i\n" {
		t.Errorf("%+v, %v, %q", r, err, out.String())
	}
	if _, err := New(Options{Listen: "unix:" + path}); err == nil || !strings.Contains(err.Error(), "served by another process") {
		t.Errorf("a second server: %v", err)
	}
}

func TestAddressesOfTheClient(t *testing.T) {
	for _, bad := range []string{"ftp://x", "http://", "http://x/path", "::"} {
		if _, err := NewClient(ClientOptions{Address: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
