package aliyun_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

const (
	goodKey = "access_key_id = " + cloudfake.AliyunKeyID + "\naccess_key_secret = " + cloudfake.AliyunKeySecret + "\n"
	badKey  = "access_key_id = LTAInone\naccess_key_secret = leaked-if-seen\n"
)

// nobody is an address where nothing listens.
const nobody = "http://127.0.0.1:1"

func TestWhereCredentialsComeFrom(t *testing.T) {
	env := environment{"ALIBABA_CLOUD_ACCESS_KEY_ID": cloudfake.AliyunKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloudfake.AliyunKeySecret}
	badEnv := environment{"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAInone", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "leaked-if-seen"}
	for name, c := range map[string]struct {
		env      environment
		file     string // "": none
		metadata bool   // a machine with a role
		change   func(*aliyun.CredentialOptions)
		denied   bool
	}{
		"environment":                    {env: env},
		"environment before file":        {env: env, file: "[default]\n" + badKey, metadata: true},
		"file":                           {file: "[default]\nenable = true\ntype = access_key\n" + goodKey},
		"file before the machine's role": {file: "[default]\n" + badKey, metadata: true, denied: true},
		"profile by environment":         {env: environment{"ALIBABA_CLOUD_PROFILE": "ops"}, file: "[default]\n" + badKey + "[ops]\n" + goodKey},
		"profile by option":              {env: badEnv, file: "[default]\n" + badKey + "[ops]\n" + goodKey, change: func(o *aliyun.CredentialOptions) { o.Profile = "ops" }},
		"profile that is not there":      {env: env, file: "[default]\n" + goodKey, change: func(o *aliyun.CredentialOptions) { o.Profile = "ops" }, denied: true},
		"profile that is not enabled":    {file: "[default]\nenable = false\n" + goodKey, denied: true},
		"profile of another type":        {file: "[default]\ntype = bearer\n" + goodKey, denied: true},
		"role of the machine":            {metadata: true},
		"role by its name":               {env: environment{"ALIBABA_CLOUD_ECS_METADATA": cloudfake.AliyunRole}, metadata: true},
		"role that is another's":         {env: environment{"ALIBABA_CLOUD_ECS_METADATA": "other"}, metadata: true, denied: true},
		"metadata switched off":          {env: environment{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}, metadata: true, denied: true},
		"role of the machine by profile": {file: "[default]\ntype = ecs_ram_role\nrole_name = " + cloudfake.AliyunRole + "\n", metadata: true},
		"assumed role by profile":        {file: "[default]\ntype = ram_role_arn\nrole_arn = acs:ram::1:role/x\n" + goodKey},
		"assumed role":                   {env: env, change: func(o *aliyun.CredentialOptions) { o.RoleARN, o.ExternalID = "acs:ram::1:role/x", "e" }},
		"assumed role, by the machine's": {metadata: true, change: func(o *aliyun.CredentialOptions) { o.RoleARN = "acs:ram::1:role/x" }},
		"assumed role that there is not": {env: env, change: func(o *aliyun.CredentialOptions) { o.RoleARN = "none" }, denied: true},
		"assumed with a bad key":         {env: badEnv, change: func(o *aliyun.CredentialOptions) { o.RoleARN = "acs:ram::1:role/x" }, denied: true},
		"half an access key":             {env: environment{"ALIBABA_CLOUD_ACCESS_KEY_ID": "x"}, metadata: true, denied: true},
		"nothing":                        {denied: true},
	} {
		t.Run(name, func(t *testing.T) {
			get := environment{"HOME": t.TempDir()}
			for k, v := range c.env {
				get[k] = v
			}
			if c.file != "" {
				write(t, filepath.Join(get["HOME"], ".alibabacloud", "credentials"), c.file)
			}
			w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) {
				o.Credentials.Getenv = get.get
				if !c.metadata {
					o.Credentials.Metadata = nobody
				}
				if c.change != nil {
					c.change(&o.Credentials)
				}
			})
			_, err := w.d.List(t.Context(), nil)
			switch {
			case !c.denied && err != nil:
				t.Errorf("List: %v", err)
			case c.denied && err == nil:
				t.Error("List is granted, want an error")
			case c.denied && strings.Contains(err.Error(), "leaked-if-seen"):
				t.Errorf("a secret is told: %v", err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNoCredentialsIsToldToAPerson(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) {
		o.Credentials = aliyun.CredentialOptions{Getenv: environment{"HOME": t.TempDir()}.get, Metadata: nobody}
	})
	_, err := w.d.Create(t.Context(), w.request(1))
	wantKind(t, "Create without credentials", err, cloud.Auth)
	if !strings.Contains(err.Error(), "ALIBABA_CLOUD_ACCESS_KEY_ID") {
		t.Errorf("error %q does not say what to set", err)
	}
	if calls := w.fake.Calls(); len(calls) != 0 {
		t.Errorf("calls without credentials: %v", calls)
	}
}

func TestTemporaryCredentialsAreRenewed(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Credentials.RoleARN = "acs:ram::1:role/x" })
	list := func() {
		t.Helper()
		if _, err := w.d.List(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	list()
	list()
	if n := w.fake.Calls()["aliyun AssumeRole"]; n != 1 {
		t.Errorf("%d roles assumed for two calls, want 1", n)
	}
	w.clock.Advance(56 * time.Minute) // of 60
	list()
	if n := w.fake.Calls()["aliyun AssumeRole"]; n != 2 {
		t.Errorf("%d roles assumed shortly before the end of the first, want 2", n)
	}
	w.clock.Advance(10 * time.Hour)
	list()
}

// cut answers nothing for calls of one action.
type cut struct{ action string }

func (c *cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("x-acs-action") == c.action {
		return nil, errors.New("no route")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestOldCredentialsServeUntilTheyExpire(t *testing.T) {
	way := &cut{}
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) {
		o.Credentials.RoleARN = "acs:ram::1:role/x"
		o.Client = &http.Client{Transport: way}
	})
	if _, err := w.d.List(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	way.action = "AssumeRole"
	w.clock.Advance(57 * time.Minute)
	if _, err := w.d.List(t.Context(), nil); err != nil {
		t.Errorf("List while STS is away and the old credentials are valid: %v", err)
	}
	w.clock.Advance(5 * time.Minute)
	_, err := w.d.List(t.Context(), nil)
	wantKind(t, "List with expired credentials", err, cloud.Transient)
	way.action = ""
	if _, err := w.d.List(t.Context(), nil); err != nil {
		t.Errorf("List once STS is back: %v", err)
	}
}

func TestRefusedCredentialsAreLookedForAgain(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".alibabacloud", "credentials")
	write(t, file, "[default]\n"+badKey)
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Credentials.Getenv = environment{"HOME": home}.get })
	_, err := w.d.List(t.Context(), nil)
	wantKind(t, "List with a bad key", err, cloud.Auth)
	write(t, file, "[default]\n"+goodKey)
	if _, err := w.d.List(t.Context(), nil); err != nil {
		t.Errorf("List once the file was mended: %v", err)
	}
}

func TestAClockThatIsOffIsToldOf(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	o := w.options()
	o.Now = func() time.Time { return w.clock.Now().Add(time.Hour) }
	d, err := aliyun.New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.List(t.Context(), nil)
	wantKind(t, "List with a clock an hour ahead", err, cloud.Auth)
	if !strings.Contains(err.Error(), "clock") {
		t.Errorf("error %q does not name the clock", err)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	held := aliyun.NewCredentials("LTAI5tVisible", "the-secret", "the-token")
	text := fmt.Sprintf("%v %+v %#v %s %q %d %x", held, held, held, held, held, held, held)
	text += fmt.Sprintf("%v %+v %#v", &held, &held, struct{ C aliyun.Credentials }{held})
	text += held.LogValue().String()
	for _, hidden := range []string{"the-secret", "the-token", "Visible", "7468652d"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is printed: %s", hidden, text)
		}
	}
	if !strings.Contains(text, "LTAI***") {
		t.Errorf("the key cannot be told from others: %s", text)
	}
}

func TestEndedContextSignsNothing(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.Credentials.RoleARN = "acs:ram::1:role/x" })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.d.Create(ctx, w.request(1))
	wantKind(t, "Create with an ended context", err, cloud.Transient)
}
