package engine_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

var stickyCookie = regexp.MustCompile(`^srv=([0-9a-f]{16}); Max-Age=60; Path=/; HttpOnly; SameSite=Lax$`)

// stickyPool are servers that answer with their number.
func stickyPool(t *testing.T, key string, policy string) poolConfig {
	t.Helper()
	var addrs []string
	for _, name := range []string{"0", "1", "2"} {
		addrs = append(addrs, newBackend(t, always(ok(name))).addr)
	}
	return poolConfig{
		Specs:    specs(addrs...),
		Settings: upstream.Settings{Balance: policy, Sticky: upstream.Sticky{Cookie: "srv", TTL: time.Minute, Key: key}},
	}
}

func withCookie(value string) string {
	return "GET / HTTP/1.1\r\nHost: a\r\nCookie: x=y; srv=" + value + "; z=w\r\n\r\n"
}

// A client without a cookie gets one, and stays with its server through every
// loop and policy; it is not told again.
func TestStickyCookie(t *testing.T) {
	if differs(t, "it cannot in its open version") {
		return
	}
	for _, policy := range []string{"round_robin", "peak_ewma"} {
		p := startProxy(t, proxyConfig{Loops: 2, Pools: map[string]poolConfig{"web": stickyPool(t, "secret", policy)}})
		cookies := map[string]string{}
		for range 12 {
			c := p.dial()
			c.send(get("/"))
			m := c.answer(200)
			found := stickyCookie.FindStringSubmatch(m.get("Set-Cookie"))
			if found == nil {
				t.Fatalf("%s: Set-Cookie %q", policy, m.get("Set-Cookie"))
			}
			home := string(m.Body)
			if was := cookies[home]; was != "" && was != found[1] {
				t.Errorf("%s: server %s is %s and %s", policy, home, was, found[1])
			}
			cookies[home] = found[1]
			for range 5 {
				c = p.dial()
				c.send(withCookie(found[1]))
				if m := c.answer(200); string(m.Body) != home || m.has("Set-Cookie") {
					t.Errorf("%s: server %s instead of %s, Set-Cookie %q", policy, m.Body, home, m.get("Set-Cookie"))
				}
			}
		}
	}
}

// A cookie that names nobody, or a server that cannot be picked, is replaced.
func TestStickyCookieIsReplaced(t *testing.T) {
	if differs(t, "it cannot in its open version") {
		return
	}
	pool := stickyPool(t, "secret", "round_robin")
	gone := newBackend(t, always(ok("gone")))
	pool.Specs = append(pool.Specs, specs(gone.addr)...)
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": pool}})
	c := p.dial()
	for _, cookie := range []string{strings.Repeat("0", 16), "short", strings.Repeat("long", 40), ""} {
		c.send(withCookie(cookie))
		if m := c.answer(200); !stickyCookie.MatchString(m.get("Set-Cookie")) {
			t.Errorf("cookie %q: Set-Cookie %q", cookie, m.get("Set-Cookie"))
		}
	}
	cookie := ""
	for cookie == "" {
		c.send(get("/"))
		if m := c.answer(200); string(m.Body) == "gone" {
			cookie = stickyCookie.FindStringSubmatch(m.get("Set-Cookie"))[1]
		}
	}
	gone.stop()
	for range 3 {
		c.send(withCookie(cookie))
		m := c.answer(200)
		if string(m.Body) == "gone" || !stickyCookie.MatchString(m.get("Set-Cookie")) || strings.Contains(m.get("Set-Cookie"), cookie) {
			t.Errorf("server %s, Set-Cookie %q", m.Body, m.get("Set-Cookie"))
		}
	}
}

// Gateways with one key know each other's cookies, with another they do not.
func TestStickyCookieDependsOnTheKey(t *testing.T) {
	if differs(t, "it cannot in its open version") {
		return
	}
	pool := stickyPool(t, "one", "round_robin")
	issue := func(key string) string {
		pool.Settings.Sticky.Key = key
		one := pool
		one.Specs = pool.Specs[:1]
		c := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": one}}).dial()
		c.send(get("/"))
		m := c.answer(200)
		return m.get("Set-Cookie")
	}
	a, b, other := issue("one"), issue("one"), issue("two")
	if a != b || a == other || !stickyCookie.MatchString(a) {
		t.Errorf("%q, %q, with another key %q", a, b, other)
	}
}
