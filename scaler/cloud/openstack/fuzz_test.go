package openstack

import (
	"strings"
	"testing"
	"unicode/utf8"

	"spillway/scaler/cloud"
)

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"forbidden":{"code":403,"message":"Quota exceeded for cores: Requested 1"}}`))
	f.Add([]byte(`{"error":"no"}`))
	f.Add([]byte("<html>\xff</html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		text := message(body)
		if !utf8.ValidString(text) {
			t.Errorf("message %q is no text", text)
		}
		if what := overQuota(text); what != "" && !strings.Contains(text, what) && what != "quota" {
			t.Errorf("quota %q is not in %q", what, text)
		}
	})
}

// FuzzServerTags: whatever tags say, Nova takes what is made of them.
func FuzzServerTags(f *testing.F) {
	f.Add("c", "web-1")
	f.Add("a/b", "x,y")
	f.Add(strings.Repeat("c", 99), "")
	f.Fuzz(func(t *testing.T, cluster, order string) {
		for _, tag := range serverTags(map[string]string{cloud.TagCluster: cluster, cloud.TagOrder: order}) {
			if len(tag) > tagMax || strings.ContainsAny(tag, "/,") {
				t.Errorf("server tag %q", tag)
			}
		}
	})
}
