package devregistry

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However keys are written and deleted: a read of a prefix returns what a
// plain map has, its index moves exactly when something below it changed, and
// a watch is woken exactly then.
func TestIndexOfAPrefixFollowsItsKeysAlone(t *testing.T) {
	keys := rapid.StringMatching(`[ab](/[ab]){0,2}`)
	rapid.Check(t, func(t *rapid.T) {
		r := New(Options{Logger: quiet})
		defer r.Close()
		prefix := rapid.SampledFrom([]string{"a", "a/", "a/b", "b/a/"}).Draw(t, "prefix")
		r.PutKV(prefix+"!", nil) // a prefix that was never written has the index of the table
		model := map[string]string{prefix + "!": ""}
		wt := r.watch.add(topic{topicPrefix, prefix})
		for range rapid.IntRange(1, 30).Draw(t, "writes") {
			before := kvIndex(r, prefix)
			changed := writeBoth(t, r, model, prefix, keys)
			if moved := kvIndex(r, prefix) > before; moved != changed {
				t.Fatalf("index %d -> %d, keys below %q changed: %v", before, kvIndex(r, prefix), prefix, changed)
			}
			if woken := len(wt.wake) == 1; woken != changed {
				t.Fatalf("watch of %q woken: %v, changed: %v", prefix, woken, changed)
			}
			if changed {
				<-wt.wake
			}
			sameKeys(t, r, model, prefix)
		}
	})
}

// writeBoth changes registry and model alike, and reports whether a key below
// prefix changed.
func writeBoth(t *rapid.T, r *Registry, model map[string]string, prefix string, keys *rapid.Generator[string]) bool {
	key := keys.Draw(t, "key")
	below := strings.HasPrefix(key, prefix)
	old, exists := model[key]
	if rapid.Bool().Draw(t, "delete") {
		r.DeleteKV(key)
		delete(model, key)
		return below && exists
	}
	value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
	r.PutKV(key, []byte(value))
	model[key] = value
	return below && (!exists || old != value)
}

func sameKeys(t *rapid.T, r *Registry, model map[string]string, prefix string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	pairs, _ := r.state.kv.list(prefix)
	n := 0
	for key := range model {
		if strings.HasPrefix(key, prefix) {
			n++
		}
	}
	if len(pairs) != n {
		t.Fatalf("%d pairs below %q, want %d", len(pairs), prefix, n)
	}
	for i, p := range pairs {
		if model[p.Key] != string(p.Value) || (i > 0 && pairs[i-1].Key >= p.Key) {
			t.Fatalf("pair %q = %q, want %q, in order", p.Key, p.Value, model[p.Key])
		}
	}
}

// No request may bring the registry down, or be answered without a status.
func FuzzRequests(f *testing.F) {
	for _, rt := range routes() {
		f.Add(rt.methods[0], rt.path+"x", "cas=1&index=0&wait=1ms", `{"ID":"x"}`)
	}
	f.Add("PUT", "/v1/txn", "", `[{"KV":{"Verb":"set","Key":"a","Value":"eA=="}},{}]`)
	f.Add("GET", "/v1/health/service/consul", "filter=Service.Port==1 and Node.Node!=x&passing&tag=a", "")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if !strings.HasPrefix(path, "/") || strings.Contains(query, "index=") {
			return // a blocking query would wait
		}
		r := New(Options{Logger: quiet})
		defer r.Close()
		req := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{},
			Body: http.NoBody, Proto: "HTTP/1.1", ContentLength: int64(len(body)),
		}
		if body != "" {
			req = httptest.NewRequest(http.MethodPut, "/", strings.NewReader(body))
			req.Method, req.URL = method, &url.URL{Path: path, RawQuery: query}
		}
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, req)
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
	})
}
