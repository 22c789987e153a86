package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/hostinit/join"
)

// EnginePort is where an engine listens for its scaler.
const EnginePort = "2376"

// engine is the machine's Docker Engine.
type engine struct {
	m      *Machine
	joined bool // has a certificate
	pid    int
	exit   <-chan unix.WaitStatus
	http   *http.Client
	// revived is how often it was started anew; counting that requests are
	// counted already.
	revived  int
	counting bool
}

func (e *engine) configFile() string { return filepath.Join(e.m.h.Dir, "daemon.json") }

// configure writes daemon.json; a running engine takes labels and mirrors over.
func (e *engine) configure(c join.Config) error {
	return writeFile(e.configFile(), c.Daemon(), 0o644)
}

// args is the engine's command line. It listens for others only with mutual
// TLS.
func (e *engine) args() []string {
	h := &e.m.h
	args := append(slices.Clone(h.Engine), "--config-file", e.configFile(), "-H", "unix://"+h.Socket)
	if !e.joined {
		return args
	}
	return append(args, "-H", "tcp://"+net.JoinHostPort(h.Address, EnginePort), "--tlsverify",
		"--tlscacert", e.m.tls("ca.pem"), "--tlscert", e.m.tls("cert.pem"), "--tlskey", e.m.tls("key.pem"))
}

// startEngine starts the engine and waits until it answers.
func (m *Machine) startEngine(ctx context.Context) error {
	e := &m.engine
	if e.pid == 0 {
		if err := e.start(); err != nil {
			return err
		}
	}
	for {
		err := e.call(ctx, http.MethodGet, "/_ping", progress)
		if err == nil {
			m.countRequests(ctx)
			return e.checkVersion(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine does not answer: %w", err)
		case status := <-e.exit:
			e.pid = 0
			return fmt.Errorf("the engine ended with status %d", status.ExitStatus())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// countRequests begins to count. A machine that cannot is never idle.
func (m *Machine) countRequests(ctx context.Context) {
	if m.client == nil || m.c.Lease.Idle <= 0 {
		m.meter = nil
	}
	if m.meter == nil || m.engine.counting {
		return
	}
	if err := m.meter.setUp(ctx); err != nil {
		m.h.Log.Warn("the lease cannot end this machine", "error", err)
		m.meter = nil
		return
	}
	m.engine.counting = true
}

func (e *engine) start() error {
	h := &e.m.h
	if _, err := os.Stat(e.configFile()); err != nil {
		if err := e.configure(join.Config{}); err != nil {
			return err
		}
	}
	if err := os.Remove(h.PIDFile); h.PIDFile != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(filepath.Join(h.Dir, "log", "engine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if e.pid, e.exit, err = e.m.procs.start(log, e.args()...); err != nil {
		return err
	}
	e.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", h.Socket)
		},
	}}
	return nil
}

// checkVersion fails if the engine is another one than the profile wants.
func (e *engine) checkVersion(ctx context.Context) error {
	wanted := e.m.c.EngineVersion
	if wanted == "" {
		return nil
	}
	var v struct{ Version string }
	err := e.call(ctx, http.MethodGet, "/version", func(r io.Reader) error { return json.NewDecoder(r).Decode(&v) })
	if err == nil && !strings.HasPrefix(v.Version+".", wanted+".") {
		err = fmt.Errorf("the engine is %s, wanted %s", v.Version, wanted)
	}
	return err
}

// call speaks to the engine on its socket.
func (e *engine) call(ctx context.Context, method, path string, answer func(io.Reader) error) error {
	q, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, nil)
	if err != nil {
		return err
	}
	r, err := e.http.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		return fmt.Errorf("cannot %s %s: status %d: %s", method, path, r.StatusCode, text)
	}
	return answer(r.Body)
}

// progress reads the messages of a pull; a failure is one of them.
func progress(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var line struct {
			Error string `json:"error"`
		}
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return nil // no JSON, as the answer to a ping
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// pull fetches the images the profile wants present.
func (m *Machine) pull(ctx context.Context) error {
	var all error
	for _, image := range m.c.Images {
		if err := m.engine.call(ctx, http.MethodPost, "/images/create?fromImage="+url.QueryEscape(image), progress); err != nil {
			all = errors.Join(all, fmt.Errorf("cannot pull %q: %w", image, err))
		}
	}
	return all
}

// stop asks the engine to end; the channel tells when it did.
func (e *engine) stop() <-chan unix.WaitStatus {
	if e.pid == 0 {
		none := make(chan unix.WaitStatus, 1)
		none <- 0
		return none
	}
	_ = unix.Kill(e.pid, unix.SIGTERM) // if it is gone, its exit was told
	return e.exit
}
