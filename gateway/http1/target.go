package http1

import "bytes"

// parseTarget finds the form of the request target and its parts (RFC 9112
// 3.2).
func (r *Request) parseTarget(b []byte) fault {
	t := r.Target.Of(b)
	switch {
	case bytes.IndexByte(t, '#') >= 0:
		return faultFragment
	case r.Method == MethodConnect:
		return r.parseAuthorityForm(b)
	case t[0] == '/':
		r.Form = OriginForm
		r.splitPath(b, r.Target.Start)
		return faultNone
	case len(t) == 1 && t[0] == '*':
		r.Form = AsteriskForm
		if r.Method != MethodOptions {
			return faultAsterisk
		}
		return faultNone
	default:
		return r.parseAbsoluteForm(b)
	}
}

// splitPath splits what the target holds from start on into path and query.
func (r *Request) splitPath(b []byte, start uint32) {
	r.Path = Span{start, r.Target.End}
	r.Query = Span{r.Target.End, r.Target.End}
	if q := bytes.IndexByte(r.Path.Of(b), '?'); q >= 0 {
		r.Path.End = start + uint32(q)
		r.Query.Start = r.Path.End + 1
	}
}

func (r *Request) parseAuthorityForm(b []byte) fault {
	r.Form = AuthorityForm
	r.Host = r.Target
	if port, ok := splitHost(r.Host.Of(b)); !ok || !validPort(port, 1) {
		return faultAuthority
	}
	return faultNone
}

// parseAbsoluteForm takes http and https URIs. Any other scheme would make
// the gateway a proxy for something it does not speak.
func (r *Request) parseAbsoluteForm(b []byte) fault {
	r.Form = AbsoluteForm
	t := r.Target.Of(b)
	n := schemeLen(t)
	if n == 0 {
		return faultTarget
	}
	end := bytes.IndexAny(t[n:], "/?")
	if end < 0 {
		end = len(t) - n
	}
	r.Host = Span{r.Target.Start + uint32(n), r.Target.Start + uint32(n+end)}
	if !validAuthority(r.Host.Of(b)) {
		return faultAuthority
	}
	r.splitPath(b, r.Host.End)
	return faultNone
}

// schemeLen returns the length of "http://" or "https://" in any case at the
// start of t, or 0.
func schemeLen(t []byte) int {
	i := bytes.IndexByte(t, ':')
	if i < 0 || len(t) < i+3 || t[i+1] != '/' || t[i+2] != '/' {
		return 0
	}
	if !tokenEqual(t[:i], "http") && !tokenEqual(t[:i], "https") {
		return 0
	}
	return i + 3
}
