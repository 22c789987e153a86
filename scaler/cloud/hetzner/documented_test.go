package hetzner_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/hetzner"
)

// TestDocumentedAnswer reads an answer after the example of "Get all Servers", as machines that
// are reached by their public address and by that of a network.
func TestDocumentedAnswer(t *testing.T) {
	text, err := os.ReadFile("testdata/servers.json")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	}))
	defer s.Close()
	for _, c := range []struct {
		network int64
		address string
	}{{0, "1.2.3.4"}, {4711, "10.0.0.2"}, {4712, ""}} {
		d, err := hetzner.New(hetzner.Options{Endpoint: s.URL, Token: "t", Image: "ubuntu-20.04", Network: c.network})
		if err != nil {
			t.Fatal(err)
		}
		found, err := d.List(t.Context(), map[string]string{"environment": "prod", "just-a-key": ""})
		if err != nil {
			t.Fatal(err)
		}
		want := []cloud.Machine{{
			ID: "42", Name: "my-resource", Type: "cx11", Zone: "fsn1", State: cloud.Running, Address: c.address,
			Created: time.Date(2016, 1, 30, 23, 55, 0, 0, time.UTC),
			Tags:    map[string]string{"environment": "prod", "example.com/my": "label", "just-a-key": ""},
		}}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("network %d (-want +got):\n%s", c.network, diff)
		}
	}
}
