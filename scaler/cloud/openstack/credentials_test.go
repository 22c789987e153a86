package openstack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/openstack"
	"spillway/scaler/cloud/sim"
)

// TestCredentials logs in by every source and method.
func TestCredentials(t *testing.T) {
	clock := sim.NewClock(start)
	c := sim.New(sim.OpenStack(), sim.Options{Clock: clock.Still()})
	url := cloudfake.New(t, c, cloudfake.Options{Now: clock.Now}).OpenStack()
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, file, fmt.Sprintf(`clouds:
  password:
    auth: {auth_url: %[1]s, username: %[2]s, password: %[3]s, project_name: %[4]s, user_domain_name: Default, project_domain_name: Default}
    region_name: %[5]s
  application:
    auth_type: v3applicationcredential
    auth: {auth_url: %[1]s, application_credential_id: %[6]s, application_credential_secret: %[7]s}
  secured:
    auth: {auth_url: %[1]s, username: %[2]s, project_name: %[4]s, user_domain_name: Default, project_domain_name: Default}
`, url, cloudfake.OpenStackUser, cloudfake.OpenStackPassword, cloudfake.OpenStackProject, cloudfake.OpenStackRegion, cloudfake.OpenStackAppID, cloudfake.OpenStackSecret))
	write(t, filepath.Join(filepath.Dir(file), "secure.yaml"), "clouds: {secured: {auth: {password: "+cloudfake.OpenStackPassword+"}}}\n")
	user := map[string]string{
		"OS_AUTH_URL": url, "OS_USERNAME": cloudfake.OpenStackUser, "OS_PASSWORD": cloudfake.OpenStackPassword,
		"OS_PROJECT_NAME": cloudfake.OpenStackProject, "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_ID": "default",
	}
	for _, k := range []struct {
		name    string
		options openstack.Options
		env     map[string]string
		fails   bool
	}{
		{name: "password of the environment", env: user},
		{name: "wrong password", env: with(user, "OS_PASSWORD", "wrong"), fails: true},
		{name: "region there is not", env: with(user, "OS_REGION_NAME", "RegionTwo"), fails: true},
		{name: "region", env: with(user, "OS_REGION_NAME", cloudfake.OpenStackRegion)},
		{name: "application credential of the environment", env: map[string]string{
			"OS_AUTH_URL": url, "OS_APPLICATION_CREDENTIAL_ID": cloudfake.OpenStackAppID, "OS_APPLICATION_CREDENTIAL_SECRET": cloudfake.OpenStackSecret,
		}},
		{name: "cloud of a file", options: openstack.Options{Cloud: "password", CloudsFile: file}},
		{name: "cloud before environment", options: openstack.Options{Cloud: "application", CloudsFile: file}, env: with(user, "OS_PASSWORD", "wrong")},
		{name: "cloud of the environment", env: map[string]string{"OS_CLOUD": "application", "OS_CLIENT_CONFIG_FILE": file}},
		{name: "secret beside the file", options: openstack.Options{Cloud: "secured", CloudsFile: file}},
	} {
		t.Run(k.name, func(t *testing.T) {
			o := options()
			o.Auth, o.Cloud, o.CloudsFile = openstack.Credentials{}, k.options.Cloud, k.options.CloudsFile
			o.Getenv = func(name string) string { return k.env[name] }
			d, err := openstack.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = d.List(t.Context(), nil); (err != nil) != k.fails {
				t.Errorf("List: error %v, want one: %t", err, k.fails)
			}
		})
	}
}

// TestTokenThatRunsOut: a token by itself cannot log in again.
func TestTokenThatRunsOut(t *testing.T) {
	clock := sim.NewClock(start)
	c := sim.New(sim.OpenStack(), sim.Options{Clock: clock.Still()})
	fake := cloudfake.New(t, c, cloudfake.Options{Now: clock.Now})
	o := options()
	o.Auth = openstack.Credentials{URL: fake.OpenStack(), Token: cloudfake.OpenStackToken}
	d, err := openstack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.List(t.Context(), nil); err != nil {
		t.Fatalf("while it is good: %v", err)
	}
	clock.Advance(2 * time.Hour)
	if _, err := d.List(t.Context(), nil); typed(t, err).Kind != cloud.Auth {
		t.Errorf("when it has run out: error %v, want Auth", err)
	}
}

func TestNoCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, file, "clouds: {nowhere: {auth: {username: u, password: hunter2}}}\n")
	for name, change := range map[string]func(*openstack.Options){
		"nothing":          func(o *openstack.Options) {},
		"no way to log in": func(o *openstack.Options) { o.Auth.URL = "http://127.0.0.1:1/v3" },
		"no such file":     func(o *openstack.Options) { o.Cloud, o.CloudsFile = "nowhere", file+"x" },
		"no such cloud":    func(o *openstack.Options) { o.Cloud, o.CloudsFile = "elsewhere", file },
		"no address":       func(o *openstack.Options) { o.Cloud, o.CloudsFile = "nowhere", file },
		"no CA": func(o *openstack.Options) {
			o.Auth = openstack.Credentials{URL: "http://x/v3", Token: "t", CAFile: file}
		},
	} {
		o := options()
		o.Auth, o.Getenv = openstack.Credentials{}, func(string) string { return "" }
		change(&o)
		if _, err := openstack.New(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v, want one that tells no secret", name, err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := openstack.Credentials{URL: "u", Password: "hunter2", Token: "hunter2", ApplicationSecret: "hunter2"}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), fmt.Sprintf("%q", c.Password), string(text)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("a secret is printed: %s", s)
		}
	}
}

func with(env map[string]string, key, value string) map[string]string {
	all := map[string]string{key: value}
	for k, v := range env {
		if k != key {
			all[k] = v
		}
	}
	return all
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
