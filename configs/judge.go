package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// judge collects what is wrong with a configuration.
type judge struct {
	book *book
	errs Errors
}

func (k *judge) fail(path, found, allowed, hint string) {
	if len(k.errs) < maxCollected {
		e := k.book.at(path)
		e.Found, e.Allowed, e.Hint = shorten(found), allowed, hint
		k.errs = append(k.errs, e)
	}
}

func (k *judge) failValue(path string, err *valueError) {
	k.fail(path, err.found, err.allowed, err.hint)
}

// independent are the mistakes that do not follow from those found before.
func (k *judge) independent(before Errors) Errors {
	return slices.DeleteFunc(k.errs, func(e *Error) bool {
		return slices.ContainsFunc(before, func(b *Error) bool { return k.follows(e, b) })
	})
}

// follows reports whether e may be a consequence of b: it is about the same
// option, or about one that is missing where b found something unreadable.
func (k *judge) follows(e, b *Error) bool {
	if b.Key == e.Key {
		return true
	}
	if b.Key == "" {
		_, present := k.book.origins[e.Key]
		return !present
	}
	rest, under := strings.CutPrefix(e.Key, b.Key)
	return under && (rest[0] == '.' || rest[0] == '[')
}

// values checks the rules of the tags, which reading has done already.
func (k *judge) values(v reflect.Value, r rules, path string) {
	switch kindOf(v.Type()) {
	case kindSection:
		for _, f := range fieldsOf(v.Type()) {
			k.values(v.Field(f.index), f.rules, join(path, f.name))
		}
	case kindList:
		for i := range v.Len() {
			k.values(v.Index(i), r, item(path, i))
		}
	case kindNamed:
		for _, key := range v.MapKeys() {
			k.values(v.MapIndex(key), r, join(path, key.String()))
		}
	case kindTexts:
	default:
		if _, err := parseScalar(v.Type(), r, formatScalar(v)); err != nil && !isUnset(v) {
			k.failValue(path, err)
		}
	}
}

// isUnset: an upstream without a source is reported by the check of its source.
func isUnset(v reflect.Value) bool { return v.Kind() == reflect.String && v.String() == "" }

func (k *judge) required(path, value, allowed string) {
	if value == "" {
		k.fail(path, "nothing", allowed, "")
	}
}

// exclusive reports two options of which only one may be given.
func (k *judge) exclusive(a, b string, both bool) {
	if both {
		k.fail(b, "both "+a+" and "+b, "one of them", "")
	}
}

// listenAddress checks IP:port, [IPv6]:port, :port and unix:/path.
func (k *judge) listenAddress(path, addr string) {
	if sock, ok := strings.CutPrefix(addr, "unix:"); ok {
		if !validSocketPath(sock) {
			k.fail(path, strconv.Quote(addr), "unix:/path of at most 107 bytes", "")
		}
		return
	}
	ap := addr
	if strings.HasPrefix(addr, ":") {
		ap = "0.0.0.0" + addr
	}
	if _, err := netip.ParseAddrPort(ap); err == nil {
		return
	}
	k.fail(path, strconv.Quote(addr), "IP:port, [IPv6]:port, :port or unix:/path", listenHint(addr))
}

// listenHint guesses what was meant with "8080", "*:8080" and "localhost:80".
func listenHint(addr string) string {
	if _, err := strconv.ParseUint(addr, 10, 16); err == nil {
		return ":" + addr
	}
	if port, ok := strings.CutPrefix(addr, "*:"); ok {
		return ":" + port
	}
	if port, ok := strings.CutPrefix(addr, "localhost:"); ok {
		return "127.0.0.1:" + port
	}
	return ""
}

const allowedConsul = "host:port, http://host:port, https://host:port or unix:///path"

func (k *judge) consulAddress(path, addr string) {
	found := strconv.Quote(addr)
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		k.fail(path, strconv.Quote("***"+addr[i:]), allowedConsul+" (a token goes to consul.token)", "")
		return
	}
	if sock, ok := strings.CutPrefix(addr, "unix://"); ok {
		if !validSocketPath(sock) {
			k.fail(path, found, allowedConsul, "")
		}
		return
	}
	scheme, host, hasScheme := strings.Cut(addr, "://")
	if !hasScheme {
		scheme, host = "http", addr
	}
	u, err := url.Parse(scheme + "://" + host)
	switch {
	case err != nil || scheme != "http" && scheme != "https" || u.Hostname() == "" || u.Host != host:
		k.fail(path, found, allowedConsul, "")
	case u.Port() == "" && !hasScheme:
		k.fail(path, found, allowedConsul, host+":8500")
	}
}

// certificate reports a certificate without its key, and a key without it.
func (k *judge) certificate(path, cert, key string) {
	if (cert == "") == (key == "") {
		return
	}
	have, lack := "cert_file", "key_file"
	if cert == "" {
		have, lack = lack, have
	}
	k.fail(join(path, have), fmt.Sprintf("%s without %s", have, lack), "both or none", "")
}
