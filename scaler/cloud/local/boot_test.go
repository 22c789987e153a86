package local_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"spillway/scaler/cloud/local"
)

// engineOf speaks to a machine's engine on its socket.
func engineOf(d *local.Driver, id string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket(id))
		},
	}}
}

// await repeats f until it returns nil.
func await(t *testing.T, what string, f func() error) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := f()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > 40*time.Second {
			t.Fatalf("%s: %v", what, err)
		}
		//arch:allow sleep: another process is waited for, which tells nobody
		time.Sleep(10 * time.Millisecond)
	}
}

func ping(c *http.Client, url string) error {
	r, err := c.Get(url + "/_ping")
	if err != nil {
		return err
	}
	return r.Body.Close()
}

func TestAMachineWithoutUserDataIsABareEngine(t *testing.T) {
	t.Parallel()
	d := newDriver(t, options(newRoot(t)))
	start := time.Now()
	m := create(t, d, request("bare", "a", 1))[0]
	made := time.Since(start)
	took := await(t, "ping", func() error { return ping(engineOf(d, m.ID), "http://engine") })
	t.Logf("create %v, ping after %v", made, took)
	start = time.Now()
	if err := d.Delete(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("delete %v", time.Since(start))
	nothingLeft(t, root(d))
}

func root(d *local.Driver) string { return d.Root() }

func errUnless(ok bool) error {
	if ok {
		return nil
	}
	return errNotYet
}

var errNotYet = errors.New("not yet")
