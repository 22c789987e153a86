package aliyun

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"spillway/scaler/cloud"
)

func FuzzReadProfile(f *testing.F) {
	f.Add("[default]\nenable = true\ntype = access_key\naccess_key_id = a\naccess_key_secret = b\n", "default")
	f.Add("; note\n[a]\nk=v ; c\n[b]\nK = 'x # y'\n", "b")
	f.Add("[a", "a")
	f.Add("[a]\nnothing\n", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := readProfile(text, name)
		if (p == nil) != (err != nil) {
			t.Errorf("profile %v with error %v", p, err)
		}
		for k := range p {
			if k != strings.ToLower(strings.TrimSpace(k)) {
				t.Errorf("key %q is not plain", k)
			}
		}
	})
}

func FuzzInstance(f *testing.F) {
	text, err := os.ReadFile("testdata/describe_instances.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"Instances":{"Instance":[{"Status":"?","Tags":null,"OperationLocks":{"LockReason":[{}]}}]}}`))
	d := &Driver{}
	f.Fuzz(func(t *testing.T, text []byte) {
		var answer struct {
			Instances struct{ Instance []instance }
		}
		if json.Unmarshal(text, &answer) != nil {
			return
		}
		for i := range answer.Instances.Instance {
			m := d.machine(&answer.Instances.Instance[i])
			if m.State == "" || m.Tags == nil {
				t.Errorf("machine without state or tags: %+v", m)
			}
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(403, []byte(`{"Code":"OperationDenied.NoStock","Message":"m","RequestId":"r"}`))
	f.Add(502, []byte("<html>"))
	f.Add(400, []byte(`{"Code":"","Message":[]}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := &http.Response{StatusCode: status, Header: http.Header{}}
		e := refused(cloud.OpCreate, a, body)
		if e.Err == nil || e.Op != cloud.OpCreate || len(e.Error()) > 4*maxMessage+2*len(body) {
			t.Errorf("refusal %v", e)
		}
		if refused(cloud.OpList, a, body).Kind == cloud.Ambiguous {
			t.Error("a read is in doubt")
		}
	})
}

func TestReadProfile(t *testing.T) {
	const text = "\ufeff# top\n[default]\nACCESS_KEY_ID = \"a b\"\naccess_key_secret='x#y'  # note\nempty=\n[ other ] ; note\ntype = sts ; note\n[default]\nlate = yes\n"
	p, err := readProfile(strings.TrimPrefix(text, "\ufeff"), "default")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"access_key_id": "a b", "access_key_secret": "x#y", "empty": "", "late": "yes"} {
		if p[key] != want {
			t.Errorf("%s is %q, want %q", key, p[key], want)
		}
	}
	if o, err := readProfile(text[3:], "other"); err != nil || o["type"] != "sts" {
		t.Errorf("profile other is %v, error %v", o, err)
	}
	for _, bad := range []string{"[default\n", "[default]\nsecret-text\n", "", "[other]\n"} {
		if _, err := readProfile(bad, "default"); err == nil || strings.Contains(err.Error(), "secret-text") {
			t.Errorf("profile of %q: error %v, want one that tells no value", bad, err)
		}
	}
}
