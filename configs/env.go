package configs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// EnvName is the variable that sets the option of that path:
// SPILLWAY_GATEWAY_LISTEN for gateway.listen.
func EnvName(path string) string {
	return "SPILLWAY_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment lays the SPILLWAY variables over the configuration. Lists are
// separated by commas.
func (d *decoder) environment(lookup func(string) (string, bool)) {
	eachLeaf(reflect.ValueOf(d.cfg).Elem(), "", func(path string, f field, v reflect.Value) {
		name := EnvName(path)
		if text, ok := lookup(name); ok && text != "" {
			d.text(text, v, f.rules, path, Origin{From: name, rank: rankEnv})
		}
	})
}

// text sets an option from a variable or flag.
func (d *decoder) text(text string, v reflect.Value, r rules, path string, from Origin) {
	if v.Kind() != reflect.Slice {
		d.textScalar(text, v, r, path, path, from)
		return
	}
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	d.textList(parts, v, r, path, from)
}

func (d *decoder) textList(parts []string, v reflect.Value, r rules, path string, from Origin) {
	out := reflect.MakeSlice(v.Type(), len(parts), len(parts))
	for i, part := range parts {
		elem, sub, er := out.Index(i), item(path, i), r
		if f, ok := shortElem(v.Type().Elem()); ok {
			elem, sub, er = elem.Field(f.index), join(sub, f.name), f.rules
			d.cfg.origins[item(path, i)] = from
		}
		d.textScalar(part, elem, er, sub, path, from)
	}
	v.Set(out)
	d.cfg.origins[path] = from
}

func shortElem(t reflect.Type) (field, bool) {
	if kindOf(t) != kindSection {
		return field{}, false
	}
	return shortField(t)
}

// textScalar sets one value; option is the path shown in a message.
func (d *decoder) textScalar(text string, v reflect.Value, r rules, path, option string, from Origin) {
	parsed, err := parseScalar(v.Type(), r, text)
	if err != nil {
		d.errs = append(d.errs, &Error{From: from.From, Key: option, Found: shorten(err.found), Allowed: err.allowed, Hint: err.hint})
		return
	}
	v.Set(parsed)
	d.cfg.origins[path] = from
}

// consulEnvironment reads the variables that Consul's own tools honour. They
// are weaker than the file: they describe the machine, not this gateway.
func (d *decoder) consulEnvironment(lookup func(string) (string, bool)) {
	c := &d.cfg.Consul
	texts := []struct {
		name, key string
		dst       *string
	}{
		{"CONSUL_HTTP_ADDR", "address", &c.Address},
		{"CONSUL_HTTP_TOKEN", "token", (*string)(&c.Token)},
		{"CONSUL_HTTP_TOKEN_FILE", "token_file", &c.TokenFile},
		{"CONSUL_NAMESPACE", "namespace", &c.Namespace},
		{"CONSUL_PARTITION", "partition", &c.Partition},
		{"CONSUL_CACERT", "tls.ca_file", &c.TLS.CAFile},
		{"CONSUL_CLIENT_CERT", "tls.cert_file", &c.TLS.CertFile},
		{"CONSUL_CLIENT_KEY", "tls.key_file", &c.TLS.KeyFile},
		{"CONSUL_TLS_SERVER_NAME", "tls.server_name", &c.TLS.ServerName},
	}
	for _, t := range texts {
		if text, ok := lookup(t.name); ok && text != "" {
			*t.dst = strings.TrimPrefix(text, "tcp://")
			d.consulOrigin(t.name, t.key)
		}
	}
	d.consulSwitch(lookup, "CONSUL_HTTP_SSL", "scheme", func(on bool) {
		if on {
			c.Scheme = "https"
		}
	})
	d.consulSwitch(lookup, "CONSUL_HTTP_SSL_VERIFY", "tls.insecure_skip_verify", func(on bool) {
		c.TLS.InsecureSkipVerify = !on
	})
}

func (d *decoder) consulOrigin(name, key string) {
	d.cfg.origins["consul."+key] = Origin{From: name, rank: rankConsulEnv}
}

// consulSwitch reads a variable as Consul's client does: 1, t, true, 0, f,
// false.
func (d *decoder) consulSwitch(lookup func(string) (string, bool), name, key string, set func(bool)) {
	text, ok := lookup(name)
	if !ok || text == "" {
		return
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		d.errs = append(d.errs, &Error{From: name, Key: "consul." + key, Found: fmt.Sprintf("%q", text), Allowed: "true or false"})
		return
	}
	set(on)
	d.consulOrigin(name, key)
}
