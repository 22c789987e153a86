// Package scenario reads descriptions of load that is more than one request.
//
//	url: http://127.0.0.1:8080        # optional; --url wins
//	fresh: false                      # a connection a request
//	headers:                          # of all requests
//	  User-Agent: bench
//	requests:
//	  - name: read
//	    weight: 9                     # 9 of 10; default 1
//	    path: /items/{random:1000}
//	    expect: {status: 200}
//	  - name: write
//	    method: POST
//	    path: /items/{id}
//	    headers: {Content-Type: application/json}
//	    body: '{"id":"{id}"}'         # or body_file: FILE, or body_size: 4KiB
//	    expect:
//	      status: [200, 201]          # one or several; default: all below 400
//	      contains: '{id}'            # in the body; or equals: TEXT, or bytes: N
//
// {id} is a number of 16 digits that is different in each request; an expected
// body that repeats it proves that no answer was crossed with another.
// {random:N} is a number below N.
//
// Unknown keys are errors, with their place in the file. The package makes no
// request; it is the home of the YAML library in bench.
package scenario

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"spillway/bench/load"
)

// maxBody bounds a request body.
const maxBody = 64 << 20

// Scenario is what a file describes.
type Scenario struct {
	URL      string
	Fresh    bool
	Requests []load.Request
	SHA256   string // of the file
}

// file is the form on disk.
type file struct {
	URL      string            `yaml:"url"`
	Fresh    bool              `yaml:"fresh"`
	Headers  map[string]string `yaml:"headers"`
	Requests []request         `yaml:"requests"`
}

type request struct {
	Name     string            `yaml:"name"`
	Weight   *int              `yaml:"weight"`
	Method   string            `yaml:"method"`
	Path     string            `yaml:"path"`
	Headers  map[string]string `yaml:"headers"`
	Body     string            `yaml:"body"`
	BodyFile string            `yaml:"body_file"`
	BodySize string            `yaml:"body_size"`
	Expect   expect            `yaml:"expect"`
}

type expect struct {
	Status   statuses `yaml:"status"`
	Contains string   `yaml:"contains"`
	Equals   string   `yaml:"equals"`
	Bytes    int64    `yaml:"bytes"`
}

// statuses is one code or a list.
type statuses []int

// UnmarshalYAML implements yaml.InterfaceUnmarshaler.
func (s *statuses) UnmarshalYAML(decode func(any) error) error {
	var one int
	if err := decode(&one); err == nil {
		*s = statuses{one}
		return nil
	}
	return decode((*[]int)(s))
}

// Read reads a scenario. Files that it names are looked for beside it.
func Read(path string) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read scenario: %w", err)
	}
	s, err := parse(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("cannot read scenario %q: %w", path, err)
	}
	return s, nil
}

func parse(text []byte, dir string) (*Scenario, error) {
	var f file
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f); err != nil && err != io.EOF { // an empty file
		return nil, err
	}
	sum := sha256.Sum256(text)
	s := &Scenario{URL: f.URL, Fresh: f.Fresh, SHA256: hex.EncodeToString(sum[:])[:16]}
	if len(f.Requests) == 0 {
		return nil, fmt.Errorf("requests: at least one")
	}
	for i := range f.Requests {
		r, err := f.Requests[i].load(f.Headers, dir)
		if err != nil {
			return nil, fmt.Errorf("requests[%d]: %w", i, err)
		}
		s.Requests = append(s.Requests, r)
	}
	return s, nil
}

func (r *request) load(common map[string]string, dir string) (load.Request, error) {
	out := load.Request{Name: r.Name, Weight: 1, Method: strings.ToUpper(r.Method), Path: r.Path}
	if r.Weight != nil {
		out.Weight = *r.Weight
	}
	if out.Weight < 1 {
		return out, fmt.Errorf("weight: %d, want at least 1", out.Weight)
	}
	if out.Name == "" {
		out.Name = strings.TrimSpace(out.Method + " " + out.Path)
	}
	out.Header = fields(common, r.Headers)
	out.Expect = load.Expect{Status: r.Expect.Status, Contains: r.Expect.Contains, Equals: r.Expect.Equals, Bytes: r.Expect.Bytes}
	for _, code := range r.Expect.Status {
		if code < 200 || code > 599 {
			return out, fmt.Errorf("expect.status: %d is no final status", code)
		}
	}
	var err error
	out.Body, err = r.body(dir)
	return out, err
}

// fields merges header fields; those of the request win. They are sorted, so
// that a scenario is always the same bytes.
func fields(common, own map[string]string) []load.Field {
	var all []load.Field
	for name, value := range own {
		all = append(all, load.Field{Name: name, Value: value})
	}
	for name, value := range common {
		same := func(f load.Field) bool { return strings.EqualFold(f.Name, name) }
		if !slices.ContainsFunc(all, same) {
			all = append(all, load.Field{Name: name, Value: value})
		}
	}
	slices.SortFunc(all, func(a, b load.Field) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (r *request) body(dir string) ([]byte, error) {
	given := 0
	for _, text := range []string{r.Body, r.BodyFile, r.BodySize} {
		if text != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, fmt.Errorf("body, body_file and body_size exclude each other")
	case r.BodyFile != "":
		path := r.BodyFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("body_file: %w", err)
		}
		if len(body) > maxBody {
			return nil, fmt.Errorf("body_file: %q is larger than 64MiB", path)
		}
		return body, nil
	case r.BodySize != "":
		n, err := parseSize(r.BodySize)
		if err != nil {
			return nil, fmt.Errorf("body_size: %w", err)
		}
		return bytes.Repeat([]byte("x"), n), nil
	}
	return []byte(r.Body), nil
}

func parseSize(text string) (int, error) {
	number, unit := text, 1
	for suffix, factor := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = rest, factor
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 || n > maxBody/unit {
		return 0, fmt.Errorf("%q is no size such as 512 or 4KiB, up to 64MiB", text)
	}
	return n * unit, nil
}
