package engine

import (
	"bytes"
	"strings"

	"spillway/gateway/balance"
	"spillway/gateway/http1"
)

// hashKey is a compiled hash_key, such as "$remote_addr" or
// "$host$request_uri": text and variables in turn. Its zero value makes no key.
type hashKey []keyPart

type keyPart struct {
	kind keyKind
	text string // literal text, or the name of a field, cookie or argument
}

type keyKind uint8

const (
	keyText keyKind = iota
	keyRemoteAddr
	keyRequestURI
	keyURI
	keyArgs
	keyHost
	keyMethod
	keyField
	keyCookie
	keyArg
)

// keyNames are the variables without a name of their own in them.
var keyNames = map[string]keyKind{
	"remote_addr": keyRemoteAddr, "binary_remote_addr": keyRemoteAddr, "request_uri": keyRequestURI,
	"uri": keyURI, "args": keyArgs, "query_string": keyArgs, "host": keyHost, "request_method": keyMethod,
}

// parseHashKey compiles a key for the policies that hash. Unknown variables
// stand for nothing; the configuration refuses them before.
func parseHashKey(policy, key string) hashKey {
	if !balance.Keyed(policy) {
		return nil
	}
	var parts hashKey
	for key != "" {
		at := strings.IndexByte(key, '$')
		if at < 0 {
			return append(parts, keyPart{text: key})
		}
		if at > 0 {
			parts = append(parts, keyPart{text: key[:at]})
		}
		name := variableName(key[at+1:])
		key = key[at+1+len(name):]
		parts = append(parts, variable(name))
	}
	return parts
}

func variableName(s string) string {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return s[:i]
		}
	}
	return s
}

func variable(name string) keyPart {
	if k, ok := keyNames[name]; ok {
		return keyPart{kind: k}
	}
	if f, ok := strings.CutPrefix(name, "http_"); ok {
		return keyPart{kind: keyField, text: strings.ReplaceAll(strings.ToLower(f), "_", "-")}
	}
	if c, ok := strings.CutPrefix(name, "cookie_"); ok {
		return keyPart{kind: keyCookie, text: c}
	}
	if a, ok := strings.CutPrefix(name, "arg_"); ok {
		return keyPart{kind: keyArg, text: a}
	}
	return keyPart{}
}

// appendKey appends the key of a request.
func (k hashKey) appendKey(dst []byte, c *client, r *http1.Request, head []byte) []byte {
	for i := range k {
		dst = k[i].append(dst, c, r, head)
	}
	return dst
}

func (p *keyPart) append(dst []byte, c *client, r *http1.Request, head []byte) []byte {
	switch p.kind {
	case keyText:
		return append(dst, p.text...)
	case keyRemoteAddr:
		return append(dst, c.ip[:c.ipLen]...)
	case keyRequestURI:
		return append(dst, r.Target.Of(head)...)
	case keyURI:
		return append(dst, r.Path.Of(head)...)
	case keyArgs:
		return append(dst, r.Query.Of(head)...)
	case keyHost:
		return append(dst, hostName(r.Host.Of(head))...)
	case keyMethod:
		return append(dst, r.MethodSpan.Of(head)...)
	case keyField:
		return append(dst, fieldValue(r, head, p.text)...)
	case keyCookie:
		return append(dst, pairValue(fieldValue(r, head, "cookie"), p.text, ';')...)
	}
	return append(dst, pairValue(r.Query.Of(head), p.text, '&')...)
}

// hostName cuts the port off.
func hostName(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && i > bytes.IndexByte(host, ']') {
		return host[:i]
	}
	return host
}

// fieldValue returns the value of the first field of that lower-case name.
func fieldValue(r *http1.Request, head []byte, name string) []byte {
	for i := range r.Fields {
		if f := &r.Fields[i]; foldEqual(f.Name.Of(head), name) {
			return f.Value.Of(head)
		}
	}
	return nil
}

// pairValue returns the value of name in "a=1;b=2" or "a=1&b=2".
func pairValue(s []byte, name string, sep byte) []byte {
	for len(s) > 0 {
		item := s
		if i := bytes.IndexByte(s, sep); i >= 0 {
			item, s = s[:i], s[i+1:]
		} else {
			s = nil
		}
		item = bytes.TrimLeft(item, " ")
		if len(item) > len(name) && item[len(name)] == '=' && string(item[:len(name)]) == name {
			return item[len(name)+1:]
		}
	}
	return nil
}
