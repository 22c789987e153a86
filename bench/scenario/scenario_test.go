package scenario

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/bench/load"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestScenarioIsRead(t *testing.T) {
	path := write(t, "s.yaml", `
url: http://127.0.0.1:8080
fresh: true
headers: {User-Agent: bench, accept: "*/*"}
requests:
  - name: read
    weight: 9
    path: /items/{random:1000}
    expect: {status: 200}
  - method: post
    path: /items
    headers: {Accept: text/plain}
    body: '{"id":"{id}"}'
    expect: {status: [200, 201], contains: "{id}", bytes: 23}
  - path: /file
    body_file: payload
  - path: /large
    body_size: 4KiB
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "payload"), []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	agent := load.Field{Name: "User-Agent", Value: "bench"}
	common := []load.Field{agent, {Name: "accept", Value: "*/*"}}
	want := &Scenario{URL: "http://127.0.0.1:8080", Fresh: true, SHA256: got.SHA256, Requests: []load.Request{
		{Name: "read", Weight: 9, Path: "/items/{random:1000}", Header: common, Body: []byte{}, Expect: load.Expect{Status: []int{200}}},
		{
			Name: "POST /items", Weight: 1, Method: "POST", Path: "/items", Header: []load.Field{{Name: "Accept", Value: "text/plain"}, agent},
			Body: []byte(`{"id":"{id}"}`), Expect: load.Expect{Status: []int{200, 201}, Contains: "{id}", Bytes: 23},
		},
		{Name: "/file", Weight: 1, Path: "/file", Header: common, Body: []byte("from a file")},
		{Name: "/large", Weight: 1, Path: "/large", Header: common, Body: bytes.Repeat([]byte("x"), 4096)},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got.SHA256) != 16 {
		t.Errorf("sum %q", got.SHA256)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "requests: at least one",
		"requests: []":            "requests: at least one",
		"requests: 7":             "requests",
		"requsts: []":             "requsts",
		"requests: [{}":           "sequence end",
		"requests: [{weight: 0}]": "requests[0]: weight: 0",
		"requests: [{}, {body: a, body_size: '3'}]":        "requests[1]: body, body_file and body_size",
		"requests: [{body_size: 4GB}]":                     `"4GB" is no size`,
		"requests: [{body_size: 65MiB}]":                   "is no size",
		"requests: [{body_file: /does/not/exist}]":         "body_file: ",
		"requests: [{expect: {status: 42}}]":               "42 is no final status",
		"requests: [{expect: {status: [200, many]}}]":      "many",
		"requests: [{path: /, expect: {body: whatever}}]":  "body",
		"url: [1]\nrequests: [{path: /}]":                  "url",
		"requests: [{headers: [not, a, map], path: /}]":    "headers",
		"requests: [{path: /, weight: lots, method: GET}]": "weight",
	} {
		_, err := Read(write(t, "s.yaml", text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "cannot read scenario") {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	if _, err := Read("/does/not/exist.yaml"); err == nil {
		t.Error("a missing file was read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("requests: [{path: /}]")
	f.Add("requests: [{expect: {status: [200]}}]")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "body_file") || strings.Contains(text, "iB") {
			return // no files of this machine, no large bodies
		}
		if s, err := parse([]byte(text), dir); err == nil && len(s.Requests) == 0 {
			t.Errorf("%q has no requests", text)
		}
	})
}
