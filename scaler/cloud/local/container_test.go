package local_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud/local"
)

// webImage is an image from scratch with testdata/web, as a tar of its files.
func webImage(t *testing.T) []byte {
	t.Helper()
	program := filepath.Join(t.TempDir(), "web")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the image's program: %v: %s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "web", Mode: 0o755, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func post(t *testing.T, c *http.Client, path, body string) {
	t.Helper()
	r, err := c.Post("http://engine"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode >= 300 || bytes.Contains(text, []byte(`"error"`)) {
		t.Fatalf("%s: status %d, %s, %v", path, r.StatusCode, text, err)
	}
}

// runWeb starts the container twice: behind a published port and on the
// machine's own network.
func runWeb(t *testing.T, d *local.Driver, id string, image []byte) {
	t.Helper()
	c := engineOf(d, id)
	post(t, c, "/images/create?fromSrc=-&repo=web&tag=1&changes="+url.QueryEscape(`ENTRYPOINT ["/web"]`), string(image))
	for name, config := range map[string]string{
		"bridged": `{"Image":"web:1","Cmd":[":80"],"ExposedPorts":{"80/tcp":{}},
			"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8080"}]},"RestartPolicy":{"Name":"always"}}}`,
		"hosted": `{"Image":"web:1","Cmd":[":8081"],"HostConfig":{"NetworkMode":"host","RestartPolicy":{"Name":"always"}}}`,
	} {
		post(t, c, "/containers/create?name="+name, config)
		post(t, c, "/containers/"+name+"/start", "")
	}
}

func TestContainersAreReachedAndGetTheirMachinesCPU(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	d := newDriver(t, options(newRoot(t)))
	m := create(t, d, request("web", "a", 1))[0]
	await(t, "ping", func() error { return ping(engineOf(d, m.ID), "http://engine") })
	runWeb(t, d, m.ID, image)
	served := func() {
		t.Helper()
		for _, port := range []string{"8080", "8081"} {
			await(t, "port "+port, func() error { return getHere("http://" + m.Address + ":" + port) })
		}
	}
	served()
	for _, port := range []string{"8080", "8081"} {
		if err := getHere("http://" + m.Address + ":" + port + "/burn"); err != nil {
			t.Fatal(err)
		}
	}
	used := cores(t, d, m.ID, time.Second)
	// The machine has half a core, which four busy loops fill.
	if used > 0.6 || used < 0.1 {
		t.Errorf("the machine uses %.2f cores", used)
	}
	kill(t, d, m.ID)
	if err := d.Start(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	served() // by the engine's restart policy: its disk survived
	remove(t, d, m.ID)
	nothingLeft(t, d.Root())
}

func getHere(url string) error {
	c := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && string(text) != "here" {
		err = fmt.Errorf("got %q", text)
	}
	return err
}

// cores is the mean CPU use of a machine's cgroup over a time.
func cores(t *testing.T, d *local.Driver, id string, over time.Duration) float64 {
	t.Helper()
	before, start := cpuTime(t, d, id), time.Now()
	//arch:allow sleep: CPU use is a difference over time
	time.Sleep(over)
	return (cpuTime(t, d, id) - before).Seconds() / time.Since(start).Seconds()
}

// cpuTime is what a machine's cgroup has used.
func cpuTime(t *testing.T, d *local.Driver, id string) time.Duration {
	t.Helper()
	if acct, ok := d.Hierarchies()["cpuacct"]; ok {
		return number(t, filepath.Join(acct, d.Cgroup(id), "cpuacct.usage"), "", time.Nanosecond)
	}
	return number(t, filepath.Join(d.Hierarchies()["unified"], d.Cgroup(id), "cpu.stat"), "usage_usec ", time.Microsecond)
}

func number(t *testing.T, path, key string, unit time.Duration) time.Duration {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), key)
	n, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * unit
}
