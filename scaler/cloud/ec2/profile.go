package ec2

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// profiles are the sections of the shared files: profile name, key, value.
type profiles map[string]map[string]string

// readFiles merges the config file and the credentials file; the latter wins.
// A file that is not there is an empty one.
func (c *chain) readFiles() (profiles, error) {
	all := profiles{}
	for _, f := range []struct {
		env, name string
		config    bool
	}{{"AWS_CONFIG_FILE", "config", true}, {"AWS_SHARED_CREDENTIALS_FILE", "credentials", false}} {
		path := c.env(f.env)
		if path == "" {
			home := c.env("HOME")
			if home == "" {
				continue
			}
			path = filepath.Join(home, ".aws", f.name)
		}
		text, err := os.ReadFile(filepath.Clean(path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the shared files: %w", err)
		}
		if err := all.parse(string(text), f.config); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
	}
	return all, nil
}

// parse adds the sections of one file ("Configuration and credential file
// settings", AWS CLI User Guide). In a config file profiles but the default
// are called "profile NAME", and other sections are not profiles. Errors name
// the line and never show it: it may hold a secret.
func (p profiles) parse(text string, config bool) error {
	var section map[string]string
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[':
			name, ok := sectionName(trimmed, config)
			if !ok {
				section = map[string]string{} // of something else
				continue
			}
			if p[name] == nil {
				p[name] = map[string]string{}
			}
			section = p[name]
		case line[0] == ' ' || line[0] == '\t': // belongs to the key above
		default:
			key, value, ok := strings.Cut(trimmed, "=")
			if !ok || section == nil {
				return fmt.Errorf("line %d is neither a section nor a setting of one", n)
			}
			section[strings.ToLower(strings.TrimSpace(key))] = settingValue(value)
		}
	}
	return lines.Err()
}

func sectionName(line string, config bool) (name string, ok bool) {
	end := strings.IndexByte(line, ']')
	if end < 0 {
		return "", false
	}
	name = strings.TrimSpace(line[1:end])
	if !config || name == "default" {
		return name, name != ""
	}
	rest, ok := strings.CutPrefix(name, "profile")
	if !ok || strings.TrimLeft(rest, " \t") == rest {
		return "", false
	}
	return strings.Trim(strings.TrimSpace(rest), `"'`), true
}

// settingValue is a value without a comment that follows it: one needs a space
// before its sign, for secrets may contain the sign.
func settingValue(text string) string {
	for _, sign := range []string{" #", " ;", "\t#", "\t;"} {
		text, _, _ = strings.Cut(text, sign)
	}
	return strings.TrimSpace(text)
}
