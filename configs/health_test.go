package configs

import "testing"

func TestParseStatus(t *testing.T) {
	for text, want := range map[string][2]int{
		"200": {200, 200}, "200-399": {200, 399}, "100-599": {100, 599}, "204-204": {204, 204},
		"": {}, "20": {}, "2000": {}, "2xx": {}, "600": {}, "099": {}, "300-200": {}, "200-": {}, "-200": {}, "200-300-400": {}, "+20": {}, "2 0": {},
	} {
		first, last, ok := ParseStatus(text)
		if ok != (want[0] != 0) || ok && [2]int{first, last} != want {
			t.Errorf("%q: %d-%d, %v; want %v", text, first, last, ok, want)
		}
	}
}

// FuzzHealth loads upstreams with these texts as keys of their health: nothing
// that is accepted can break a request, and nothing panics.
func FuzzHealth(f *testing.F) {
	f.Add("200-399", "/healthz?a=b", "app.example.com", "X-Probe", "1")
	f.Add("2xx", "healthz", "a/b", "X Y", "a\r\nb")
	f.Add("599-100", "/ HTTP/1.1\r\nX: y", "", "", "")
	f.Fuzz(func(t *testing.T, status, path, host, name, value string) {
		u := DefaultUpstream(SourceStatic)
		u.Health.Status, u.Health.Path, u.Health.Host = []string{status}, path, host
		u.Health.Headers = map[string]string{name: value}
		c := Default()
		k := checker{judge{book: &c.book}, c}
		k.health("upstreams.web", &u)
		if len(k.errs) > 0 {
			return
		}
		first, last, ok := ParseStatus(status)
		if !ok || first < 100 || last > 599 || first > last {
			t.Errorf("status %q was accepted", status)
		}
		for _, text := range []string{path, host, name, value} {
			for i := range len(text) {
				if text[i] == '\r' || text[i] == '\n' || text[i] == 0 {
					t.Errorf("%q was accepted", text)
				}
			}
		}
		if path == "" || path[0] != '/' || name == "" {
			t.Errorf("path %q, name %q were accepted", path, name)
		}
	})
}
