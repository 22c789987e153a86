package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// chain finds keys where the vendor's tools do, and in their order
// ("Configuration and credential precedence", AWS CLI User Guide):
//
//	Options.Profile, if given                      --.
//	AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY         |
//	AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN        |  first that
//	AWS_PROFILE or "default" of the shared files     |- is there
//	AWS_CONTAINER_CREDENTIALS_{RELATIVE,FULL}_URI    |
//	instance role (IMDSv2)                         --'
//	                                   |
//	                                   v
//	                    Options.RoleARN: STS AssumeRole with them
//
// One that is there and fails is an error: the next one might be another
// account.
type chain struct {
	o   *Options
	api *client // how services are reached

	// bare makes the calls to the container and the machine: they are on this
	// computer, and no proxy is asked.
	bare *http.Client
}

const metadataTimeout = 5 * time.Second

func newChain(o *Options, api *client) *chain {
	return &chain{o: o, api: api, bare: &http.Client{
		Timeout:       metadataTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *chain) env(name string) string { return c.o.Getenv(name) }

// find is the source of the driver's keys.
func (c *chain) find(ctx context.Context) (keys, error) {
	k, err := c.first(ctx)
	if err != nil || c.o.RoleARN == "" {
		return k, err
	}
	return c.assume(ctx, k, role{arn: c.o.RoleARN, externalID: c.o.ExternalID})
}

func (c *chain) first(ctx context.Context) (keys, error) {
	if c.o.Profile != "" {
		return c.profile(ctx, c.o.Profile)
	}
	if k := c.environment(); k.valid() {
		return k, nil
	}
	if file := c.env("AWS_WEB_IDENTITY_TOKEN_FILE"); file != "" {
		return c.webIdentity(ctx, file, role{arn: c.env("AWS_ROLE_ARN"), session: c.env("AWS_ROLE_SESSION_NAME")})
	}
	k, err := c.profile(ctx, cmp.Or(c.env("AWS_PROFILE"), "default"))
	if !errors.Is(err, errNoProfile) || c.env("AWS_PROFILE") != "" {
		return k, err
	}
	if c.inContainer() {
		return c.container(ctx)
	}
	if strings.EqualFold(c.env("AWS_EC2_METADATA_DISABLED"), "true") {
		return keys{}, errors.New("no environment, no profile, no container, and the machine's role must not be asked for")
	}
	return c.instance(ctx)
}

func (c *chain) environment() keys {
	return keys{
		id: c.env("AWS_ACCESS_KEY_ID"), secret: hide(c.env("AWS_SECRET_ACCESS_KEY")),
		session: hide(c.env("AWS_SESSION_TOKEN")),
	}
}

// errNoProfile: the files do not have the profile at all.
var errNoProfile = errors.New("no such profile")

// profile are the keys of a profile of the shared files, which may be those of
// a role that is assumed with another's.
func (c *chain) profile(ctx context.Context, name string) (keys, error) {
	files, err := c.readFiles()
	if err != nil {
		return keys{}, err
	}
	return c.ofProfile(ctx, files, name, nil)
}

// ofProfile follows sources. path are the profiles on the way here: one that
// comes back to itself means its own keys.
func (c *chain) ofProfile(ctx context.Context, files profiles, name string, path []string) (keys, error) {
	p, ok := files[name]
	if !ok {
		return keys{}, fmt.Errorf("profile %q: %w", name, errNoProfile)
	}
	again := slices.Contains(path, name)
	if p["role_arn"] != "" && !again {
		return c.ofRole(ctx, files, name, p, path)
	}
	k := keys{
		id: p["aws_access_key_id"], secret: hide(p["aws_secret_access_key"]),
		session: hide(p["aws_session_token"]),
	}
	if k.valid() {
		return k, nil
	}
	if again {
		return keys{}, fmt.Errorf("profile %q is its own source", name)
	}
	for _, key := range []string{"credential_process", "sso_session", "sso_start_url"} {
		if p[key] != "" {
			return keys{}, fmt.Errorf("profile %q has %s, which is not supported here: use keys, a role or the environment", name, key)
		}
	}
	return keys{}, fmt.Errorf("profile %q has no keys: %w", name, errNoProfile)
}

func (c *chain) ofRole(ctx context.Context, files profiles, name string, p map[string]string, path []string) (keys, error) {
	r := role{arn: p["role_arn"], externalID: p["external_id"], session: p["role_session_name"]}
	if file := p["web_identity_token_file"]; file != "" {
		return c.webIdentity(ctx, file, r)
	}
	k, err := c.baseOf(ctx, files, name, p, path)
	if err != nil {
		return keys{}, err
	}
	return c.assume(ctx, k, r)
}

// baseOf are the keys with which a profile's role is assumed.
func (c *chain) baseOf(ctx context.Context, files profiles, name string, p map[string]string, path []string) (keys, error) {
	if from := p["source_profile"]; from != "" {
		return c.ofProfile(ctx, files, from, append(path, name))
	}
	switch p["credential_source"] {
	case "Environment":
		return c.environment(), nil
	case "EcsContainer":
		return c.container(ctx)
	case "Ec2InstanceMetadata":
		return c.instance(ctx)
	}
	return keys{}, fmt.Errorf("profile %q has a role and neither source_profile nor credential_source", name)
}

// role is what STS is asked for.
type role struct{ arn, externalID, session string }

// roleLife is the longest that every role grants ("AssumeRole").
const roleLife = time.Hour

func (r role) form() url.Values {
	form := url.Values{
		"RoleArn":         {r.arn},
		"RoleSessionName": {cmp.Or(r.session, "spillway")},
		"DurationSeconds": {fmt.Sprint(int(roleLife.Seconds()))},
	}
	if r.externalID != "" {
		form.Set("ExternalId", r.externalID)
	}
	return form
}

// stsAnswer holds the keys of AssumeRole and AssumeRoleWithWebIdentity.
type stsAnswer struct {
	Role     stsKeys `xml:"AssumeRoleResult>Credentials"`
	Identity stsKeys `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
}

type stsKeys struct {
	ID         string `xml:"AccessKeyId"`
	Secret     secret `xml:"SecretAccessKey"`
	Session    secret `xml:"SessionToken"`
	Expiration string `xml:"Expiration"`
}

func (k stsKeys) keys() (keys, error) {
	return dated(keys{id: k.ID, secret: k.Secret, session: k.Session}, k.Expiration)
}

// dated gives keys their end.
func dated(k keys, expiration string) (keys, error) {
	at, err := time.Parse(time.RFC3339, expiration)
	if err != nil {
		return keys{}, fmt.Errorf("cannot read when keys expire: %w", err)
	}
	k.expires = at
	return k, nil
}

// assume asks STS for the keys of a role, signed with k.
func (c *chain) assume(ctx context.Context, k keys, r role) (keys, error) {
	sts, err := c.sts()
	if err != nil {
		return keys{}, err
	}
	sts.keys = &vault{
		source: func(context.Context) (keys, error) { return k, nil },
		now:    c.o.Now, turn: make(chan struct{}, 1),
	}
	var a stsAnswer
	if err := sts.call(ctx, "AssumeRole", r.form(), &a); err != nil {
		return keys{}, fmt.Errorf("cannot assume role %s: %w", r.arn, err)
	}
	return a.Role.keys()
}

// webIdentity trades the token in a file for the keys of a role. The request
// is not signed: the token is what it is believed for.
func (c *chain) webIdentity(ctx context.Context, file string, r role) (keys, error) {
	token, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return keys{}, fmt.Errorf("cannot read the identity token: %w", err)
	}
	sts, err := c.sts()
	if err != nil {
		return keys{}, err
	}
	form := r.form()
	form.Set("WebIdentityToken", strings.TrimSpace(string(token)))
	var a stsAnswer
	if err := sts.call(ctx, "AssumeRoleWithWebIdentity", form, &a); err != nil {
		return keys{}, fmt.Errorf("cannot assume role %s: %w", r.arn, err)
	}
	return a.Identity.keys()
}

// sts is a client of the Security Token Service of the region.
func (c *chain) sts() (*client, error) {
	endpoint, err := parseEndpoint(cmp.Or(c.env("AWS_ENDPOINT_URL_STS"), c.env("AWS_ENDPOINT_URL"), serviceURL("sts", c.o.Region)))
	if err != nil {
		return nil, err
	}
	sts := *c.api
	sts.service, sts.version, sts.endpoint, sts.keys = "sts", "2011-06-15", endpoint, nil
	return &sts, nil
}
