package configs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// EnvName is the variable that sets the option of that path:
// SPILLWAY_GATEWAY_LISTEN for gateway.listen.
func EnvName(path string) string { return envName(envPrefix, path) }

// envPrefix begins the variables of the gateway.
const envPrefix = "SPILLWAY_"

func envName(prefix, path string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment lays the SPILLWAY variables over the configuration. Lists are
// separated by commas.
func (d *decoder) environment(lookup func(string) (string, bool)) {
	eachLeaf(d.root, "", func(path string, f field, v reflect.Value) {
		name := envName(d.env, path)
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
			d.book.origins[item(path, i)] = from
		}
		d.textScalar(part, elem, er, sub, path, from)
	}
	v.Set(out)
	d.book.origins[path] = from
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
	d.book.origins[path] = from
}

// consulEnvironment reads the variables that Consul's own tools honour. They
// are weaker than the file: they describe the machine, not this program.
func (d *decoder) consulEnvironment(lookup func(string) (string, bool)) {
	keys := map[string]reflect.Value{}
	eachLeaf(d.root, "", func(path string, _ field, v reflect.Value) { keys[path] = v })
	for _, t := range consulTexts() {
		if text, ok := lookup(t.name); ok && text != "" {
			d.consulSet(keys, t, reflect.ValueOf(strings.TrimPrefix(text, "tcp://")))
		}
	}
	d.consulSwitch(lookup, consulVariable{"CONSUL_HTTP_SSL", "consul.scheme"}, func(v consulVariable, on bool) {
		if on {
			d.consulSet(keys, v, reflect.ValueOf("https"))
		} else {
			d.consulOrigin(v)
		}
	})
	d.consulSwitch(lookup, consulVariable{"CONSUL_HTTP_SSL_VERIFY", "consul.tls.insecure_skip_verify"}, func(v consulVariable, on bool) {
		d.consulSet(keys, v, reflect.ValueOf(!on))
	})
}

// consulVariable sets the option at path.
type consulVariable struct{ name, path string }

func consulTexts() []consulVariable {
	return []consulVariable{
		{"CONSUL_HTTP_ADDR", "consul.address"},
		{"CONSUL_HTTP_TOKEN", "consul.token"},
		{"CONSUL_HTTP_TOKEN_FILE", "consul.token_file"},
		{"CONSUL_NAMESPACE", "consul.namespace"},
		{"CONSUL_PARTITION", "consul.partition"},
		{"CONSUL_CACERT", "consul.tls.ca_file"},
		{"CONSUL_CLIENT_CERT", "consul.tls.cert_file"},
		{"CONSUL_CLIENT_KEY", "consul.tls.key_file"},
		{"CONSUL_TLS_SERVER_NAME", "consul.tls.server_name"},
	}
}

func (d *decoder) consulSet(keys map[string]reflect.Value, v consulVariable, value reflect.Value) {
	if dst, ok := keys[v.path]; ok {
		dst.Set(value.Convert(dst.Type()))
		d.consulOrigin(v)
	}
}

func (d *decoder) consulOrigin(v consulVariable) {
	d.book.origins[v.path] = Origin{From: v.name, rank: rankConsulEnv}
}

// consulSwitch reads a variable as Consul's client does: 1, t, true, 0, f,
// false.
func (d *decoder) consulSwitch(lookup func(string) (string, bool), v consulVariable, set func(consulVariable, bool)) {
	text, ok := lookup(v.name)
	if !ok || text == "" {
		return
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		d.errs = append(d.errs, &Error{From: v.name, Key: v.path, Found: fmt.Sprintf("%q", text), Allowed: "true or false"})
		return
	}
	set(v, on)
}
