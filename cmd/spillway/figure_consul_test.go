//go:build !race

package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// figureConsul is a real Consul server in memory.
type figureConsul struct {
	t    testing.TB
	addr string
	http *http.Client
}

func startFigureConsul(t testing.TB) *figureConsul {
	t.Helper()
	bin, err := filepath.Abs("../../bin/consul")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("no Consul to measure against, run make consul: %v", err)
	}
	c := &figureConsul{t: t, addr: freeAddr(t), http: &http.Client{Timeout: 30 * time.Second}}
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	p := startProgram(t, bin, "agent", "-dev", "-log-level", "error", "-node", "n1", "-bind", "127.0.0.1", "-http-port", port(c.addr),
		"-server-port", port(freeAddr(t)), "-serf-lan-port", port(freeAddr(t)),
		"-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1")
	p.awaits("serving", 30*time.Second, func() bool {
		_, body, err := fetch("http://" + c.addr + "/v1/health/service/consul")
		return err == nil && bytes.Contains(body, []byte("serfHealth"))
	})
	return c
}

// write does one request that changes something and returns when its answer
// arrived.
func (c *figureConsul) write(method, path, body string) (time.Time, error) {
	req, err := http.NewRequest(method, "http://"+c.addr+path, strings.NewReader(body))
	if err != nil {
		return time.Time{}, err
	}
	resp, err := c.http.Do(req)
	at := time.Now()
	if err != nil {
		return at, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || strings.HasPrefix(string(text), "false")) {
		err = fmt.Errorf("Consul answered %s %s with %d: %s", method, path, resp.StatusCode, text)
	}
	return at, err
}

// must is write for preparations.
func (c *figureConsul) must(method, path, body string) time.Time {
	c.t.Helper()
	at, err := c.write(method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return at
}

func (c *figureConsul) put(key, value string) time.Time {
	c.t.Helper()
	return c.must(http.MethodPut, "/v1/kv/"+key, value)
}

func (c *figureConsul) delete(key string) time.Time {
	c.t.Helper()
	return c.must(http.MethodDelete, "/v1/kv/"+key, "")
}

// putAll writes keys with one value in transactions of the most operations
// that Consul takes.
func (c *figureConsul) putAll(keys []string, value string) {
	c.t.Helper()
	const most = 128
	text := base64.StdEncoding.EncodeToString([]byte(value))
	type kv struct{ Verb, Key, Value string }
	type op struct{ KV kv }
	for len(keys) > 0 {
		n := min(most, len(keys))
		var ops []op
		for _, key := range keys[:n] {
			ops = append(ops, op{kv{"set", key, text}})
		}
		body, err := json.Marshal(ops)
		if err != nil {
			c.t.Fatal(err)
		}
		c.must(http.MethodPut, "/v1/txn", string(body))
		keys = keys[n:]
	}
}

// relay stands between the gateway and Consul and counts reads. A client of
// HTTP/1.1 that does not pipeline begins a write with each request. Besides,
// the gateway checks once a second that Consul answers.
type relay struct {
	addr string
	kv   atomic.Int64 // reads of the KV store
}

func startRelay(t testing.TB, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		ln.Close()
	})
	r := &relay{addr: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go r.pass(ctx, c, target)
		}
	}()
	return r
}

func (r *relay) pass(ctx context.Context, client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() {
		client.Close()
		server.Close()
	})
	defer stop()
	go func() {
		io.Copy(client, server)
		client.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if bytes.HasPrefix(buf[:n], []byte("GET /v1/kv/")) {
			r.kv.Add(1)
		}
		if n > 0 {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
