package ec2

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
)

func TestReadsKeys(t *testing.T) {
	var a stsAnswer
	if err := xml.Unmarshal(example(t, "assume-role.xml"), &a); err != nil {
		t.Fatal(err)
	}
	k, err := a.Role.keys()
	if err != nil || k.id != "ASIAIOSFODNN7EXAMPLE" || !strings.HasPrefix(k.session.reveal(), "AQoDYXdz") || k.expires.Hour() != 13 {
		t.Errorf("of a role: %v, %v", k, err)
	}
	k, err = parseKeys(example(t, "instance-role.json"))
	if err != nil || k.secret.reveal() != "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" || k.session.reveal() != "token" || k.expires.Hour() != 18 {
		t.Errorf("of a machine: %v, %v", k, err)
	}
	for _, bad := range []string{"", "{", `{"Code":"Failed"}`, `{"Code":"Success","AccessKeyId":"a","SecretAccessKey":"b"}`} {
		if k, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("parseKeys(%q): %v, want an error", bad, k)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	k := keys{id: "AKIAIOSFODNN7EXAMPLE", secret: hide("hidden-1"), session: hide("hidden-2")}
	text, err := json.Marshal(map[string]any{"secret": k.secret})
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{have: k}
	shown := fmt.Sprintf("%v %+v %#v %s %q %s %v %#v", k, k, k, k.secret, k.session, text, v, &v.have)
	if strings.Contains(shown, "hidden") {
		t.Errorf("shown: %s", shown)
	}
}

func TestProfilesAreRead(t *testing.T) {
	p := profiles{}
	config := "# ours\n[default]\nregion = eu-central-1 ; a comment\n[profile ops]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile = default\n" +
		"s3 =\n  max_concurrent_requests = 20\n[services mine]\nec2 =\n  endpoint_url = x\n[ops]\nrole_arn = ignored\n"
	if err := p.parse(config, true); err != nil {
		t.Fatal(err)
	}
	credentials := "[default]\nAWS_ACCESS_KEY_ID = AKIA1\naws_secret_access_key = a#b;c=d\n[ops]\nexternal_id=7\n"
	if err := p.parse(credentials, false); err != nil {
		t.Fatal(err)
	}
	want := profiles{
		"default": {"region": "eu-central-1", "aws_access_key_id": "AKIA1", "aws_secret_access_key": "a#b;c=d"},
		"ops":     {"role_arn": "arn:aws:iam::1:role/x", "source_profile": "default", "s3": "", "external_id": "7"},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	err := profiles{}.parse("[default]\nmy-secret-without-a-name\n", false)
	if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "my-secret") {
		t.Errorf("error %v, want one that names the line and does not show it", err)
	}
}

func FuzzProfiles(f *testing.F) {
	f.Add("[default]\naws_access_key_id = a\n", false)
	f.Add("[profile x]\n a = b\n[\n]\n=\n", true)
	f.Fuzz(func(t *testing.T, text string, config bool) {
		p := profiles{}
		if p.parse(text, config) != nil {
			return
		}
		for name, settings := range p {
			if name == "" || settings == nil {
				t.Errorf("profile %q: %v", name, settings)
			}
		}
	})
}

func FuzzAnswers(f *testing.F) {
	for _, name := range []string{"run-instances.xml", "describe-instances.xml", "terminate-instances.xml", "error.xml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, 200)
		f.Add(text, 400)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		e := parseError(&http.Response{StatusCode: status, Header: http.Header{}}, body)
		if k := kindOf(cloud.OpCreate, e); k == cloud.Transient && codes[e.Code] != cloud.Transient {
			t.Errorf("a Create that may have bought is called transient: %v", e)
		}
		var a instancesAnswer
		if xml.Unmarshal(body, &a) != nil {
			return
		}
		for _, r := range a.Reservations {
			for i := range r.Instances {
				if m := r.Instances[i].machine(false); m.State == "" {
					t.Errorf("a machine without a state: %+v", m)
				}
			}
		}
	})
}
