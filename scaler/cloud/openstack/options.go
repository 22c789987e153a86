package openstack

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"spillway/scaler/cloud"
)

// Options are one project in one region and what its machines are made of.
type Options struct {
	// Name of the driver in descriptions and logs; empty: "openstack".
	Name string
	// Auth is where to log in and as whom. Without an address: Cloud, or the
	// environment (credentials.go).
	Auth Credentials
	// Cloud is the one of clouds.yaml to use; empty: OS_CLOUD.
	Cloud string
	// CloudsFile is that file; empty: OS_CLIENT_CONFIG_FILE, or where the
	// vendor's tools look.
	CloudsFile string
	// Region of the service catalog; empty: what clouds.yaml or OS_REGION_NAME
	// say, or the first there is.
	Region string
	// Getenv reads the environment; nil: os.Getenv.
	Getenv func(string) string
	// HTTP makes the calls; nil: a client of the driver's own.
	HTTP *http.Client

	// Kinds are what may be bought. Required.
	Kinds []Kind
	// Image is the id of an image. Required.
	Image string
	// VolumeGB makes machines boot from a volume of that size with the image,
	// which goes with them; 0: from the flavor's disk.
	VolumeGB int
	// Networks are ids; empty: the one the project has.
	Networks []string
	// AddressNetwork is the name of the network machines are reached in; empty:
	// the first by name.
	AddressNetwork string
	SecurityGroups []string // names
	KeyName        string
	// ServerGroup is the id of one, whose policy (such as anti-affinity) places
	// the machines.
	ServerGroup string
	// Arch of the image; empty: amd64.
	Arch string
	// MaxBatch is how many machines are asked for at once; 0: 10.
	MaxBatch int
	// StopFree: stopped machines cost nothing in this cloud.
	StopFree bool
	// ListLag is Description.ListLag; 0: 30 seconds. Cells answer when they can.
	ListLag time.Duration
}

// Kind is a flavor as the project's owner wants it bought.
type Kind struct {
	Type string // the flavor's name
	// Zones are the availability zones to buy it in; empty: all.
	Zones     []string
	PriceHour float64
	Quantum   time.Duration
	Units     float64 // 0: its virtual processors
	MaxPPS    int
}

const (
	defaultBatch   = 10
	defaultListLag = 30 * time.Second
	callTimeout    = 60 * time.Second
	// microversion is the first that takes tags with the request; the flavor's
	// name is in every answer since 2.47.
	microversion = "2.52"
	// userDataMax is what fits into Nova's 65,535 characters of base64.
	userDataMax = 65535 / 4 * 3
)

// Driver implements cloud.Driver and cloud.Stopper. It is safe for concurrent
// use.
type Driver struct {
	options Options
	account account
	session *session
	flavors *flavorBook
}

var (
	_ cloud.Driver  = (*Driver)(nil)
	_ cloud.Stopper = (*Driver)(nil)
)

// New reads the credentials and makes no call.
func New(o Options) (*Driver, error) {
	o = o.orDefault()
	if err := o.check(); err != nil {
		return nil, err
	}
	a, err := o.find()
	if err != nil {
		return nil, fmt.Errorf("openstack: %w", err)
	}
	if o.Region != "" {
		a.endpoint.Region = o.Region
	}
	return &Driver{options: o, account: a, session: newSession(a, o.client(a)), flavors: &flavorBook{ids: map[string]string{}}}, nil
}

func (o Options) orDefault() Options {
	o.Name = cmp.Or(o.Name, "openstack")
	o.Arch = cmp.Or(o.Arch, "amd64")
	o.MaxBatch = cmp.Or(o.MaxBatch, defaultBatch)
	o.ListLag = cmp.Or(o.ListLag, defaultListLag)
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return o
}

func (o *Options) check() error {
	switch {
	case o.Image == "":
		return errors.New("openstack: no image")
	case len(o.Kinds) == 0:
		return errors.New("openstack: no kind of machine to buy")
	case o.MaxBatch < 1 || o.VolumeGB < 0:
		return fmt.Errorf("openstack: batches of %d, volumes of %d GB", o.MaxBatch, o.VolumeGB)
	}
	for _, k := range o.Kinds {
		if k.Type == "" || k.PriceHour < 0 {
			return fmt.Errorf("openstack: kind %q without a flavor, or of a price below 0", k.Type)
		}
	}
	return nil
}

// client is the one given, or one that trusts what clouds.yaml says. An answer
// that points elsewhere is none: the token is for this host.
func (o *Options) client(a account) http.Client {
	h := http.Client{Timeout: callTimeout}
	if o.HTTP != nil {
		h = *o.HTTP
	} else if a.tls != nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = a.tls
		h.Transport = t
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return h
}

// kind finds what is wanted of a flavor in a zone.
func (o *Options) kind(typ, zone string) (Kind, bool) {
	i := slices.IndexFunc(o.Kinds, func(k Kind) bool {
		return k.Type == typ && (len(k.Zones) == 0 || slices.Contains(k.Zones, zone))
	})
	if i < 0 {
		return Kind{}, false
	}
	return o.Kinds[i], true
}

// Describe implements cloud.Driver. Nova limits nobody unless a proxy in front
// of it does: these are the limits of a good neighbour.
func (d *Driver) Describe() cloud.Description {
	o := &d.options
	return cloud.Description{
		Name: o.Name, MaxBatch: o.MaxBatch, UserDataMax: userDataMax, ListLag: o.ListLag, StopFree: o.StopFree,
		Limits: map[string]cloud.Limit{"create": {Rate: 5, Burst: 10}, "": {Rate: 20, Burst: 40}},
	}
}

func availability(name string) gophercloud.Availability {
	switch name {
	case "internal", "internalURL":
		return gophercloud.AvailabilityInternal
	case "admin", "adminURL":
		return gophercloud.AvailabilityAdmin
	}
	return gophercloud.AvailabilityPublic
}
