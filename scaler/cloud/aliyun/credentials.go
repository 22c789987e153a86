package aliyun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"spillway/scaler/cloud"
)

// CredentialOptions say where credentials come from. With the zero value it is
// the vendor's own order:
//
//  1. ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, for
//     temporary ones, ALIBABA_CLOUD_SECURITY_TOKEN
//  2. the profile (ALIBABA_CLOUD_PROFILE, or default) of the file
//     ALIBABA_CLOUD_CREDENTIALS_FILE, or ~/.alibabacloud/credentials, if there is one
//  3. the RAM role of this machine (its name in ALIBABA_CLOUD_ECS_METADATA, or
//     asked for), unless ALIBABA_CLOUD_ECS_METADATA_DISABLED is true
type CredentialOptions struct {
	// Profile of the file: then nothing else is looked at.
	Profile string
	// RoleARN is a role to assume with what was found.
	RoleARN, ExternalID string
	// STS and Metadata are URLs; "" are https://sts.REGION.aliyuncs.com and
	// http://100.100.100.200.
	STS, Metadata string
	Getenv        func(string) string // nil: os.Getenv
}

// Credentials are an access key, and a security token if they are temporary.
// They print without their secrets.
type Credentials struct {
	keyID   string
	secret  secret
	token   secret
	expires time.Time // zero: never
}

// secret is text that no format verb, JSON or log shows.
type secret string

const masked = "***"

func (secret) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, masked) }
func (secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// String shows the beginning of the key's id alone.
func (c Credentials) String() string {
	return "access key " + c.keyID[:min(4, len(c.keyID))] + masked
}

// Format is String for every verb, and LogValue too.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }
func (c Credentials) LogValue() slog.Value       { return slog.StringValue(c.String()) }

func (c *Credentials) check() error {
	if c.keyID == "" || c.secret == "" {
		return errors.New("it has no access key id or no secret")
	}
	return nil
}

// source is one place where credentials come from. errNone: not there.
type source func(ctx context.Context) (Credentials, error)

var errNone = errors.New("there are none")

const (
	// refreshAhead is how long before they expire credentials are replaced.
	// RAM roles' last for hours, and those of STS at least 15 minutes.
	refreshAhead = 5 * time.Minute
	fetchTime    = 20 * time.Second
)

// keyring has the credentials that are valid now. One caller at a time fetches
// new ones; the others wait, for what they would sign with is about to expire.
type keyring struct {
	fetch source
	now   func() time.Time

	turn chan struct{} // holds one value while somebody has held
	held Credentials
}

func newRing(fetch source, now func() time.Time) *keyring {
	return &keyring{fetch: fetch, now: now, turn: make(chan struct{}, 1)}
}

func newKeyring(o *Options) (*keyring, error) {
	fetch, err := sources(o)
	if err != nil {
		return nil, err
	}
	if o.Credentials.RoleARN != "" {
		fetch = assumed(o, newRing(fetch, o.Now))
	}
	return newRing(fetch, o.Now), nil
}

// get returns valid credentials. If new ones cannot be had, old ones are good
// until they expire.
func (k *keyring) get(ctx context.Context) (Credentials, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	}
	if k.valid(refreshAhead) {
		return k.held, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	fresh, err := k.fetch(ctx)
	if err == nil {
		k.held = fresh
		return fresh, nil
	}
	if k.valid(0) {
		return k.held, nil
	}
	return Credentials{}, err
}

func (k *keyring) valid(ahead time.Duration) bool {
	if k.held.keyID == "" {
		return false
	}
	return k.held.expires.IsZero() || k.now().Add(ahead).Before(k.held.expires)
}

// doubt forgets credentials that were refused, so that the next call looks for
// others: files and roles change while a scaler runs.
func (k *keyring) doubt(used Credentials, e *cloud.Error) {
	if e.Kind != cloud.Auth || e.What == "permission" {
		return
	}
	k.turn <- struct{}{} // nobody has it for longer than fetchTime
	defer func() { <-k.turn }()
	if k.held == used {
		k.held = Credentials{}
	}
}

// sources is where credentials are looked for, in order.
func sources(o *Options) (source, error) {
	c := &o.Credentials
	file, given := credentialFile(c.Getenv)
	if c.Profile != "" {
		return fileSource(o, file, c.Profile), nil
	}
	profile := c.Getenv("ALIBABA_CLOUD_PROFILE")
	if profile == "" {
		profile = "default"
	}
	list := []source{envSource(c.Getenv)}
	if _, err := os.Stat(file); err == nil || given {
		list = append(list, fileSource(o, file, profile))
	}
	if c.Getenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED") != "true" {
		list = append(list, machineRole(o, c.Getenv("ALIBABA_CLOUD_ECS_METADATA")))
	}
	return inOrder(list), nil
}

// inOrder asks one source after the other until one has any. One that is there
// and cannot be used ends the search: the next would be another account.
func inOrder(list []source) source {
	return func(ctx context.Context) (Credentials, error) {
		for _, s := range list {
			c, err := s(ctx)
			if !errors.Is(err, errNone) {
				return c, err
			}
		}
		return Credentials{}, &cloud.Error{Kind: cloud.Auth, What: "credentials", Err: errors.New(
			"there are none in the environment (ALIBABA_CLOUD_ACCESS_KEY_ID), in a credentials file, or of a RAM role of this machine")}
	}
}

func envSource(getenv func(string) string) source {
	return func(context.Context) (Credentials, error) {
		c := Credentials{
			keyID:  getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
			secret: secret(getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")),
			token:  secret(getenv("ALIBABA_CLOUD_SECURITY_TOKEN")),
		}
		if c.keyID == "" && c.secret == "" {
			return c, errNone
		}
		if err := c.check(); err != nil {
			return c, unusable("the environment's access key", err)
		}
		return c, nil
	}
}

func credentialFile(getenv func(string) string) (path string, given bool) {
	if path = getenv("ALIBABA_CLOUD_CREDENTIALS_FILE"); path != "" {
		return path, true
	}
	return filepath.Join(getenv("HOME"), ".alibabacloud", "credentials"), false
}

// unusable is the error of credentials that a person must look at.
func unusable(what string, err error) error {
	return &cloud.Error{Kind: cloud.Auth, What: "credentials", Err: fmt.Errorf("cannot use %s: %w", what, err)}
}

// assumed exchanges credentials for those of a role.
func assumed(o *Options, base *keyring) source {
	endpoint := o.Credentials.STS
	if endpoint == "" {
		endpoint = "https://sts." + o.Region + ".aliyuncs.com"
	}
	sts := &client{endpoint: endpoint, version: "2015-04-01", http: direct(o.Client), now: o.Now, keys: base}
	return func(ctx context.Context) (Credentials, error) {
		return assume(ctx, sts, o.Credentials.RoleARN, o.Credentials.ExternalID)
	}
}

// temporary is how STS and a machine's metadata write credentials.
type temporary struct {
	AccessKeyID     string `json:"AccessKeyId"`
	AccessKeySecret secret
	SecurityToken   secret
	Expiration      time.Time
}

func (t *temporary) credentials() (Credentials, error) {
	c := Credentials{keyID: t.AccessKeyID, secret: t.AccessKeySecret, token: t.SecurityToken, expires: t.Expiration}
	if err := c.check(); err != nil {
		return Credentials{}, err
	}
	return c, nil
}

// assume is AssumeRole of STS, for an hour.
func assume(ctx context.Context, sts *client, role, externalID string) (Credentials, error) {
	params := url.Values{"RoleArn": {role}, "RoleSessionName": {"spillway"}, "DurationSeconds": {"3600"}}
	if externalID != "" {
		params.Set("ExternalId", externalID)
	}
	var answer struct{ Credentials temporary }
	if err := sts.call(ctx, cloud.OpList, "AssumeRole", params, &answer); err != nil {
		return Credentials{}, err
	}
	c, err := answer.Credentials.credentials()
	if err != nil {
		return c, unusable("what STS answered", err)
	}
	return c, nil
}
