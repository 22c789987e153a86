package aliyun

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// algorithm is signature version 3 ("Request syntax and signature method V3").
const algorithm = "ACS3-HMAC-SHA256"

// sign adds what the signature covers beside the headers that are there (the
// hash of the body) and the signature itself.
func sign(h http.Header, method string, u *url.URL, body []byte, c Credentials) {
	payload := hexHash(body)
	h.Set("x-acs-content-sha256", payload)
	names, canonical := signedHeaders(h, u.Host)
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	request := strings.Join([]string{method, path, canonicalQuery(u.Query()), canonical, names, payload}, "\n")
	mac := hmac.New(sha256.New, []byte(c.secret))
	mac.Write([]byte(algorithm + "\n" + hexHash([]byte(request))))
	h.Set("Authorization", algorithm+" Credential="+c.keyID+",SignedHeaders="+names+",Signature="+hex.EncodeToString(mac.Sum(nil)))
}

// signedHeaders are host, content-type and x-acs-*, sorted.
func signedHeaders(h http.Header, host string) (names, canonical string) {
	values := map[string]string{"host": host}
	for name := range h {
		lower := strings.ToLower(name)
		if lower == "content-type" || strings.HasPrefix(lower, "x-acs-") {
			values[lower] = strings.TrimSpace(h.Get(name))
		}
	}
	all := make([]string, 0, len(values))
	for name := range values {
		all = append(all, name)
	}
	slices.Sort(all)
	var b strings.Builder
	for _, name := range all {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(all, ";"), b.String()
}

// canonicalQuery is sorted and escaped as RFC 3986 has it, spaces as %20.
func canonicalQuery(q url.Values) string {
	return strings.ReplaceAll(q.Encode(), "+", "%20")
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
