package sim

import (
	"net/netip"
	"time"

	"spillway/scaler/cloud"
)

const gib = 1 << 30

// EC2 is a region of Amazon EC2. Limits are those of "Request throttling for
// the Amazon EC2 API": RunInstances has a bucket of 5 requests refilled at 2 a
// second and one of 1,000 instances refilled at 2 a second; tokens are zonal
// ("Ensuring idempotency in Amazon EC2 API requests"); user data is 16 KiB.
// Lag, boot times, stock and prices are assumptions of the usual size.
func EC2() Provider {
	return Provider{
		Description: cloud.Description{
			Name: "sim-ec2", MaxBatch: 1000, ClientToken: true, TokenZonal: true, StopFree: true, Spot: true,
			UserDataMax: 16 << 10, ListLag: 10 * time.Second,
			Limits: map[string]cloud.Limit{
				"create":          {Rate: 2, Burst: 5},
				"create-machines": {Rate: 2, Burst: 1000, Machines: true},
				"delete":          {Rate: 5, Burst: 100},
				"delete-machines": {Rate: 20, Burst: 1000, Machines: true},
				"stop":            {Rate: 5, Burst: 100},
				"stop-machines":   {Rate: 20, Burst: 1000, Machines: true},
				"start":           {Rate: 2, Burst: 5},
				"start-machines":  {Rate: 2, Burst: 1000, Machines: true},
				"list":            {Rate: 20, Burst: 100},
				"":                {Rate: 20, Burst: 100},
			},
		},
		Offerings: append(grid([]string{"a", "b", "c"}, time.Minute, sizes(0.096), false), grid([]string{"a", "b"}, time.Minute, sizes(0.03), true)...),
		Boot: Boot{
			Running: LogNormal(8*time.Second, 15*time.Second), Address: LogNormal(time.Second, 2*time.Second),
			PhoneHome: LogNormal(15*time.Second, 25*time.Second), Settle: LogNormal(10*time.Second, 20*time.Second),
			Restart: LogNormal(8*time.Second, 15*time.Second), Stop: LogNormal(20*time.Second, 40*time.Second),
			Terminate: LogNormal(20*time.Second, 40*time.Second),
		},
		Latency:     LogNormal(300*time.Millisecond, 900*time.Millisecond),
		TokenLife:   24 * time.Hour,
		ShowDeleted: time.Hour,
		Page:        1000,
		Network:     netip.AddrFrom4([4]byte{10, 16, 0, 0}),
	}
}

// Aliyun is a region of Alibaba Cloud ECS: 100 machines a RunInstances, 5,000
// machines a minute, limits of calls that are counted by the minute ("API
// throttling" of ECS; the number of calls differs by account and is assumed),
// and a token that is spent once the stock has refused it. User data is 32 KiB
// before it is encoded.
func Aliyun() Provider {
	minute := func(calls int) cloud.Limit { return cloud.Limit{Rate: float64(calls) / 60, Burst: calls} }
	return Provider{
		Description: cloud.Description{
			Name: "sim-aliyun", MaxBatch: 100, ClientToken: true, StopFree: true, Spot: true,
			UserDataMax: 32 << 10, ListLag: 10 * time.Second,
			Limits: map[string]cloud.Limit{
				"create":          minute(60),
				"create-machines": {Rate: 5000.0 / 60, Burst: 5000, Machines: true},
				"delete":          minute(300),
				"list":            minute(300),
				"":                minute(120),
			},
		},
		Offerings: append(grid([]string{"h", "i"}, 0, sizes(0.11), false), grid([]string{"h"}, 0, sizes(0.02), true)...),
		Boot: Boot{
			Running: LogNormal(15*time.Second, 30*time.Second), Address: LogNormal(time.Second, 3*time.Second),
			PhoneHome: LogNormal(15*time.Second, 25*time.Second), Settle: LogNormal(12*time.Second, 25*time.Second),
			Restart: LogNormal(15*time.Second, 30*time.Second), Stop: LogNormal(15*time.Second, 30*time.Second),
			Terminate: LogNormal(5*time.Second, 15*time.Second),
		},
		Latency:          LogNormal(500*time.Millisecond, 1500*time.Millisecond),
		StockSpendsToken: true,
		Page:             100,
		Network:          netip.AddrFrom4([4]byte{10, 32, 0, 0}),
	}
}

// Hetzner is a project of Hetzner Cloud: one machine a call, names instead of
// tokens, 3,600 calls an hour for everything together, whole hours billed,
// stopped machines as well.
func Hetzner() Provider {
	return Provider{
		Description: cloud.Description{
			Name: "sim-hetzner", MaxBatch: 1, UniqueNames: true, UserDataMax: 32 << 10,
			ListLag: 2 * time.Second,
			Limits:  map[string]cloud.Limit{"": {Rate: 1, Burst: 3600}},
		},
		Offerings: grid([]string{"fsn1", "nbg1"}, time.Hour, sizes(0.012), false),
		Boot: Boot{
			Running: LogNormal(10*time.Second, 20*time.Second), PhoneHome: LogNormal(12*time.Second, 20*time.Second),
			Settle: LogNormal(10*time.Second, 20*time.Second), Restart: LogNormal(8*time.Second, 15*time.Second),
			Stop: LogNormal(5*time.Second, 10*time.Second), Terminate: LogNormal(2*time.Second, 5*time.Second),
		},
		Latency:     LogNormal(400*time.Millisecond, time.Second),
		MaxMachines: 2000,
		Page:        50,
		Network:     netip.AddrFrom4([4]byte{10, 48, 0, 0}),
	}
}

// OpenStack is a project of a Nova cloud: batches, but neither token nor
// unique names, a list that lags, a quota and a stock that ends.
func OpenStack() Provider {
	return Provider{
		Description: cloud.Description{
			Name: "sim-openstack", MaxBatch: 10, UserDataMax: 48 << 10, ListLag: 30 * time.Second,
			Limits: map[string]cloud.Limit{"create": {Rate: 5, Burst: 10}, "": {Rate: 20, Burst: 40}},
		},
		Offerings: grid([]string{"az1", "az2"}, 0, sizes(0.05), false),
		Boot: Boot{
			Running: LogNormal(25*time.Second, 60*time.Second), Address: LogNormal(3*time.Second, 10*time.Second),
			PhoneHome: LogNormal(20*time.Second, 40*time.Second), Settle: LogNormal(15*time.Second, 30*time.Second),
			Restart: LogNormal(10*time.Second, 20*time.Second), Stop: LogNormal(10*time.Second, 30*time.Second),
			Terminate: LogNormal(5*time.Second, 20*time.Second),
		},
		Latency:     LogNormal(time.Second, 3*time.Second),
		MaxMachines: 1500,
		Page:        500,
		Network:     netip.AddrFrom4([4]byte{10, 64, 0, 0}),
	}
}

// sizes are machines of 2, 4 and 8 cores; hour is the price of the smallest.
func sizes(hour float64) []cloud.Offering {
	var all []cloud.Offering
	for i, name := range []string{"small", "medium", "large"} {
		cores := float64(int(2) << i)
		all = append(all, cloud.Offering{
			Type: name, CPU: cores, Memory: int64(cores) * 2 * gib, Units: cores, MaxPPS: 100_000,
			Arch: "amd64", PriceHour: hour * float64(int(1)<<i), Available: true,
		})
	}
	return all
}

// grid has every size in every zone.
func grid(zones []string, quantum time.Duration, sizes []cloud.Offering, spot bool) []cloud.Offering {
	var all []cloud.Offering
	for _, zone := range zones {
		for _, o := range sizes {
			o.Zone, o.Quantum, o.Spot = zone, quantum, spot
			all = append(all, o)
		}
	}
	return all
}
