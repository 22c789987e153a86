package configs

import (
	"reflect"
	"time"
)

// DefaultScaler is the configuration of an empty file. It has neither machines
// nor apps and is therefore not valid yet.
func DefaultScaler() *Scaler {
	return &Scaler{
		Cluster:  "spillway",
		StateDir: "/var/lib/spillway-scaler",
		Log:      Log{Level: "info", Format: "auto"},
		API:      ScalerAPI{Listen: "127.0.0.1:9911"},
		Join:     ScalerJoin{TokenTTL: 30 * time.Minute, CertificateTTL: 720 * time.Hour},
		Consul: ScalerConsul{
			Address:    "127.0.0.1:8500",
			Prefix:     "spillway/scaler/{cluster}/",
			SessionTTL: 10 * time.Second,
			LockDelay:  5 * time.Second,
		},
		Gateways: ScalerGateways{
			Service:  "spillway-gateway",
			Interval: time.Second,
			Timeout:  800 * time.Millisecond,
			Parallel: 32,
		},
		Prometheus: ScalerPrometheus{Interval: 5 * time.Second, Timeout: 3 * time.Second},
		Timings:    defaultTimings(),
		Providers:  map[string]ScalerProvider{},
		Profiles:   map[string]ScalerProfile{},
		Machines:   map[string]ScalerMachines{},
		Apps:       map[string]ScalerApp{},
	}
}

func defaultTimings() ScalerTimings {
	return ScalerTimings{
		Tick:               time.Second,
		List:               10 * time.Second,
		Call:               30 * time.Second,
		EngineCall:         10 * time.Second,
		Booting:            5 * time.Minute,
		Joining:            5 * time.Minute,
		Preparing:          3 * time.Minute,
		Waking:             3 * time.Minute,
		Starting:           3 * time.Minute,
		Registering:        30 * time.Second,
		Checking:           2 * time.Minute,
		Stopping:           30 * time.Second,
		Deleting:           10 * time.Minute,
		RetryMin:           time.Second,
		RetryMax:           30 * time.Second,
		OfferingBackoff:    30 * time.Second,
		OfferingBackoffMax: 15 * time.Minute,
		EngineDead:         30 * time.Second,
		Lease:              time.Hour,
		Sweep:              5,
	}
}

// DefaultScalerApp is an app of which nothing has been said.
func DefaultScalerApp() ScalerApp {
	return ScalerApp{
		Source: SourceHealth,
		Signal: SignalGateways,
		Container: ScalerContainer{
			CPU:       1,
			Memory:    256 << 20,
			Network:   "bridge",
			StopGrace: 10 * time.Second,
			Check:     ScalerCheck{HTTP: "/", Interval: time.Second, Timeout: 3 * time.Second},
		},
		Policy: DefaultScalerPolicy(),
		Drain:  ScalerDrain{Deadline: time.Minute},
	}
}

// DefaultScalerPolicy is the policy of an app that has none. Package policy
// has the same defaults.
func DefaultScalerPolicy() ScalerPolicy {
	return ScalerPolicy{
		Min:           1,
		Max:           10,
		Target:        100 * time.Millisecond,
		Concurrency:   8,
		Utilization:   0.7,
		Beta:          1,
		Lead:          time.Minute,
		Fast:          5 * time.Second,
		Slow:          time.Minute,
		Trend:         24 * time.Second,
		GrowthCap:     4,
		PanicRatio:    2,
		PanicWindow:   3 * time.Second,
		PanicHold:     time.Minute,
		UpBand:        0.05,
		DownBand:      0.2,
		Window:        5 * time.Minute,
		StepUp:        ScalerStep{Share: 10, Units: 20, Period: time.Minute},
		StepDown:      ScalerStep{Share: 0.2, Units: 1, Period: 30 * time.Second},
		FlapBudget:    8,
		FlapPeriod:    time.Hour,
		UnhealthyMax:  0.3,
		MaxAge:        10 * time.Second,
		Settle:        20 * time.Second,
		ElsewhereHold: 10 * time.Minute,
		SeasonDays:    7,
		SeasonMin:     3,
	}
}

func defaultProvider() ScalerProvider {
	return ScalerProvider{
		Subnet:  "10.213.0.0/16",
		Limits:  "none",
		Boot:    time.Minute,
		Timeout: time.Minute,
	}
}

func defaultMachines() ScalerMachines {
	return ScalerMachines{
		Max:      10,
		Strategy: "pack",
		PortFrom: 20000,
		PortTo:   29999,
	}
}

// scalerElement is what an element of a list or of a mapping from names is
// before the file has its say.
func scalerElement(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[ScalerApp]():
		return reflect.ValueOf(DefaultScalerApp())
	case reflect.TypeFor[ScalerProvider]():
		return reflect.ValueOf(defaultProvider())
	case reflect.TypeFor[ScalerMachines]():
		return reflect.ValueOf(defaultMachines())
	case reflect.TypeFor[ScalerHost]():
		return reflect.ValueOf(ScalerHost{CPU: 1, Memory: 1 << 30})
	case reflect.TypeFor[ScalerOffering]():
		return reflect.ValueOf(ScalerOffering{CPU: 1, Memory: 1 << 30})
	case reflect.TypeFor[ScalerFile]():
		return reflect.ValueOf(ScalerFile{Mode: "0644"})
	}
	return reflect.Zero(t)
}
