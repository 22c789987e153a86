package ec2_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/ec2"
)

// file writes a file of the shared ones, or a token.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noKeys takes the user's keys out of the environment.
func noKeys(env map[string]string) {
	delete(env, "AWS_ACCESS_KEY_ID")
	delete(env, "AWS_SECRET_ACCESS_KEY")
}

func keysOf(w *world) string {
	return "aws_access_key_id = " + w.wire.KeyID + "\naws_secret_access_key = " + w.wire.Secret + "\n"
}

const roleARN = "arn:aws:iam::123456789012:role/scaler"

func TestCredentialsAreFound(t *testing.T) {
	wire := cloudfake.EC2Options{ExternalID: "ours", IdentityToken: "a-token"}
	for _, c := range []struct {
		name  string
		env   func(*testing.T, *world, map[string]string)
		o     func(*ec2.Options)
		calls []string // to others than EC2
	}{
		{name: "environment"},
		{name: "environment before files", env: func(t *testing.T, _ *world, env map[string]string) {
			env["AWS_SHARED_CREDENTIALS_FILE"] = file(t, "credentials", "[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n")
		}},
		{name: "credentials file", env: func(t *testing.T, w *world, env map[string]string) {
			noKeys(env)
			env["AWS_SHARED_CREDENTIALS_FILE"] = file(t, "credentials", "[default]\n"+keysOf(w))
		}},
		{name: "AWS_PROFILE of the config file", env: func(t *testing.T, w *world, env map[string]string) {
			noKeys(env)
			env["AWS_PROFILE"] = "ops"
			env["AWS_CONFIG_FILE"] = file(t, "config", "[profile ops]\n"+keysOf(w))
		}},
		{name: "a profile that was asked for, before the environment", env: func(t *testing.T, w *world, env map[string]string) {
			env["AWS_ACCESS_KEY_ID"] = "AKIAWRONG"
			env["AWS_SHARED_CREDENTIALS_FILE"] = file(t, "credentials", "[ops]\n"+keysOf(w))
		}, o: func(o *ec2.Options) { o.Profile = "ops" }},
		{name: "a profile's role", env: func(t *testing.T, w *world, env map[string]string) {
			noKeys(env)
			env["AWS_CONFIG_FILE"] = file(t, "config", "[profile ops]\nrole_arn = "+roleARN+"\nexternal_id = ours\nsource_profile = base\n")
			env["AWS_SHARED_CREDENTIALS_FILE"] = file(t, "credentials", "[base]\n"+keysOf(w))
		}, o: func(o *ec2.Options) { o.Profile = "ops" }, calls: []string{"sts AssumeRole"}},
		{name: "a profile that is its own source", env: func(t *testing.T, w *world, env map[string]string) {
			noKeys(env)
			env["AWS_SHARED_CREDENTIALS_FILE"] = file(t, "credentials", "[ops]\nrole_arn = "+roleARN+"\nexternal_id = ours\nsource_profile = ops\n"+keysOf(w))
		}, o: func(o *ec2.Options) { o.Profile = "ops" }, calls: []string{"sts AssumeRole"}},
		{name: "a profile's role by the environment", env: func(t *testing.T, _ *world, env map[string]string) {
			env["AWS_CONFIG_FILE"] = file(t, "config", "[profile ops]\nrole_arn = "+roleARN+"\nexternal_id = ours\ncredential_source = Environment\n")
		}, o: func(o *ec2.Options) { o.Profile = "ops" }, calls: []string{"sts AssumeRole"}},
		{name: "a role in our own configuration", o: func(o *ec2.Options) { o.RoleARN, o.ExternalID = roleARN, "ours" }, calls: []string{"sts AssumeRole"}},
		{name: "web identity", env: func(t *testing.T, _ *world, env map[string]string) {
			noKeys(env)
			env["AWS_WEB_IDENTITY_TOKEN_FILE"], env["AWS_ROLE_ARN"] = file(t, "token", "a-token\n"), roleARN
		}, calls: []string{"sts AssumeRoleWithWebIdentity"}},
		{name: "container", env: func(t *testing.T, w *world, env map[string]string) {
			noKeys(env)
			env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = w.wire.Metadata + cloudfake.ContainerPath
			env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file(t, "token", cloudfake.ContainerToken+"\n")
		}, calls: []string{"imds GET " + cloudfake.ContainerPath}},
		{name: "instance role", env: func(_ *testing.T, _ *world, env map[string]string) { noKeys(env) }, calls: []string{
			"imds GET /latest/meta-data/iam/security-credentials/",
			"imds GET /latest/meta-data/iam/security-credentials/" + cloudfake.RoleName, "imds PUT /latest/api/token",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, change{
				wire: wire,
				env: func(w *world, env map[string]string) {
					if c.env != nil {
						c.env(t, w, env)
					}
				},
				options: func(_ *world, o *ec2.Options) {
					if c.o != nil {
						c.o(o)
					}
				},
			})
			for range 2 { // the second call needs no new keys
				if _, err := w.driver.List(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := others(w); !slices.Equal(got, c.calls) {
				t.Errorf("calls for keys: %v, want %v", got, c.calls)
			}
		})
	}
}

// others are the calls to other services than EC2. None was made twice.
func others(w *world) (calls []string) {
	for call, n := range w.server.Calls() {
		if !strings.HasPrefix(call, "ec2 ") {
			for range n {
				calls = append(calls, call)
			}
		}
	}
	slices.Sort(calls)
	return calls
}

func TestCredentialsThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name string
		env  func(*world, map[string]string)
		o    func(*ec2.Options)
		want cloud.Kind
	}{
		{"an unknown key", func(_ *world, env map[string]string) { env["AWS_ACCESS_KEY_ID"] = "AKIAWRONG" }, nil, cloud.Auth},
		{"a wrong secret", func(_ *world, env map[string]string) { env["AWS_SECRET_ACCESS_KEY"] = "secret-that-is-wrong" }, nil, cloud.Auth},
		{"a wrong session", func(_ *world, env map[string]string) { env["AWS_SESSION_TOKEN"] = "secret-session" }, nil, cloud.Auth},
		{"another region", nil, func(o *ec2.Options) { o.Region = "eu-central-1" }, cloud.Auth},
		{"a clock that is wrong", nil, func(o *ec2.Options) { o.Now = func() time.Time { return start.Add(-time.Hour) } }, cloud.Auth},
		{"a profile there is not", nil, func(o *ec2.Options) { o.Profile = "none" }, cloud.Auth},
		{"profiles that go round", func(w *world, env map[string]string) {
			env["AWS_CONFIG_FILE"] = w.path
		}, func(o *ec2.Options) { o.Profile = "a" }, cloud.Auth},
		{"a role that refuses", nil, func(o *ec2.Options) { o.RoleARN, o.ExternalID = roleARN, "secret-id" }, cloud.Auth},
		{"no keys anywhere", func(_ *world, env map[string]string) {
			noKeys(env)
			env["AWS_EC2_METADATA_DISABLED"] = "true"
		}, nil, cloud.Auth},
		{"an agent that must not see the token", func(_ *world, env map[string]string) {
			noKeys(env)
			env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "http://192.0.2.1/", "secret"
		}, nil, cloud.Auth},
		{"a machine that does not answer", func(_ *world, env map[string]string) {
			noKeys(env)
			env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1"
		}, nil, cloud.Transient},
		{"STS does not answer", func(_ *world, env map[string]string) { env["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:1" }, func(o *ec2.Options) { o.RoleARN = roleARN }, cloud.Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, change{wire: cloudfake.EC2Options{ExternalID: "ours"}, env: c.env, options: func(_ *world, o *ec2.Options) {
				if c.o != nil {
					c.o(o)
				}
			}})
			_, err := w.driver.Create(t.Context(), order("o-1", 1))
			if err == nil || cloud.KindOf(err) != c.want {
				t.Errorf("Create: %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "secret-") || strings.Contains(err.Error(), w.wire.Secret) {
				t.Errorf("the error shows a secret: %v", err)
			}
			if made := w.cloud.Made(cloud.TagOrder); len(made) != 0 {
				t.Errorf("made %v", made)
			}
		})
	}
}

// Keys are fetched anew before they expire, once for all who call, and serve
// to their end if that fails.
func TestKeysAreFetchedAnew(t *testing.T) {
	w := open(t, change{wire: cloudfake.EC2Options{KeysLife: time.Hour}, env: func(_ *world, env map[string]string) { noKeys(env) }})
	fetched := func() int {
		return w.server.Calls()["imds GET /latest/meta-data/iam/security-credentials/"+cloudfake.RoleName]
	}
	list := func(ctx context.Context) {
		t.Helper()
		if _, err := w.driver.List(ctx, nil); err != nil {
			t.Error(err)
		}
	}
	atOnce := func() {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { list(t.Context()) })
		}
		wg.Wait()
	}
	atOnce()
	w.clock.Advance(54 * time.Minute)
	list(t.Context())
	if fetched() != 1 {
		t.Errorf("fetched %d times, want once", fetched())
	}
	w.clock.Advance(90 * time.Second)
	atOnce()
	if fetched() != 2 {
		t.Errorf("fetched %d times when they are about to expire, want twice", fetched())
	}
	w.wire.Revoke()
	list(t.Context()) // refused once, then with new keys
	if fetched() != 3 {
		t.Errorf("fetched %d times after they were revoked, want three times", fetched())
	}
}
