package cloudfake

import (
	"crypto/hmac"
	"crypto/sha1" // what version 1.0 is made of
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// aliyunKey is an access key; those of STS have a token and an end.
type aliyunKey struct {
	secret, token string
	expires       time.Time
}

// aliyunSkew is how far a request's clock may be off.
const aliyunSkew = 15 * time.Minute

// aliyunClaim is what a request says of who sent it.
type aliyunClaim struct {
	keyID, token, date, nonce string
	signature, want           string
}

func (a *aliyun) authenticate(r *http.Request, body []byte) error {
	c, err := a.claim(r, body)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := a.keys[c.keyID]
	now := a.s.now()
	at, err := time.Parse(time.RFC3339, c.date)
	switch {
	case err != nil || at.Sub(now).Abs() > aliyunSkew:
		return aliyunDenied("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	case subtle.ConstantTimeCompare([]byte(c.signature), []byte(c.want)) != 1:
		return aliyunDenied("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
	case key.token != c.token:
		return aliyunDenied("InvalidSecurityToken.Malformed", "The specified SecurityToken is malformed.")
	case !key.expires.IsZero() && !now.Before(key.expires):
		return aliyunDenied("InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
	case c.nonce == "" || a.nonces[c.nonce]:
		return aliyunDenied("SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	a.nonces[c.nonce] = true
	return nil
}

func aliyunDenied(code, message string) error {
	return &aliyunFault{status: http.StatusBadRequest, code: code, message: message}
}

// claim reads either kind of signature and works out what it should be.
func (a *aliyun) claim(r *http.Request, body []byte) (aliyunClaim, error) {
	if r.Header.Get("Authorization") != "" {
		return a.claim3(r, body)
	}
	return a.claim1(r)
}

// secretOf finds the secret of an access key.
func (a *aliyun) secretOf(keyID string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, ok := a.keys[keyID]
	if !ok {
		return "", &aliyunFault{status: http.StatusNotFound, code: "InvalidAccessKeyId.NotFound", message: "Specified access key is not found."}
	}
	return key.secret, nil
}

// claim3 is ACS3-HMAC-SHA256: "Credential=ID,SignedHeaders=a;b,Signature=HEX".
func (a *aliyun) claim3(r *http.Request, body []byte) (c aliyunClaim, err error) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	c = aliyunClaim{
		keyID: fields["Credential"], signature: fields["Signature"], token: r.Header.Get("x-acs-security-token"),
		date: r.Header.Get("x-acs-date"), nonce: r.Header.Get("x-acs-signature-nonce"),
	}
	if scheme != "ACS3-HMAC-SHA256" || c.keyID == "" {
		return c, aliyunDenied("IncompleteSignature", "The request signature does not conform to Aliyun standards.")
	}
	key, err := a.secretOf(c.keyID)
	if err != nil {
		return c, err
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	if payload != r.Header.Get("x-acs-content-sha256") {
		return c, aliyunDenied("SignatureDoesNotMatch", "The hash of the body is another one.")
	}
	headers := aliyunSignedHeaders(r, fields["SignedHeaders"])
	query := aliyunEncode(r.URL.Query())
	request := fmt.Sprintf("%s\n%s\n%s\n%s\n%s\n%s", r.Method, r.URL.EscapedPath(), query, headers, fields["SignedHeaders"], payload)
	digest := sha256.Sum256([]byte(request))
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s\n%x", scheme, digest)
	c.want = hex.EncodeToString(mac.Sum(nil))
	return c, nil
}

// aliyunSignedHeaders are the headers that were signed, a line each. What must
// be signed and is not makes the result another than the sender's.
func aliyunSignedHeaders(r *http.Request, names string) string {
	list := ";" + names + ";"
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") && !strings.Contains(list, ";"+lower+";") {
			return "unsigned " + lower
		}
	}
	if !strings.Contains(list, ";host;") {
		return "unsigned host"
	}
	var b strings.Builder
	for name := range strings.SplitSeq(names, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.TrimSpace(value))
	}
	return b.String()
}

// claim1 is version 1.0: HMAC-SHA1 over all parameters.
func (a *aliyun) claim1(r *http.Request) (c aliyunClaim, err error) {
	p := r.Form
	c = aliyunClaim{
		keyID: p.Get("AccessKeyId"), signature: p.Get("Signature"), token: p.Get("SecurityToken"),
		date: p.Get("Timestamp"), nonce: p.Get("SignatureNonce"),
	}
	if p.Get("SignatureMethod") != "HMAC-SHA1" || p.Get("SignatureVersion") != "1.0" || c.keyID == "" {
		return c, aliyunDenied("IncompleteSignature", "The request signature does not conform to Aliyun standards.")
	}
	key, err := a.secretOf(c.keyID)
	if err != nil {
		return c, err
	}
	signed := url.Values{}
	for name, values := range p {
		if name != "Signature" {
			signed[name] = values
		}
	}
	mac := hmac.New(sha1.New, []byte(key+"&"))
	fmt.Fprintf(mac, "%s&%s&%s", r.Method, aliyunEscape("/"), aliyunEscape(aliyunEncode(signed)))
	c.want = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return c, nil
}

func aliyunEncode(p url.Values) string {
	return strings.ReplaceAll(p.Encode(), "+", "%20")
}

func aliyunEscape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
