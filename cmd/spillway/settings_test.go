package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"spillway/configs"
	"spillway/gateway/upstream"
	"spillway/upsync"
)

// effect is everything a configuration is turned into.
func effect(cfg *configs.Config) []any {
	u := cfg.Upstreams["web"]
	pool := poolSettings(&u)
	hashed := pool.Prepare != nil
	pool.Prepare = nil
	return []any{gatewaySettings(cfg), trace(cfg), consulConfig(&cfg.Consul), syncUpstream("web", &u, nil), pool, hashed}
}

// elsewhere are the options that the server reads itself; the process tests
// cover them.
func elsewhere(path string) bool {
	return path == ".Gateway.Loops" || strings.HasPrefix(path, ".Gateway.Shutdown") ||
		strings.HasPrefix(path, ".Admin.") || strings.HasPrefix(path, ".Log.")
}

func TestEveryOptionHasAnEffect(t *testing.T) {
	build := func() *configs.Config {
		cfg := configs.Default()
		web := configs.DefaultUpstream(configs.SourceConsulKV)
		web.Flap.Enabled = true // or its other keys have nothing to change
		cfg.Upstreams["web"] = web
		cfg.Routes = []configs.Route{{Upstream: "web"}}
		return cfg
	}
	before := effect(build())
	tried := 0
	for _, path := range leaves(reflect.ValueOf(build()).Elem(), "") {
		if elsewhere(path) {
			continue
		}
		cfg := build()
		if err := change(cfg, path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if reflect.DeepEqual(before, effect(cfg)) {
			t.Errorf("%s changes nothing", path)
		}
		tried++
	}
	if tried < 60 {
		t.Errorf("only %d options tried", tried)
	}
}

// leaves are the paths of the options, in Go's words.
func leaves(v reflect.Value, path string) (all []string) {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[netip.Prefix]():
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				all = append(all, leaves(v.Field(i), path+"."+f.Name)...)
			}
		}
		return all
	case v.Kind() == reflect.Map && v.Type().Elem() == reflect.TypeFor[configs.Upstream]():
		return leaves(v.MapIndex(reflect.ValueOf("web")), path+".web")
	case v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeFor[configs.Route]():
		return leaves(v.Index(0), path+".0")
	}
	return []string{path}
}

// change gives the option at path another value.
func change(cfg *configs.Config, path string) error {
	u := cfg.Upstreams["web"]
	parts := strings.Split(path, ".")[1:]
	v := reflect.ValueOf(cfg).Elem()
	for _, name := range parts {
		switch v.Kind() {
		case reflect.Map:
			v = reflect.ValueOf(&u).Elem()
		case reflect.Slice:
			v = v.Index(0)
		default:
			v = v.FieldByName(name)
		}
	}
	if err := another(v, parts[len(parts)-1]); err != nil {
		return err
	}
	cfg.Upstreams["web"] = u
	return nil
}

func another(v reflect.Value, name string) error {
	switch x := v.Addr().Interface().(type) {
	case *[]configs.Listen:
		*x = append(*x, configs.Listen{Address: "unix:/other"})
	case *[]netip.Prefix:
		*x = append(*x, netip.MustParsePrefix("10.0.0.0/8"))
	case *[]configs.ServerLine:
		*x = append(*x, configs.ServerLine{Addr: "127.0.0.1:1", Weight: 1})
	case *[]string:
		*x = []string{"http_503"}
		if name == "Status" {
			*x = []string{"503"}
		}
	case *map[string]string:
		*x = map[string]string{"x-probe": "yes"}
	case *time.Duration:
		*x += time.Second
	default:
		return anotherScalar(v, name)
	}
	return nil
}

func anotherScalar(v reflect.Value, name string) error {
	switch v.Kind() {
	case reflect.String:
		words := map[string]string{"ClientHalfClose": "answer", "Path": "/other", "Balance": "hash_consistent"}
		if v.SetString("other"); words[name] != "" {
			v.SetString(words[name])
		}
		if name == "Format" || name == "Scheme" {
			v.SetString("https")
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 7)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Float64:
		v.SetFloat(v.Float() + 0.25)
	default:
		return fmt.Errorf("a kind of value this test does not know: %v", v.Type())
	}
	return nil
}

func TestRetryPolicy(t *testing.T) {
	got := retryPolicy(&configs.Retry{Tries: 2, On: []string{"http_504", "timeout", "invalid_header", "http_403"}})
	want := upstream.Retry{Tries: 2, OnTimeout: true, OnInvalid: true, Status: []int{403, 504}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The lines of static servers mean the same to upsync, which gets them as
// text.
func TestStaticServersKeepTheirMeaning(t *testing.T) {
	for _, line := range []string{
		"127.0.0.1:80", "[::1]:80 weight=3", "unix:/run/app.sock backup", "app.test:8080 max_conns=5 down",
		"10.0.0.1:80 max_fails=0 fail_timeout=30s", "10.0.0.1 fail_timeout=1m30s", "10.0.0.1:80 fail_timeout=1500ms",
	} {
		cfg, err := configs.Load(configs.Source{Data: fmt.Appendf(nil, "upstreams: {web: {servers: [%q], max_fails: 4, fail_timeout: 7s}}\nroutes: [{upstream: web}]\n", line)})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		u := cfg.Upstreams["web"]
		want := u.Servers[0]
		got, err := upsync.ParseServer(syncUpstream("web", &u, nil).Servers[0])
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got.Addr != want.Addr || got.Weight != want.Weight || got.MaxFails != want.MaxFails || got.FailTimeout != want.FailTimeout ||
			got.MaxConns != want.MaxConns || got.Down != want.Down || got.Backup != want.Backup || (got.Host != "") != want.Hostname {
			t.Errorf("%s: upsync reads %+v, configs %+v", line, got, want)
		}
	}
}

func TestInheritedSocketsFindTheirAddress(t *testing.T) {
	listen := []string{"127.0.0.1:80", ":8080", "unix:/run/s", "[::1]:81"}
	for at, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "0.0.0.0:8080": ":8080", "[::]:8080": ":8080", "unix:/run/s": "unix:/run/s",
		"[::1]:81": "[::1]:81", "127.0.0.1:8080": "", "127.0.0.1:81": "", "unix:/run/t": "",
	} {
		if got := matching(listen, at); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	if s, err := inherited(func(string) (string, bool) { return "", false }, 1, listen); s != nil || err != nil {
		t.Errorf("without LISTEN_FDS: %v, %v", s, err)
	}
	other := map[string]string{"LISTEN_PID": "2", "LISTEN_FDS": "1"}
	if s, err := inherited(func(k string) (string, bool) { return other[k], true }, 1, listen); s != nil || err != nil {
		t.Errorf("another process's sockets: %v, %v", s, err)
	}
}
