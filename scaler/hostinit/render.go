package hostinit

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"time"

	"spillway/scaler/hostinit/machine"
)

// Boot is what user-data holds beside the profile; it differs between
// installations and orders.
type Boot struct {
	Scaler string // where to phone home: https://host:port
	CA     string // PEM of the authority that signed its certificate
	Token  string // of the order
	// Lease is the time without requests and scaler after which a machine ends
	// itself; 0: never.
	Lease time.Duration
	// LeaseEvery is the time between two looks. Default 15 s.
	LeaseEvery time.Duration
	// Checkers are addresses whose packets are no requests.
	Checkers []string
}

//go:embed script.sh
var script string

// Render makes the user-data of a machine: a shell script for clouds, which
// carries the configuration for our own init in its second line. The same
// arguments give the same text. max is the provider's limit in bytes, 0 for
// one that passes on none.
func (p *Profile) Render(b Boot, max int) ([]byte, error) {
	text, err := p.render(b)
	if err != nil {
		return nil, fmt.Errorf("cannot render profile %q: %w", p.Name, err)
	}
	if len(text) > max {
		return nil, fmt.Errorf("cannot render profile %q: %d bytes, the provider takes %d: put files into an image, or let a command fetch them",
			p.Name, len(text), max)
	}
	return text, nil
}

// Hash names what the profile makes of a machine: everything but the order's
// token and the installation. A machine with another hash was made by another
// profile.
func (p *Profile) Hash() (string, error) {
	text, err := p.render(Boot{})
	if err != nil {
		return "", fmt.Errorf("cannot hash profile %q: %w", p.Name, err)
	}
	sum := sha256.New()
	sum.Write(text)
	sum.Write(p.Engine(nil).Daemon())
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// config is what the machine's init, ours or the script, goes by.
func (p *Profile) config(b Boot) machine.Config {
	return machine.Config{
		Scaler: b.Scaler, CA: b.CA, Token: b.Token,
		Files: p.kept(), Routes: p.Routes, Hold: p.Hold, Images: p.Images,
		EngineVersion: p.DockerVersion, Deadlines: p.Deadlines,
		Lease: machine.LeaseConfig{Idle: b.Lease.Seconds(), Every: b.LeaseEvery.Seconds(), Checkers: b.Checkers},
	}
}

func (p *Profile) render(b Boot) ([]byte, error) {
	c := p.config(b)
	line, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	t, err := template.New("script").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": quote, "seconds": c.Deadline, "mode": mode, "words": words,
	}).Parse(script)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		machine.Config
		Line, ID, Address  string
		Packages, Commands []string
		Marker             string
	}{c, string(line), p.ID, p.Address, p.Packages, p.Commands, machine.Marker})
	return out.Bytes(), err
}

// quote makes one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func words(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, " ")
}

func mode(s string) string {
	if s == "" {
		return "0644"
	}
	return s
}
