package hetzner

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Secret is a text that nothing prints: not fmt, not JSON, not a log.
type Secret string

const mask = "(secret)"

// Format implements fmt.Formatter, for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// token looks where the vendor's tool does, in its order ("hcloud", README):
//
//	the given token or token file
//	HCLOUD_TOKEN
//	the context in HCLOUD_CONFIG or ~/.config/hcloud/cli.toml
func (o *Options) token() (Secret, error) {
	switch {
	case o.Token != "":
		return o.Token, nil
	case o.TokenFile != "":
		return tokenOf(o.TokenFile)
	}
	name := cmp.Or(o.Context, o.Getenv("HCLOUD_CONTEXT"))
	if token := o.Getenv("HCLOUD_TOKEN"); token != "" && o.Context == "" {
		return Secret(token), nil
	}
	file := o.Getenv("HCLOUD_CONFIG")
	if file == "" {
		file = filepath.Join(cmp.Or(o.Getenv("XDG_CONFIG_HOME"), filepath.Join(o.Getenv("HOME"), ".config")), "hcloud", "cli.toml")
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("hetzner: no token: neither given, nor in HCLOUD_TOKEN, nor is there a file %s", file)
	}
	if err != nil {
		return "", fmt.Errorf("hetzner: cannot read the token: %w", err)
	}
	token, err := contextToken(text, name)
	if err != nil {
		return "", fmt.Errorf("hetzner: cannot find the token in %s: %w", file, err)
	}
	return token, nil
}

func tokenOf(file string) (Secret, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("hetzner: cannot read the token: %w", err)
	}
	token := Secret(bytes.TrimSpace(text))
	if token == "" {
		return "", fmt.Errorf("hetzner: the token file %s is empty", file)
	}
	return token, nil
}

// contextToken reads the tool's file, as much of TOML as the tool writes into
// it: active_context, and tables [[contexts]] with name and token. Errors never
// quote the file.
func contextToken(text []byte, name string) (Secret, error) {
	active, current := "", ""
	tokens := map[string]Secret{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			current = ""
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch strings.TrimSpace(key) {
		case "active_context":
			active = value
		case "name":
			current = value
		case "token":
			tokens[current] = Secret(value)
		}
	}
	name = cmp.Or(name, active)
	token := tokens[name]
	switch {
	case lines.Err() != nil:
		return "", errors.New("a line is too long")
	case name == "":
		return "", errors.New("no context is active")
	case token == "":
		return "", fmt.Errorf("no context %q with a token", name)
	}
	return token, nil
}
