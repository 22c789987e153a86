package route

import (
	"bytes"
	"strings"
	"testing"
)

func TestNormalPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "/",
		"/":                    "/",
		"/.":                   "/",
		"/..":                  "/",
		"/../..":               "/",
		"/../a":                "/a",
		"/a/./b":               "/a/b",
		"/a/../b":              "/b",
		"/a/b/..":              "/a/",
		"/a/b/../":             "/a/",
		"/a/.":                 "/a/",
		"/a/./":                "/a/",
		"/a/b/../../../../c":   "/c",
		"/a//../b":             "/a/b", // the empty segment is one
		"//":                   "//",
		"//..":                 "/",
		"/a//b":                "/a//b",
		"/%2e":                 "/",
		"/%2E%2e/x":            "/x",
		"/a/.%2e/x":            "/x",
		"/a/%2e./x":            "/x",
		"/a/%2e%2f/x":          "/a/%2e%2f/x", // an encoded slash is no separator
		"/a/..%2fx":            "/a/..%2fx",
		"/a/...":               "/a/...",
		"/a/%2e%2e%2e":         "/a/%2e%2e%2e",
		"/a/.b/..c/d.":         "/a/.b/..c/d.",
		"/a/%2":                "/a/%2",
		"/a/%252e%252e/b":      "/a/%252e%252e/b", // decoded once only
		"/a/..;/b":             "/a/..;/b",
		"/a/b/c/./../../g":     "/a/g", // RFC 3986, 5.2.4
		"*":                    "*",
		"mid/content=5/../6":   "mid/content=5/../6", // no origin-form
		"/\x00/../\xff/./\x80": "/\xff/\x80",
	} {
		var m Match
		if got := string(m.normalPath([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// reference is the rule in other words: decode dots, then keep a stack.
func reference(path string) string {
	segments := strings.Split(path[1:], "/")
	var stack []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch strings.NewReplacer("%2e", ".", "%2E", ".").Replace(s) {
		case ".", "..":
			if len(strings.NewReplacer("%2e", ".", "%2E", ".").Replace(s)) == 2 && len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
			if last {
				stack = append(stack, "")
			}
		default:
			stack = append(stack, s)
		}
	}
	return "/" + strings.Join(stack, "/")
}

func FuzzNormalPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2E/", "//../.", "/a/.%2e", "/...", "/%2", "/a%2e", "/../../"} {
		f.Add([]byte(s))
	}
	var m Match
	f.Fuzz(func(t *testing.T, in []byte) {
		in = append([]byte("/"), in...)
		before := bytes.Clone(in)
		got := bytes.Clone(m.normalPath(in))
		switch {
		case string(got) != reference(string(before)):
			t.Fatalf("%q: got %q, want %q", before, got, reference(string(before)))
		case !bytes.Equal(in, before):
			t.Fatalf("%q was changed to %q", before, in)
		case len(got) > len(in) || got[0] != '/' || hasDotSegment(got):
			t.Fatalf("%q: %q is not normal", before, got)
		case !bytes.Equal(m.normalPath(bytes.Clone(got)), got):
			t.Fatalf("%q: %q is not stable", before, got)
		}
	})
}

func FuzzMatch(f *testing.F) {
	table := mustCompile(f, Rule{Host: "*.a.test", Upstream: "{host.1}"}, Rule{Host: "b.test", Path: "/x", Upstream: "x"})
	f.Add("Q.a.test:80", "/x/../y")
	f.Add("[::1", "*")
	f.Add("b.test.", "/x")
	f.Fuzz(func(t *testing.T, host, path string) {
		var m Match
		if !table.Match([]byte(host), []byte(path), []byte("GET"), &m) {
			return
		}
		name := strings.ToLower(host)
		if m.Rule == 0 && (len(m.Upstream) == 0 || !strings.HasPrefix(name, string(bytes.ToLower(m.Upstream))+".a.test")) {
			t.Fatalf("%q: captured %q", host, m.Upstream)
		}
		if m.Rule == 1 && !strings.HasPrefix(name, "b.test") {
			t.Fatalf("%q is no b.test", host)
		}
	})
}
