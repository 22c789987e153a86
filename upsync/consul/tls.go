package consul

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// tlsConfig merges ours over what the environment says.
func tlsConfig(t TLS) api.TLSConfig {
	c := api.DefaultConfig().TLSConfig
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&c.CAFile, t.CAFile)
	set(&c.CAPath, t.CAPath)
	set(&c.CertFile, t.CertFile)
	set(&c.KeyFile, t.KeyFile)
	set(&c.Address, t.ServerName)
	c.InsecureSkipVerify = c.InsecureSkipVerify || t.InsecureSkipVerify
	return c
}

func tlsFiles(c api.TLSConfig) []string {
	var files []string
	for _, f := range []string{c.CAFile, c.CAPath, c.CertFile, c.KeyFile} {
		if f != "" {
			files = append(files, f)
		}
	}
	return files
}

// stampFiles is a string that differs when one of the files was replaced or
// written.
func stampFiles(files []string) string {
	var b strings.Builder
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v;", f, err)
			continue
		}
		fmt.Fprintf(&b, "%s: %d %d;", f, st.Size(), st.ModTime().UnixNano())
	}
	return b.String()
}

// checkCertificate refuses a client certificate that is not valid now, with
// the date: the agent would only say "bad certificate".
func checkCertificate(c api.TLSConfig) error {
	if c.CertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return fmt.Errorf("cannot load client certificate %q: %w", c.CertFile, err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Errorf("cannot parse client certificate %q: %w", c.CertFile, err)
	}
	if now := time.Now(); now.After(leaf.NotAfter) {
		return fmt.Errorf("client certificate %q expired on %s", c.CertFile, leaf.NotAfter.Format(time.RFC3339))
	} else if now.Before(leaf.NotBefore) {
		return fmt.Errorf("client certificate %q is not valid before %s", c.CertFile, leaf.NotBefore.Format(time.RFC3339))
	}
	return nil
}

// boundedTransport bounds every answer, also those the API client reads.
type boundedTransport struct {
	http.RoundTripper
	max int64
}

// CloseIdleConnections lets http.Client reach the pool below.
func (t boundedTransport) CloseIdleConnections() {
	t.RoundTripper.(*http.Transport).CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: t.max, max: t.max}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left, max int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &TooLarge{Max: b.max}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// TooLarge is the error of an answer above Config.MaxBytes.
type TooLarge struct{ Max int64 }

// Error implements error.
func (e *TooLarge) Error() string { return fmt.Sprintf("answer is larger than %d bytes", e.Max) }
