package engine_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"spillway/gateway/upstream"
)

// startNginx starts one nginx from a configuration made of cfg. It inherits
// its listening socket, so that no port is guessed and a connection made
// before it is up waits in the queue.
func startNginx(t testing.TB, cfg proxyConfig) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sock, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	defer sock.Close()

	dir, addr := t.TempDir(), ln.Addr().String()
	file := filepath.Join(dir, "nginx.conf")
	writeNginx(t, file, dir, addr, cfg)
	cmd := exec.Command("nginx", "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	cmd.Env = append(os.Environ(), "NGINX=3;")
	cmd.ExtraFiles = []*os.File{sock}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &proxy{
		Addr: addr,
		apply: func(pool string, specs []upstream.Spec) {
			c := cfg.Pools[pool]
			c.Specs = specs
			cfg.Pools[pool] = c
			writeNginx(t, file, dir, addr, cfg)
			cmd.Process.Signal(syscall.SIGHUP)
		},
		active: func() []int64 { return nil },
		close: func() {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		},
	}
}

func writeNginx(t testing.TB, file, dir, addr string, cfg proxyConfig) {
	t.Helper()
	var b bytes.Buffer
	data := map[string]any{"Dir": dir, "Addr": addr, "Cfg": cfg}
	if err := nginxConf.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

var nginxConf = template.Must(template.New("nginx").Funcs(template.FuncMap{
	"server": nginxServer,
	"next":   nginxNext,
	"ms":     func(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) },
}).Parse(`daemon off;
worker_processes {{.Cfg.Loops}};
pid {{.Dir}}/pid;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path {{.Dir}}/body;
  proxy_temp_path {{.Dir}}/proxy;
  fastcgi_temp_path {{.Dir}}/f; uwsgi_temp_path {{.Dir}}/u; scgi_temp_path {{.Dir}}/s;
  map $http_upgrade $up { default upgrade; '' ''; }
{{range $name, $p := .Cfg.Pools}}
  upstream {{$name}} {
    {{range $p.Specs}}{{server .}}
    {{end}}
    keepalive {{$p.Settings.Keepalive}};
    keepalive_timeout {{ms $p.Settings.KeepaliveTimeout}};
  }
{{end}}
  server {
    listen {{.Addr}};
    underscores_in_headers on;
    ignore_invalid_headers off;
    client_max_body_size {{.Cfg.Limits.Body}};
    client_header_buffer_size 1k;
    large_client_header_buffers 8 {{.Cfg.Limits.HeadBytes}};
    client_header_timeout {{ms .Cfg.Times.Header}};
    client_body_timeout {{ms .Cfg.Times.Body}};
    keepalive_timeout {{ms .Cfg.Times.Idle}};
    keepalive_requests 1000000;
    send_timeout {{ms .Cfg.Times.Send}};
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $up;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
{{if .Cfg.AnswerHalfClosed}}    proxy_ignore_client_abort on;
{{end}}{{range .Cfg.Routes}}{{$s := (index $.Cfg.Pools .Upstream).Settings}}
    location {{if .Path}}{{.Path}}{{else}}/{{end}} {
      proxy_pass http://{{.Upstream}};
      proxy_connect_timeout {{ms $s.ConnectTimeout}};
      proxy_send_timeout {{ms $s.SendTimeout}};
      proxy_read_timeout {{ms $s.ReadTimeout}};
      proxy_next_upstream {{next $s.Retry}};
      proxy_next_upstream_tries {{$s.Retry.Tries}};
    }
{{end}}  }
}
`))

func nginxServer(s upstream.Spec) string {
	line := fmt.Sprintf("server %s weight=%d max_fails=%d fail_timeout=%ds", s.Addr, s.Weight, s.MaxFails, max(1, int(s.FailTimeout.Seconds())))
	if s.Down {
		line += " down"
	}
	if s.Backup {
		line += " backup"
	}
	return line + ";"
}

func nginxNext(r upstream.Retry) string {
	var on []string
	if r.OnError {
		on = append(on, "error")
	}
	if r.OnTimeout {
		on = append(on, "timeout")
	}
	if r.OnInvalid {
		on = append(on, "invalid_header")
	}
	for _, s := range r.Status {
		on = append(on, fmt.Sprintf("http_%d", s))
	}
	if r.NonIdempotent {
		on = append(on, "non_idempotent")
	}
	if len(on) == 0 {
		return "off"
	}
	return strings.Join(on, " ")
}
