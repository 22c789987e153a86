package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
)

// mirror is a registry that has one image under any name, on the address that
// the machine reaches us by. It speaks as much of
// https://distribution.github.io/distribution/spec/api/ as a pull needs.
type mirror struct {
	host      string
	blobs     map[string][]byte // by digest
	manifest  []byte
	manifests atomic.Int32 // requests
	hold      chan struct{}
}

func startMirror(t *testing.T, address string) *mirror {
	t.Helper()
	archived, err := probeImage()
	ok(t, err)
	m := &mirror{blobs: map[string][]byte{}, hold: make(chan struct{})}
	close(m.hold)
	m.manifest = m.read(t, archived)
	ln, err := net.Listen("tcp", address+":0")
	ok(t, err)
	s := httptest.NewUnstartedServer(m)
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	m.host = ln.Addr().String()
	return m
}

// read takes an archive apart into blobs and returns a manifest of them.
func (m *mirror) read(t *testing.T, archived []byte) []byte {
	t.Helper()
	const v2 = "application/vnd.docker."
	man := map[string]any{"schemaVersion": 2, "mediaType": v2 + "distribution.manifest.v2+json"}
	for r := tar.NewReader(bytes.NewReader(archived)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		ok(t, err)
		content, err := io.ReadAll(r)
		ok(t, err)
		d := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
		blob := map[string]any{"size": len(content), "digest": d}
		switch {
		case strings.HasSuffix(h.Name, "/layer.tar"):
			blob["mediaType"] = v2 + "image.rootfs.diff.tar"
			man["layers"] = []any{blob}
		case h.Name != "manifest.json" && strings.HasSuffix(h.Name, ".json"):
			blob["mediaType"] = v2 + "container.image.v1+json"
			man["config"] = blob
		}
		m.blobs[d] = content
	}
	b, err := json.Marshal(man)
	ok(t, err)
	return b
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.Contains(r.URL.Path, "/never/"):
		http.NotFound(w, r)
	case strings.Contains(r.URL.Path, "/manifests/"):
		m.manifests.Add(1)
		select {
		case <-m.hold:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(m.manifest)))
		w.Write(m.manifest)
	case strings.Contains(r.URL.Path, "/blobs/"):
		w.Write(m.blobs[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]])
	}
}

// unload makes an engine forget an image of this name.
func unload(t *testing.T, x *Engines, e Engine, name string) {
	t.Helper()
	api, err := x.lane(e).client(context.Background())
	ok(t, err)
	api.ImageRemove(context.Background(), name, image.RemoveOptions{Force: true})
}

func TestImageComesFromTheFirstMirrorThatHasIt(t *testing.T) {
	x, e := world(t)
	m := startMirror(t, useMachine(t, "one").host)
	for name, sources := range map[string][]string{
		"lab/a:1":                {m.host},
		"lab/b:1":                {m.host + "/lab/b:1"},
		"lab/c:1":                {"127.0.0.1:1", m.host + "/never/c:1", m.host},
		m.host + "/lab/d:1":      nil,
		m.host + "/lab/e:1":      {"127.0.0.1:1", m.host + "/lab/e:1"},
		m.host + "/lab/implicit": nil,
	} {
		t.Run(strings.TrimPrefix(name, m.host), func(t *testing.T) {
			t.Cleanup(func() { unload(t, x, e, name) })
			has, err := x.Has(t.Context(), e, name)
			if has || err != nil {
				t.Fatalf("present before: %t, %v", has, err)
			}
			ok(t, x.Image(t.Context(), e, name, sources))
			if has, err := x.Has(t.Context(), e, name); !has || err != nil {
				t.Fatalf("present after: %t, %v", has, err)
			}
			asked := m.manifests.Load()
			ok(t, x.Image(t.Context(), e, name, sources))
			if m.manifests.Load() != asked {
				t.Error("what is present was asked for again")
			}
			s := spec(t, "speak", "1")
			s.Name, s.Image = strings.NewReplacer(":", "", "#", "").Replace(s.Name), name
			run(t, x, e, s)
			discard(t, x, e, s.Name)
		})
	}
}

func TestImageThatNobodyHas(t *testing.T) {
	x, e := world(t)
	m := startMirror(t, useMachine(t, "one").host)
	file := archive(t)
	err := x.Image(t.Context(), e, "lab/missing:1", []string{m.host + "/never/x:1", file, "file:/nowhere.tar"})
	wants(t, err, ErrNoImage)
	for _, why := range []string{`"lab/missing:1"`, "/never/x:1", "has no image", "/nowhere.tar"} {
		if !strings.Contains(fmt.Sprint(err), why) {
			t.Errorf("error does not tell of %s: %v", why, err)
		}
	}
	wants(t, x.Image(t.Context(), e, "BAD NAME", nil), ErrInvalid)
	wants(t, x.Image(t.Context(), e, "lab/x@sha256:"+strings.Repeat("0", 64), []string{m.host}), ErrNoImage)
}

func TestImageIsPulledOnceByManyAtOnce(t *testing.T) {
	x, e := world(t)
	m := startMirror(t, useMachine(t, "one").host)
	m.hold = make(chan struct{})
	name := "lab/shared:1"
	t.Cleanup(func() { unload(t, x, e, name) })
	gone, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { wants(t, x.Image(gone, e, name, []string{m.host}), context.Canceled) })
	eventually(t, "the first asks", func() error {
		if m.manifests.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	for range 7 {
		wg.Go(func() {
			if err := x.Image(t.Context(), e, name, []string{m.host}); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the others wait", func() error {
		if n := waiting(x.lane(e)); n != 8 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	leave() // the pull goes on without its first caller
	eventually(t, "the first is gone", func() error {
		if n := waiting(x.lane(e)); n != 7 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	asked := m.manifests.Load()
	close(m.hold)
	wg.Wait()
	if n := m.manifests.Load() - asked; n > 1 { // HEAD, then GET
		t.Errorf("the mirror was asked %d times more", n)
	}
}

func waiting(l *lane) (n int) {
	l.pulls.mu.Lock()
	defer l.pulls.mu.Unlock()
	for _, f := range l.pulls.flights {
		n += f.waiting
	}
	return n
}

func TestImagePullEndsWithItsLastCaller(t *testing.T) {
	x, e := world(t)
	m := startMirror(t, useMachine(t, "one").host)
	m.hold = make(chan struct{})
	defer close(m.hold)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- x.Image(ctx, e, "lab/unwanted:1", []string{m.host}) }()
	eventually(t, "it is asked for", func() error {
		if m.manifests.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	cancel()
	wants(t, <-ended, context.Canceled)
	eventually(t, "its turn is free", func() error {
		if n := len(x.lane(e).works); n > 0 {
			return fmt.Errorf("%d are taken", n)
		}
		return nil
	})
}

func TestImageSourceWithoutProgressIsGivenUp(t *testing.T) {
	_, e := world(t)
	stuck, good := startMirror(t, useMachine(t, "one").host), startMirror(t, useMachine(t, "one").host)
	stuck.hold = make(chan struct{})
	defer close(stuck.hold)
	x := New(Options{PullIdle: 2 * time.Second})
	defer x.Close()
	name := "lab/late:1"
	t.Cleanup(func() { unload(t, x, e, name) })
	ok(t, x.Image(t.Context(), e, name, []string{stuck.host, good.host}))
	err := x.Image(t.Context(), e, "lab/stuck:1", []string{stuck.host})
	wants(t, err, ErrNoImage)
	wants(t, err, errIdle)
}

func TestScratchImageIsReproducible(t *testing.T) {
	var a, b, c bytes.Buffer
	make := func(w io.Writer, binary string) {
		ok(t, ScratchImage(w, "lab/app", strings.NewReader(binary), []string{"/opt/bin/app", "serve"}, "--fast"))
	}
	make(&a, "binary")
	make(&b, "binary")
	make(&c, "binarx")
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("equal inputs give other archives, or other inputs equal ones")
	}
	files := map[string]string{}
	for r := tar.NewReader(&a); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		ok(t, err)
		if h.ModTime.Unix() != 0 || h.Uid != 0 {
			t.Errorf("%s has time %v, owner %d", h.Name, h.ModTime, h.Uid)
		}
		content, err := io.ReadAll(r)
		ok(t, err)
		files[h.Name] = string(content)
	}
	var manifest []imageManifest
	ok(t, json.Unmarshal([]byte(files["manifest.json"]), &manifest))
	if len(manifest) != 1 || fmt.Sprint(manifest[0].RepoTags) != "[lab/app:latest]" || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest is %+v", manifest)
	}
	var config imageConfig
	ok(t, json.Unmarshal([]byte(files[manifest[0].Config]), &config))
	layer := files[manifest[0].Layers[0]]
	if want := fmt.Sprintf("[sha256:%x]", sha256.Sum256([]byte(layer))); fmt.Sprint(config.RootFS.DiffIDs) != want {
		t.Errorf("layers are %v, want %s", config.RootFS.DiffIDs, want)
	}
	if fmt.Sprint(config.Config.Entrypoint, config.Config.Cmd) != "[/opt/bin/app serve] [--fast]" {
		t.Errorf("runs %+v", config.Config)
	}
	var names []string
	for r := tar.NewReader(strings.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		ok(t, err)
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "opt/ opt/bin/ tmp/ opt/bin/app" {
		t.Errorf("the layer has %s", got)
	}
}

func TestScratchImageRefusesNonsense(t *testing.T) {
	for name, err := range map[string]error{
		"no entrypoint":       ScratchImage(io.Discard, "a", strings.NewReader("x"), nil),
		"relative entrypoint": ScratchImage(io.Discard, "a", strings.NewReader("x"), []string{"app"}),
		"root":                ScratchImage(io.Discard, "a", strings.NewReader("x"), []string{"//"}),
		"no name":             ScratchImage(io.Discard, "", strings.NewReader("x"), []string{"/a"}),
		"digest":              ScratchImage(io.Discard, "a@sha256:0", strings.NewReader("x"), []string{"/a"}),
		"empty binary":        ScratchImage(io.Discard, "a", strings.NewReader(""), []string{"/a"}),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestProgressTellsOfFailures(t *testing.T) {
	for _, test := range []struct{ name, input, fails string }{
		{"nothing", "", ""},
		{"success", `{"status":"Pulling"}` + "\r\n" + `{"status":"Done","progressDetail":{"current":1}}`, ""},
		{"error", `{"status":"Pulling"}{"error":"toomanyrequests"}`, "toomanyrequests"},
		{"detail", `{"errorDetail":{"message":"no space left on device"},"error":"x"}`, "no space left"},
		{"cut", `{"status":"Pul`, "unexpected EOF"},
		{"no JSON", `<html>`, "progress"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := readProgress(strings.NewReader(test.input))
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error is %v, want %q", err, test.fails)
			}
		})
	}
}

func FuzzProgress(f *testing.F) {
	f.Add(`{"status":"a"}{"error":"b"}`)
	f.Add(`{"errorDetail":{"message":"c"}}`)
	f.Fuzz(func(t *testing.T, input string) {
		err := readProgress(strings.NewReader(input))
		if again := readProgress(strings.NewReader(input + "\n")); (err == nil) != (again == nil) {
			t.Errorf("%v, and with a newline %v", err, again)
		}
		if fails := readProgress(strings.NewReader(input + `{"error":"e"}`)); fails == nil {
			t.Error("the error at its end is not seen")
		}
	})
}
