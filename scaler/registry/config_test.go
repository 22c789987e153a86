package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGatewaysAreThoseThatRegistered(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	cfg := config(t, c)
	cfg.GatewayService = "gateways-of-this-test"
	h := newHealth(t, cfg)
	got, err := h.Gateways(ctx)
	ok(t, err)
	if len(got) != 0 {
		t.Fatalf("gateways without any: %v", got)
	}
	for id, extra := range map[string]string{
		"gw-2": `"Address":"10.0.0.2","Port":9901`,
		"gw-1": `"Address":"10.0.0.1","Port":9901,"Meta":{"admin":"https://gw-1.example:9902/"}`,
		"gw-3": `"Port":9901,"Check":{"TTL":"1h","Status":"critical"}`,
	} {
		c.must(t, "PUT", "/v1/agent/service/register", fmt.Sprintf(`{"Name":%q,"ID":%q,%s}`, cfg.GatewayService, id, extra))
	}
	want := []Gateway{{"gw-1", "https://gw-1.example:9902"}, {"gw-2", "http://10.0.0.2:9901"}, {"gw-3", "http://127.0.0.1:9901"}}
	eventually(t, "gateways", func() error {
		got, err := h.Gateways(ctx)
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			err = errors.New(diff)
		}
		return err
	})
}

func TestRightsThatLackAreSaid(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	const secret = "5a1c0de0-0000-4000-8000-00000000dead"
	cfg := config(t, c)
	owner := newHealth(t, cfg)
	r := instance(t, "closed", "closed-1")
	ok(t, owner.Register(ctx, r))
	becomes(t, owner, "closed", true, false)
	for name, token := range map[string]Secret{"unknown": secret, "anonymous": "00000000-0000-0000-0000-000000000002"} {
		t.Run(name, func(t *testing.T) {
			cfg.Token = token
			h, k := newHealth(t, cfg), newKV(t, cfg)
			_, listed := h.Entries(ctx, "closed")
			_, gateways := k.Gateways(ctx)
			for what, err := range map[string]error{
				"register": h.Register(ctx, r), "drain": h.Drain(ctx, "closed", r.ID, ""), "entries": listed,
				"kv register": k.Register(ctx, r),
			} {
				if !errors.Is(err, ErrDenied) {
					t.Errorf("%s: error is %v, want one that is %q", what, err, ErrDenied)
				}
				if strings.Contains(fmt.Sprint(err), string(token)) {
					t.Errorf("%s: error shows the token: %v", what, err)
				}
			}
			if name == "unknown" {
				wants(t, gateways, ErrDenied)
			}
		})
	}
	ok(t, owner.Deregister(ctx, "closed", r.ID))
}

func TestRegistrationsThatMakeNoSense(t *testing.T) {
	ctx, c := t.Context(), sharedConsul(t)
	good := instance(t, "sense", "sense-1")
	for name, spoil := range map[string]func(*Registration){
		"no id":          func(r *Registration) { r.ID = "" },
		"id with slash":  func(r *Registration) { r.ID = "a/b" },
		"no service":     func(r *Registration) { r.Service = "" },
		"no port":        func(r *Registration) { r.Address = "10.0.0.1" },
		"port 0":         func(r *Registration) { r.Address = "10.0.0.1:0" },
		"a name":         func(r *Registration) { r.Address = "host:80" },
		"relative check": func(r *Registration) { r.Check.HTTP = "healthz" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			spoil(&r)
			wants(t, newHealth(t, config(t, c)).Register(ctx, r), ErrInvalid)
			wants(t, newKV(t, config(t, c)).Register(ctx, r), ErrInvalid)
		})
	}
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]Config{
		"no address":             {Cluster: "c"},
		"no cluster":             {Address: "127.0.0.1:8500"},
		"cluster with a slash":   {Address: "127.0.0.1:8500", Cluster: "a/b"},
		"index below the prefix": {Address: "127.0.0.1:8500", Cluster: "c", Prefix: "up", Index: "up/index"},
		"prefix below the index": {Address: "127.0.0.1:8500", Cluster: "c", Prefix: "up/web", Index: "up"},
		"the same":               {Address: "127.0.0.1:8500", Cluster: "c", Prefix: "up", Index: "/up/"},
		"bad certificate":        {Address: "127.0.0.1:8500", Cluster: "c", Cert: []byte("x"), Key: []byte("y")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewKV(c); err == nil {
				t.Error("taken")
			}
		})
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	s := Secret("hush")
	encoded, err := json.Marshal(struct{ Token Secret }{s})
	ok(t, err)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q", s, s, s, s), s.LogValue().String(), string(encoded)} {
		if strings.Contains(text, "hush") {
			t.Errorf("shows in %q", text)
		}
	}
	if Secret("").String() != "" {
		t.Error("no secret looks like one")
	}
}

func TestAgentBehindASocket(t *testing.T) {
	c := sharedConsul(t)
	path := t.TempDir() + "/consul.sock"
	ln, err := net.Listen("unix", path)
	ok(t, err)
	to, err := url.Parse("http://" + c.addr)
	ok(t, err)
	proxy := &http.Server{Handler: httputil.NewSingleHostReverseProxy(to)}
	go proxy.Serve(ln)
	t.Cleanup(func() { proxy.Close() })
	cfg := config(t, c)
	cfg.Address = "unix://" + path
	_, err = newHealth(t, cfg).Entries(t.Context(), "none")
	ok(t, err)
}

func TestTokenFileIsReadAgain(t *testing.T) {
	c := sharedConsul(t)
	path := t.TempDir() + "/token"
	write := func(token string) { ok(t, os.WriteFile(path, []byte(token), 0o600)) }
	cfg := config(t, c)
	cfg.Token, cfg.TokenFile = "", path
	h := newHealth(t, cfg)
	_, err := h.Entries(t.Context(), "none")
	wants(t, err, ErrUnavailable)
	write("\n")
	_, err = h.Entries(t.Context(), "none")
	wants(t, err, ErrUnavailable)
	write("5a1c0de0-0000-4000-8000-00000000dead")
	_, err = h.Entries(t.Context(), "none")
	wants(t, err, ErrDenied)
	write(root + "\n")
	_, err = h.Entries(t.Context(), "none")
	ok(t, err)
	ok(t, os.Remove(path))
	_, err = h.Entries(t.Context(), "none")
	ok(t, err)
}
