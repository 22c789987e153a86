package aliyun

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// Options are an account in a region and what its machines are made of.
type Options struct {
	// Region, such as cn-hangzhou. Required.
	Region string
	// Endpoint of the ECS API; "" is https://ecs.REGION.aliyuncs.com.
	Endpoint    string
	Credentials CredentialOptions

	// Image or LaunchTemplate (an id, lt-...) is required. What else is given
	// takes the place of what the template says.
	Image          string
	LaunchTemplate string
	SecurityGroups []string
	// VSwitches by zone: machines are bought in these zones. Required.
	VSwitches map[string]string
	KeyPair   string
	// RAMRole is the name of the role that machines get; "" none.
	RAMRole    string
	DiskType   string // of the system disk, such as cloud_essd; "" ECS chooses
	DiskGiB    int    // 0: ECS chooses
	PublicMbit int    // above 0: a public address with so much bandwidth, by which machines are reached
	// Hardened: a machine's metadata is told to those alone who take a token
	// first. Its image needs a cloud-init that does (23.2.2 or later), or it
	// never gets its user data.
	Hardened bool
	// SpotLimit is the most that an hour of a spot machine may cost; 0: the
	// market's price, up to that of a machine that is not spot.
	SpotLimit float64
	// Kinds of machine to offer. Required.
	Kinds []Kind
	// ReleaseAfter, if above 0, has ECS release every machine by itself so
	// long after it was made (AutoReleaseTime), unless Renew moves that on. At
	// least MinReleaseAfter.
	ReleaseAfter time.Duration

	Client *http.Client     // nil: one with a timeout of a minute
	Now    func() time.Time // nil: time.Now
}

// MinReleaseAfter is the least Options.ReleaseAfter: what is shorter would end
// machines that serve while a scaler is away for a night.
const MinReleaseAfter = 24 * time.Hour

// Kind is an instance type that may be ordered.
type Kind struct {
	Type string
	// Zones to offer it in; empty: all that have a vSwitch.
	Zones []string
	Spot  bool
	// Units of capacity; 0: its cores.
	Units float64
	// PriceHour; 0: what DescribePrice says.
	PriceHour float64
	MaxPPS    int // 0: what ECS says of the type
}

func (o Options) orDefault() (Options, error) {
	if err := o.check(); err != nil {
		return o, err
	}
	if o.Endpoint == "" {
		o.Endpoint = "https://ecs." + o.Region + ".aliyuncs.com"
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: time.Minute}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Credentials.Getenv == nil {
		o.Credentials.Getenv = os.Getenv
	}
	return o, nil
}

func (o *Options) check() error {
	switch {
	case !isRegion(o.Region):
		return fmt.Errorf("region %q is none: one looks like cn-hangzhou", o.Region)
	case o.Image == "" && o.LaunchTemplate == "":
		return errors.New("neither an image nor a launch template is given")
	case len(o.VSwitches) == 0:
		return errors.New("no vSwitch is given: a machine needs one in its zone")
	case len(o.Kinds) == 0:
		return errors.New("no kind of machine is given")
	case o.ReleaseAfter != 0 && o.ReleaseAfter < MinReleaseAfter:
		return fmt.Errorf("machines released after %v would end while a scaler is away: at least %v", o.ReleaseAfter, MinReleaseAfter)
	}
	for _, k := range o.Kinds {
		for _, zone := range k.Zones {
			if o.VSwitches[zone] == "" {
				return fmt.Errorf("%s is wanted in zone %q, which has no vSwitch", k.Type, zone)
			}
		}
	}
	return nil
}

// isRegion: it becomes part of a host name that credentials are sent to.
func isRegion(s string) bool {
	return regexp.MustCompile(`^[a-z]{2}-[a-z0-9-]+$`).MatchString(s) && !strings.HasSuffix(s, "-")
}

// Driver is one account and region.
type Driver struct {
	o       Options
	ecs     *client
	catalog catalog
}

// New checks the options. It makes no call.
func New(o Options) (*Driver, error) {
	o, err := o.orDefault()
	if err != nil {
		return nil, fmt.Errorf("cannot use aliyun: %w", err)
	}
	keys, err := newKeyring(&o)
	if err != nil {
		return nil, fmt.Errorf("cannot use aliyun: %w", err)
	}
	return &Driver{
		o:   o,
		ecs: &client{endpoint: o.Endpoint, version: "2014-05-26", http: direct(o.Client), now: o.Now, keys: keys},
	}, nil
}

// Describe implements cloud.Driver. MaxBatch is that of RunInstances, user
// data is at most 32 KiB before it is encoded ("Customize initialization
// configurations for an instance"). Limits are those of a usual account; the
// account's own are in Quota Center, under API rate quotas.
func (d *Driver) Describe() cloud.Description {
	minute := func(calls int) cloud.Limit { return cloud.Limit{Rate: float64(calls) / 60, Burst: calls} }
	return cloud.Description{
		Name: "aliyun", MaxBatch: 100, ClientToken: true, StopFree: true, Spot: true,
		UserDataMax: 32 << 10, ListLag: 10 * time.Second,
		Limits: map[string]cloud.Limit{
			cloud.OpCreate:               minute(60),
			cloud.OpCreate + "-machines": {Rate: 5000.0 / 60, Burst: 5000, Machines: true},
			cloud.OpDelete:               minute(300),
			cloud.OpList:                 minute(300),
			"":                           minute(120),
		},
	}
}

var (
	_ cloud.Driver  = (*Driver)(nil)
	_ cloud.Stopper = (*Driver)(nil)
	_ cloud.Watcher = (*Driver)(nil)
)
