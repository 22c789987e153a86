package aliyun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// fileSource reads a profile of the vendor's credentials file, anew whenever
// credentials are fetched:
//
//	[default]
//	enable = true
//	type = access_key            ; sts, ecs_ram_role, ram_role_arn
//	access_key_id = ...
//	access_key_secret = ...
//	security_token = ...         ; sts
//	role_name = ...              ; ecs_ram_role
//	role_arn = ...               ; ram_role_arn
func fileSource(o *Options, path, profile string) source {
	return func(ctx context.Context) (Credentials, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return Credentials{}, unusable("the credentials file", err)
		}
		p, err := readProfile(string(text), profile)
		if err != nil {
			return Credentials{}, unusable("the credentials file "+path, err)
		}
		c, err := p.credentials(ctx, o)
		if err != nil && !isTyped(err) {
			return c, unusable(fmt.Sprintf("profile %q of %s", profile, path), err)
		}
		return c, err
	}
}

// profile is one section of the file.
type profile map[string]string

// readProfile finds a section. Names are as they are, keys are in any case.
// Nothing it says in errors comes from a value.
func readProfile(text, name string) (profile, error) {
	var found profile
	section := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[':
			end := strings.IndexByte(line, ']')
			if end < 0 {
				return nil, fmt.Errorf("line %d: a section without its end", number)
			}
			section = strings.TrimSpace(line[1:end])
			if section == name && found == nil {
				found = profile{}
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d: neither a section nor a setting", number)
		}
		if section == name && found != nil {
			found[strings.ToLower(strings.TrimSpace(key))] = plain(value)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("there is no profile %q", name)
	}
	return found, nil
}

// plain takes off spaces, quotes and a comment after a space.
func plain(value string) string {
	value = strings.TrimSpace(value)
	if i := strings.Index(value, " #"); i >= 0 {
		value = strings.TrimSpace(value[:i])
	}
	if i := strings.Index(value, " ;"); i >= 0 {
		value = strings.TrimSpace(value[:i])
	}
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	return value
}

// credentials are what the profile stands for.
func (p profile) credentials(ctx context.Context, o *Options) (Credentials, error) {
	if p["enable"] == "false" {
		return Credentials{}, errors.New("it is not enabled")
	}
	keys := Credentials{keyID: p["access_key_id"], secret: secret(p["access_key_secret"]), token: secret(p["security_token"])}
	switch p["type"] {
	case "access_key", "sts", "":
		return keys, keys.check()
	case "ecs_ram_role":
		return machineRole(o, p["role_name"])(ctx)
	case "ram_role_arn":
		if err := keys.check(); err != nil {
			return Credentials{}, err
		}
		as := *o
		as.Credentials.RoleARN, as.Credentials.ExternalID = p["role_arn"], p["external_id"]
		base := newRing(func(context.Context) (Credentials, error) { return keys, nil }, o.Now)
		return assumed(&as, base)(ctx)
	}
	return Credentials{}, fmt.Errorf("its type is none of access_key, sts, ecs_ram_role, ram_role_arn")
}
