package ec2

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"spillway/scaler/cloud"
)

// Options are one account in one region and what its machines are made of.
type Options struct {
	// Name of the driver in descriptions and logs; empty: "ec2".
	Name   string
	Region string
	// Endpoint is the URL of the API. Empty: AWS_ENDPOINT_URL_EC2 or
	// AWS_ENDPOINT_URL, else the region's own.
	Endpoint string
	// Profile of the shared files; empty: see credentials.go.
	Profile string
	// Role to assume with whatever credentials are found, and what it asks for.
	RoleARN, ExternalID string
	// Getenv reads the environment; nil: os.Getenv.
	Getenv func(string) string
	// HTTP makes the calls; nil: a client of the driver's own.
	HTTP *http.Client
	Now  func() time.Time // nil: time.Now

	// Kinds are what may be bought.
	Kinds []Kind
	// Image or LaunchTemplate (id or name) is required; with both, the image
	// takes the place of the template's. Version is the template's.
	Image, LaunchTemplate, LaunchTemplateVersion string
	// Subnets by zone: only these zones are bought in. Empty: every zone, in
	// its default subnet.
	Subnets         map[string]string
	SecurityGroups  []string // ids
	KeyName         string
	InstanceProfile string // name or ARN
	// PublicAddress: machines are reached by a public address.
	PublicAddress bool
	// ListLag is Description.ListLag; 0: 30 seconds. EC2 is eventually
	// consistent and promises no time.
	ListLag time.Duration
}

// Kind is an instance type as the account's owner wants it bought. EC2 knows
// its size; the price of an hour it only knows for spot.
type Kind struct {
	Type string
	// Zones to buy it in; empty: all.
	Zones []string
	// PriceHour on demand. It is required: nothing is bought at an unknown
	// price.
	PriceHour float64
	Units     float64 // 0: its virtual processors
	MaxPPS    int
	Spot      bool // bought as spot, at the market's price
}

const (
	apiVersion     = "2016-11-15"
	defaultListLag = 30 * time.Second
	callTimeout    = 60 * time.Second
	idleTimeout    = 30 * time.Second
	// maxBatch is the size of the bucket of instances that RunInstances has
	// ("Request throttling for the Amazon EC2 API").
	maxBatch = 1000
	// userDataMax is the limit before base64 ("Run commands at launch").
	userDataMax = 16 << 10
)

// New makes no call: credentials are looked for with the first one.
func New(o Options) (*Driver, error) {
	o = o.orDefault()
	if err := o.check(); err != nil {
		return nil, err
	}
	endpoint, err := parseEndpoint(cmp.Or(o.Endpoint, o.Getenv("AWS_ENDPOINT_URL_EC2"), o.Getenv("AWS_ENDPOINT_URL"), serviceURL("ec2", o.Region)))
	if err != nil {
		return nil, err
	}
	c := &client{
		service: "ec2", version: apiVersion, endpoint: endpoint, region: o.Region,
		http: o.HTTP, signer: v4.NewSigner(), now: o.Now,
	}
	c.keys = &vault{source: newChain(&o, c).find, now: o.Now, turn: make(chan struct{}, 1)}
	return &Driver{options: o, api: c, recent: newMemory(o.ListLag, o.Now)}, nil
}

func (o Options) orDefault() Options {
	o.Name = cmp.Or(o.Name, "ec2")
	o.ListLag = cmp.Or(o.ListLag, defaultListLag)
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: callTimeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, IdleConnTimeout: idleTimeout, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 16,
		}}
	}
	// An answer that points elsewhere is none: the signature is this host's.
	h := *o.HTTP
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.HTTP = &h
	return o
}

func (o *Options) check() error {
	switch {
	case o.Region == "":
		return errors.New("ec2: no region")
	case o.Image == "" && o.LaunchTemplate == "":
		return errors.New("ec2: neither an image nor a launch template")
	case len(o.Kinds) == 0:
		return errors.New("ec2: no kind of machine to buy")
	}
	for _, k := range o.Kinds {
		if k.Type == "" || k.PriceHour <= 0 {
			return fmt.Errorf("ec2: kind %q has no type or no price of an hour on demand", k.Type)
		}
		for _, zone := range k.Zones {
			if _, ok := o.Subnets[zone]; !ok && len(o.Subnets) > 0 {
				return fmt.Errorf("ec2: kind %q is wanted in zone %q, which has no subnet", k.Type, zone)
			}
		}
	}
	return nil
}

func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("ec2: %q is no URL of an API", text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// serviceURL is where a service of the region answers ("Service endpoints",
// AWS General Reference).
func serviceURL(service, region string) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return "https://" + service + "." + region + "." + domain + "/"
}

// sells reports whether kind k is wanted in a zone.
func (o *Options) sells(k *Kind, zone string) bool {
	if _, ok := o.Subnets[zone]; !ok && len(o.Subnets) > 0 {
		return false
	}
	return len(k.Zones) == 0 || slices.Contains(k.Zones, zone)
}

// kind finds what a request asks for.
func (o *Options) kind(r *cloud.CreateRequest) (*Kind, error) {
	for i := range o.Kinds {
		k := &o.Kinds[i]
		if k.Type != r.Type || k.Spot != r.Spot {
			continue
		}
		if !o.sells(k, r.Zone) {
			return nil, failure(cloud.Invalid, cloud.OpCreate, "zone", fmt.Sprintf("%s is not bought in zone %q", r.Type, r.Zone))
		}
		return k, nil
	}
	return nil, failure(cloud.Invalid, cloud.OpCreate, "type", fmt.Sprintf("%q is not configured (spot %t)", r.Type, r.Spot))
}
