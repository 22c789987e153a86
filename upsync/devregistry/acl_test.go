package devregistry

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTokensDecideWhatIsSeen(t *testing.T) {
	r := New(Options{Logger: quiet, Tokens: map[string]Policy{
		Anonymous: {},
		"root":    {Write: []string{""}},
		"reader":  {Read: []string{"key/web/", "service/web", "node/"}},
	}})
	defer r.Close()
	r.PutKV("web/1", nil)
	r.PutKV("api/1", nil)
	for _, name := range []string{"web", "api"} {
		if err := r.RegisterService(AgentService{Name: name, Port: 80}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		method, path, token string
		status              int
		filtered            bool
		has, hasNot         string
	}{
		{"GET", "/v1/kv/?recurse", "root", 200, false, "api/1", ""},
		{"GET", "/v1/kv/?recurse", "reader", 200, true, "web/1", "api/1"},
		{"GET", "/v1/kv/?recurse", "", 404, false, "", "web/1"}, // nobody tells the anonymous
		{"GET", "/v1/kv/api/?recurse", "reader", 404, true, "", "api/1"},
		{"GET", "/v1/kv/api/1", "reader", 403, false, "lacks permission 'key:read'", ""},
		{"PUT", "/v1/kv/web/1", "reader", 403, false, "lacks permission 'key:write'", ""},
		{"GET", "/v1/kv/web/1", "unknown", 403, false, "ACL not found", ""},
		{"GET", "/v1/health/service/web", "reader", 200, false, `"Port":80`, ""},
		{"GET", "/v1/health/service/api", "reader", 200, true, "[]", `"Port":80`},
		{"GET", "/v1/catalog/service/api", "reader", 200, true, "[]", `"Port":80`},
		{"GET", "/v1/catalog/services", "reader", 200, true, "web", "api"},
		{"PUT", "/v1/agent/service/deregister/web", "reader", 403, false, "service:write", ""},
		{"PUT", "/v1/session/create", "reader", 403, false, "session:write", ""},
		{"PUT", "/v1/agent/service/deregister/api", "root", 200, false, "", ""},
	} {
		req := httptest.NewRequest(tt.method, tt.path, nil)
		req.Header.Set("X-Consul-Token", tt.token)
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, req)
		body := w.Body.String()
		filtered := w.Header().Get("X-Consul-Results-Filtered-By-Acls") == "true"
		if w.Code != tt.status || filtered != tt.filtered || !strings.Contains(body, tt.has) ||
			(tt.hasNot != "" && strings.Contains(body, tt.hasNot)) {
			t.Errorf("%s %s as %q: %d, filtered %v, %s", tt.method, tt.path, tt.token, w.Code, filtered, body)
		}
	}
}

func TestTokenIsTakenFromParameterHeaderAndBearer(t *testing.T) {
	r := New(Options{Logger: quiet, Tokens: map[string]Policy{"root": {Write: []string{""}}}})
	defer r.Close()
	r.PutKV("a", nil)
	for name, set := range map[string]func(*http.Request){
		"header":    func(req *http.Request) { req.Header.Set("X-Consul-Token", "root") },
		"bearer":    func(req *http.Request) { req.Header.Set("Authorization", "Bearer root") },
		"parameter": func(req *http.Request) { req.URL.RawQuery = "token=root" },
	} {
		req := httptest.NewRequest(http.MethodGet, "/v1/kv/a", nil)
		set(req)
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	r.SetTokens(map[string]Policy{})
	req := httptest.NewRequest(http.MethodGet, "/v1/kv/a?token=root", nil)
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	if w.Code != http.StatusForbidden {
		t.Errorf("a revoked token: %d", w.Code)
	}
}
