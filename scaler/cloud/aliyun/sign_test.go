package aliyun

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The example of "Request syntax and signature method V3".
func TestPublishedSignature(t *testing.T) {
	u, err := url.Parse("https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("x-acs-action", "RunInstances")
	h.Set("x-acs-version", "2014-05-26")
	h.Set("x-acs-date", "2023-10-26T10:22:32Z")
	h.Set("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")
	sign(h, http.MethodPost, u, nil, Credentials{keyID: "YourAccessKeyId", secret: "YourAccessKeySecret"})
	const want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got := h.Get("Authorization"); got != want {
		t.Errorf("authorization is\n%s, want\n%s", got, want)
	}
}

func TestCanonicalQuery(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"", ""},
		{"b=2&a=1", "a=1&b=2"},
		{"a=x+y", "a=x%20y"},
		{"a=" + url.QueryEscape("*~-_.+/="), "a=%2A~-_.%2B%2F%3D"},
		{"Tag.1.Key=" + url.QueryEscape("中"), "Tag.1.Key=%E4%B8%AD"},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := canonicalQuery(q); got != c.want {
			t.Errorf("canonical query of %q is %q, want %q", c.query, got, c.want)
		}
	}
}

func TestSignatureCoversEveryPart(t *testing.T) {
	signature := func(spoil func(h http.Header, u *url.URL) (method, body string)) string {
		h, u := http.Header{}, &url.URL{Scheme: "https", Host: "ecs.aliyuncs.com", Path: "/"}
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("x-acs-security-token", "one")
		method, body := spoil(h, u)
		sign(h, method, u, []byte(body), Credentials{keyID: "id", secret: "secret"})
		_, s, _ := strings.Cut(h.Get("Authorization"), "Signature=")
		return s
	}
	seen := map[string]string{}
	for name, spoil := range map[string]func(h http.Header, u *url.URL) (string, string){
		"plain":  func(http.Header, *url.URL) (string, string) { return "POST", "a=1" },
		"method": func(http.Header, *url.URL) (string, string) { return "GET", "a=1" },
		"body":   func(http.Header, *url.URL) (string, string) { return "POST", "a=2" },
		"host":   func(_ http.Header, u *url.URL) (string, string) { u.Host = "x"; return "POST", "a=1" },
		"path":   func(_ http.Header, u *url.URL) (string, string) { u.Path = "/x"; return "POST", "a=1" },
		"query":  func(_ http.Header, u *url.URL) (string, string) { u.RawQuery = "b=1"; return "POST", "a=1" },
		"token": func(h http.Header, _ *url.URL) (string, string) {
			h.Set("x-acs-security-token", "two")
			return "POST", "a=1"
		},
		"type": func(h http.Header, _ *url.URL) (string, string) {
			h.Set("Content-Type", "text/plain")
			return "POST", "a=1"
		},
	} {
		s := signature(spoil)
		if other, ok := seen[s]; ok {
			t.Errorf("%s and %s are signed alike", name, other)
		}
		seen[s] = name
	}
}
