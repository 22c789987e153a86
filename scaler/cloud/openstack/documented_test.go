package openstack_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
)

// TestDocumentedAnswer reads an answer after the example of "List Servers Detailed" of the
// Compute API, in the form that it has had since microversion 2.47.
func TestDocumentedAnswer(t *testing.T) {
	text, err := os.ReadFile("testdata/servers.json")
	if err != nil {
		t.Fatal(err)
	}
	d := scripted(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	found, err := d.List(t.Context(), map[string]string{"My Server Name": "Apache1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []cloud.Machine{{
		ID: "569f39f9-7c76-42a1-9c2d-8394e2638a6d", Name: "new-server-test", Type: "m1.tiny.specs", Zone: "us-west", State: cloud.Running,
		Address: "192.168.1.30", Created: time.Date(2017, 10, 10, 15, 49, 8, 0, time.UTC), Tags: map[string]string{"My Server Name": "Apache1"},
	}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
}
