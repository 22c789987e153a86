package cloudfake

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// ec2Key is what a key id stands for.
type ec2Key struct {
	secret, session string
	expires         time.Time // zero: never
}

// signatureLife is how old a signature may be, and how far ahead.
const signatureLife = 5 * time.Minute

// give makes new keys for a role.
func (e *EC2) give() (id string, k ec2Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	id = fmt.Sprintf("ASIA%016d", e.made)
	k = ec2Key{secret: "secret-of-" + id, session: "session-of-" + id, expires: e.s.now().Add(e.o.KeysLife)}
	e.keys[id] = k
	return id, k
}

// Revoke makes all keys of roles invalid, as if their time was over.
func (e *EC2) Revoke() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, k := range e.keys {
		if k.session != "" {
			k.expires = e.s.now()
			e.keys[id] = k
		}
	}
}

// authentic reads a request's form, once it has found the signature right.
func (e *EC2) authentic(r *http.Request, service string) (url.Values, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return nil, err
	}
	if err := e.verify(r, body, service); err != nil {
		return nil, err
	}
	return readForm(r, body)
}

func readForm(r *http.Request, body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, &wireError{http.StatusBadRequest, "MalformedQueryString", "The query string contains a syntax error."}
	}
	return form, nil
}

// signature is an Authorization header of AWS4-HMAC-SHA256.
type signature struct {
	key, date, region, service string
	headers                    []string
}

func parseSignature(header string) (s signature, ok bool) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return s, false
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[k] = v
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || fields["Signature"] == "" {
		return s, false
	}
	return signature{scope[0], scope[1], scope[2], scope[3], strings.Split(fields["SignedHeaders"], ";")}, true
}

// verify signs a copy of the request with the keys it names and compares.
func (e *EC2) verify(r *http.Request, body []byte, service string) error {
	s, ok := parseSignature(r.Header.Get("Authorization"))
	if !ok {
		return &wireError{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != s.date || !slices.Contains(s.headers, "host") || !slices.Contains(s.headers, "x-amz-date") {
		return &wireError{http.StatusBadRequest, "IncompleteSignature", "The request signature does not cover host and date."}
	}
	if age := e.s.now().Sub(at); age > signatureLife || age < -signatureLife {
		return &wireError{http.StatusBadRequest, "RequestExpired", "Request has expired."}
	}
	k, err := e.key(s.key, r.Header.Get("X-Amz-Security-Token"))
	if err != nil {
		return err
	}
	want, err := e.sign(r, body, s, k, at)
	if err != nil {
		return err
	}
	same := subtle.ConstantTimeCompare([]byte(want), []byte(r.Header.Get("Authorization"))) == 1
	if !same || s.region != e.o.Region || s.service != service {
		return &wireError{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."}
	}
	return nil
}

func (e *EC2) key(id, session string) (ec2Key, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.keys[id]
	switch {
	case !ok || k.session != session:
		return k, &wireError{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	case !k.expires.IsZero() && !e.s.now().Before(k.expires):
		return k, &wireError{http.StatusBadRequest, "ExpiredToken", "The security token included in the request is expired"}
	}
	return k, nil
}

// sign is the header the request should have: of the headers it says are
// signed, and no others.
func (e *EC2) sign(r *http.Request, body []byte, s signature, k ec2Key, at time.Time) (string, error) {
	c, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), http.NoBody)
	if err != nil {
		return "", err
	}
	for _, name := range s.headers {
		switch name {
		case "host", "x-amz-date", "x-amz-security-token": // by the signer
		case "content-length":
			c.ContentLength, err = strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64)
			if err != nil {
				c.ContentLength = r.ContentLength
			}
		default:
			c.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: s.key, SecretAccessKey: k.secret, SessionToken: k.session}
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, c, hex.EncodeToString(sum[:]), s.service, s.region, at); err != nil {
		return "", err
	}
	return c.Header.Get("Authorization"), nil
}
