package aliyun_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/sim"
)

// tamper changes requests after they were signed.
type tamper struct {
	change func(r *http.Request, body []byte) []byte
	last   *http.Request
	body   []byte
}

func (m *tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	if m.change != nil {
		body = m.change(r, body)
	}
	m.last, m.body = r.Clone(r.Context()), body
	return m.send(r)
}

func (m *tamper) send(r *http.Request) (*http.Response, error) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(m.body)), int64(len(m.body))
	return http.DefaultTransport.RoundTrip(r)
}

func TestTheFakeVerifiesSignatures(t *testing.T) {
	for name, change := range map[string]func(r *http.Request, body []byte) []byte{
		"another body": func(_ *http.Request, body []byte) []byte {
			return bytes.Replace(body, []byte("m-spillway"), []byte("m-other"), 1)
		},
		"another action": func(r *http.Request, body []byte) []byte {
			r.Header.Set("x-acs-action", "DeleteInstances")
			return body
		},
		"another query":     func(r *http.Request, body []byte) []byte { r.URL.RawQuery = "Amount=9"; return body },
		"an unsigned token": func(r *http.Request, body []byte) []byte { r.Header.Set("x-acs-security-token", "x"); return body },
		"no signature":      func(r *http.Request, body []byte) []byte { r.Header.Del("Authorization"); return body },
		"another scheme": func(r *http.Request, body []byte) []byte {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256", "ACS3-HMAC-SM3", 1))
			return body
		},
	} {
		t.Run(name, func(t *testing.T) {
			way := &tamper{change: change}
			w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Client = &http.Client{Transport: way} })
			_, err := w.d.Create(t.Context(), w.request(1))
			wantKind(t, "a request with "+name, err, cloud.Auth)
			if n := len(w.sim.Hosts()); n != 0 {
				t.Errorf("it made %d machines", n)
			}
		})
	}
}

func TestARequestIsGoodOnce(t *testing.T) {
	way := &tamper{}
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Client = &http.Client{Transport: way} })
	w.create(w.request(1))
	answer, err := way.send(way.last)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), `"Code":"SignatureNonceUsed"`) {
		t.Errorf("a request sent again is answered %d %s (error %v), want SignatureNonceUsed", answer.StatusCode, text, err)
	}
}

func TestUserDataNeverTravelsInAURL(t *testing.T) {
	way := &tamper{}
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Client = &http.Client{Transport: way} })
	r := w.request(1)
	r.UserData = []byte("join-token")
	w.create(r)
	if way.last.URL.RawQuery != "" || !strings.Contains(string(way.body), "UserData=") {
		t.Errorf("URL %s, body %d bytes: want everything in the body", way.last.URL, len(way.body))
	}
	if host, _ := w.sim.Host(w.sim.Hosts()[0].ID); string(host.UserData) != "join-token" {
		t.Errorf("the machine got user data %q", host.UserData)
	}
}

func TestALostAnswerIsSettledByTheWrappers(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil, cloud.Fault{Kind: cloud.FaultLoseAnswer, Op: cloud.OpCreate})
	d := cloud.Wrap(w.d, cloud.Options{Clock: w.clock.Moving(), Resolve: cloud.ResolveOptions{Within: time.Minute}})
	made, err := d.Create(t.Context(), w.request(3))
	if err != nil || len(made) != 3 || len(w.sim.Hosts()) != 3 {
		t.Errorf("%d machines given, %d made (error %v), want 3", len(made), len(w.sim.Hosts()), err)
	}
}

func TestAUsedTokenIsLookedUpByTheWrappers(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	d := cloud.Wrap(w.d, cloud.Options{Clock: w.clock.Moving()})
	r := w.request(2)
	first := w.create(r)
	r.UserData = []byte("the configuration was changed in between")
	again, err := d.Create(t.Context(), r)
	if err != nil || len(again) != len(first) {
		t.Errorf("the order has %d machines (error %v), want the %d that its token bought", len(again), err, len(first))
	}
	_, err = w.d.Create(t.Context(), r)
	var e *cloud.Error
	if !errors.As(err, &e) || e.What != cloud.UsedToken {
		t.Errorf("the driver's own error is %v, want that the token is used", err)
	}
}
