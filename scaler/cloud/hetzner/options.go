package hetzner

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"spillway/scaler/cloud"
)

// Options are one project and what its machines are made of.
type Options struct {
	// Name of the driver in descriptions and logs; empty: "hetzner".
	Name string
	// Endpoint is the URL of the API, with its version. Empty: HCLOUD_ENDPOINT,
	// else the vendor's.
	Endpoint string
	// Token of the project. Empty: TokenFile, or where the vendor's tool looks
	// (credentials.go).
	Token     Secret
	TokenFile string
	// Context is the one of the tool's file to use; empty: HCLOUD_CONTEXT, else
	// the active one.
	Context string
	// Getenv reads the environment; nil: os.Getenv.
	Getenv func(string) string
	// HTTP makes the calls; nil: a client of the driver's own.
	HTTP *http.Client
	Now  func() time.Time // nil: time.Now

	// Kinds are what may be bought; empty: every server type.
	Kinds []Kind
	// Image is the name of a system image, or the id of a snapshot. Required.
	Image string
	// SSHKeys, Firewalls and Network are ids of the project.
	SSHKeys, Firewalls []int64
	// Network is the private network that machines are in and are reached by;
	// 0: they are reached by their public IPv4 address.
	Network int64
	// NoPublicAddress: machines have no public addresses at all, which needs a
	// Network that leads out.
	NoPublicAddress bool
	// RequestsHour is the project's limit; 0: 3,600.
	RequestsHour int
	// ListLag is Description.ListLag; 0: 5 seconds. The vendor promises nothing.
	ListLag time.Duration
}

// Kind is a server type as the project's owner wants it bought. Size and price
// are the vendor's to tell.
type Kind struct {
	Type string
	// Zones are the locations to buy it in; empty: all that have it.
	Zones  []string
	Units  float64 // 0: its cores
	MaxPPS int
}

const (
	defaultRequests = 3600
	defaultListLag  = 5 * time.Second
	callTimeout     = 60 * time.Second
	// userDataMax is the limit of the API ("Create a server").
	userDataMax = 32 << 10
	// maxPage is the most the API puts on a page ("Pagination").
	maxPage = 50
)

// Driver implements cloud.Driver. It is safe for concurrent use.
type Driver struct {
	options Options
	api     *hcloud.Client
}

var _ cloud.Driver = (*Driver)(nil)

// New looks for the token and makes no call.
func New(o Options) (*Driver, error) {
	o = o.orDefault()
	if err := o.check(); err != nil {
		return nil, err
	}
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	o.Token = token
	endpoint := cmp.Or(o.Endpoint, o.Getenv("HCLOUD_ENDPOINT"), hcloud.Endpoint)
	api := hcloud.NewClient(
		hcloud.WithEndpoint(endpoint), hcloud.WithToken(string(token)), hcloud.WithHTTPClient(o.HTTP),
		hcloud.WithApplication("spillway", ""), hcloud.WithRetryOpts(hcloud.RetryOpts{MaxRetries: 0}),
	)
	return &Driver{options: o, api: api}, nil
}

func (o Options) orDefault() Options {
	o.Name = cmp.Or(o.Name, "hetzner")
	o.RequestsHour = cmp.Or(o.RequestsHour, defaultRequests)
	o.ListLag = cmp.Or(o.ListLag, defaultListLag)
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: callTimeout}
	}
	// An answer that points elsewhere is none: the token is for this host.
	h := *o.HTTP
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.HTTP = &h
	return o
}

func (o *Options) check() error {
	switch {
	case o.Image == "":
		return errors.New("hetzner: no image")
	case o.NoPublicAddress && o.Network == 0:
		return errors.New("hetzner: machines with neither a public address nor a network cannot be reached")
	case o.RequestsHour < 0:
		return fmt.Errorf("hetzner: %d requests an hour", o.RequestsHour)
	}
	for _, k := range o.Kinds {
		if k.Type == "" {
			return errors.New("hetzner: a kind of machine without a type")
		}
	}
	return nil
}

// image is an id if it looks like one.
func (o *Options) image() *hcloud.Image {
	if id, err := strconv.ParseInt(o.Image, 10, 64); err == nil {
		return &hcloud.Image{ID: id}
	}
	return &hcloud.Image{Name: o.Image}
}

// Describe implements cloud.Driver. The limit is the project's, whoever uses it
// ("Rate limiting": it recovers by the second).
func (d *Driver) Describe() cloud.Description {
	perHour := d.options.RequestsHour
	return cloud.Description{
		Name: d.options.Name, MaxBatch: 1, UniqueNames: true, UserDataMax: userDataMax, ListLag: d.options.ListLag,
		Limits: map[string]cloud.Limit{"": {Rate: float64(perHour) / time.Hour.Seconds(), Burst: perHour}},
	}
}
