package openstack

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// Secret is a text that nothing prints: not fmt, not JSON, not a log.
type Secret string

const mask = "(secret)"

// Format implements fmt.Formatter, for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Credentials are Keystone's address and one way to log in: an application
// credential, a token, or a user's password. The first that is set counts. An
// application credential needs no project, nor does a token that has one.
type Credentials struct {
	URL string // with its version, such as https://keystone.example.com:5000/v3

	ApplicationID, ApplicationName string
	ApplicationSecret              Secret

	Token Secret

	User, UserID       string
	Password           Secret
	UserDomain         string // name
	UserDomainID       string
	Project, ProjectID string
	ProjectDomain      string // name
	ProjectDomainID    string
	Interface          string // of the catalog: "public", "internal", "admin"
	Region, CAFile     string
}

// account is where and as whom to log in.
type account struct {
	auth     gophercloud.AuthOptions
	endpoint gophercloud.EndpointOpts
	tls      *tls.Config // nil: the system's
}

// find looks in the order of the vendor's tools: what is given, a cloud of
// clouds.yaml (and secure.yaml beside it), the environment.
func (o *Options) find() (account, error) {
	if o.Auth.URL != "" {
		return o.Auth.account()
	}
	if name := cmp.Or(o.Cloud, o.Getenv("OS_CLOUD")); name != "" {
		return o.fromFile(name)
	}
	c := fromEnvironment(o.Getenv)
	if c.URL == "" {
		return account{}, errors.New("no credentials: neither given, nor a cloud of clouds.yaml (OS_CLOUD), nor OS_AUTH_URL")
	}
	return c.account()
}

func (o *Options) fromFile(name string) (account, error) {
	options := []clouds.ParseOption{clouds.WithCloudName(name)}
	if file := cmp.Or(o.CloudsFile, o.Getenv("OS_CLIENT_CONFIG_FILE")); file != "" {
		options = append(options, clouds.WithLocations(file))
	}
	auth, endpoint, trust, err := clouds.Parse(options...)
	if err != nil {
		return account{}, fmt.Errorf("cannot read cloud %q of clouds.yaml: %w", name, err)
	}
	if auth.IdentityEndpoint == "" {
		return account{}, fmt.Errorf("cloud %q of clouds.yaml has no auth_url", name)
	}
	return account{lasting(auth), endpoint, trust}, nil
}

// fromEnvironment reads what an openrc file sets.
func fromEnvironment(env func(string) string) Credentials {
	return Credentials{
		URL:           env("OS_AUTH_URL"),
		ApplicationID: env("OS_APPLICATION_CREDENTIAL_ID"), ApplicationName: env("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationSecret: Secret(env("OS_APPLICATION_CREDENTIAL_SECRET")),
		Token:             Secret(env("OS_TOKEN")),
		User:              env("OS_USERNAME"), UserID: cmp.Or(env("OS_USER_ID"), env("OS_USERID")), Password: Secret(env("OS_PASSWORD")),
		UserDomain:    cmp.Or(env("OS_USER_DOMAIN_NAME"), env("OS_DOMAIN_NAME")),
		UserDomainID:  cmp.Or(env("OS_USER_DOMAIN_ID"), env("OS_DOMAIN_ID")),
		Project:       cmp.Or(env("OS_PROJECT_NAME"), env("OS_TENANT_NAME")),
		ProjectID:     cmp.Or(env("OS_PROJECT_ID"), env("OS_TENANT_ID")),
		ProjectDomain: env("OS_PROJECT_DOMAIN_NAME"), ProjectDomainID: env("OS_PROJECT_DOMAIN_ID"),
		Interface: env("OS_INTERFACE"), Region: env("OS_REGION_NAME"), CAFile: env("OS_CACERT"),
	}
}

func (c *Credentials) account() (account, error) {
	auth := gophercloud.AuthOptions{IdentityEndpoint: c.URL}
	switch {
	case c.ApplicationSecret != "":
		auth.ApplicationCredentialID, auth.ApplicationCredentialName = c.ApplicationID, c.ApplicationName
		auth.ApplicationCredentialSecret = string(c.ApplicationSecret)
		c.setUser(&auth)
	case c.Token != "":
		auth.TokenID, auth.Scope = string(c.Token), c.scope()
	case c.Password != "":
		auth.Password, auth.Scope = string(c.Password), c.scope()
		c.setUser(&auth)
	default:
		return account{}, errors.New("neither an application credential, nor a token, nor a password")
	}
	trust, err := trusting(c.CAFile)
	if err != nil {
		return account{}, err
	}
	return account{lasting(auth), gophercloud.EndpointOpts{Region: c.Region, Availability: availability(c.Interface)}, trust}, nil
}

// setUser says who; an application credential with an id says so itself.
func (c *Credentials) setUser(auth *gophercloud.AuthOptions) {
	if auth.ApplicationCredentialID != "" {
		return
	}
	if c.UserID != "" {
		auth.UserID = c.UserID
		return
	}
	auth.Username, auth.DomainID = c.User, c.UserDomainID
	if auth.DomainID == "" {
		auth.DomainName = cmp.Or(c.UserDomain, "Default")
	}
}

func (c *Credentials) scope() *gophercloud.AuthScope {
	switch {
	case c.ProjectID != "":
		return &gophercloud.AuthScope{ProjectID: c.ProjectID}
	case c.Project != "" && c.ProjectDomainID != "":
		return &gophercloud.AuthScope{ProjectName: c.Project, DomainID: c.ProjectDomainID}
	case c.Project != "":
		return &gophercloud.AuthScope{ProjectName: c.Project, DomainName: cmp.Or(c.ProjectDomain, "Default")}
	}
	return nil
}

// lasting lets gophercloud log in again when the token has run out, which a
// token by itself cannot.
func lasting(auth gophercloud.AuthOptions) gophercloud.AuthOptions {
	auth.AllowReauth = auth.TokenID == ""
	return auth
}

func trusting(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
