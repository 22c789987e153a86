package configs

import (
	"strconv"
	"time"
)

// Flap is when a server that comes and goes is left out until it settles:
// route flap damping (RFC 2439) for servers.
type Flap struct {
	// Leave them out. true or false in place of the mapping sets it: "flap:
	// true". Each time a server fails its checks or is not listed any more
	// its penalty grows by 1. Never more than half of those that are up are
	// left out.
	Enabled bool `yaml:"enabled" short:"true"`
	// Penalty from which it gets no requests.
	Suppress float64 `yaml:"suppress" min:"1" max:"1000"`
	// Penalty below which it gets requests again.
	Reuse float64 `yaml:"reuse" min:"0.01" max:"1000"`
	// Time in which the penalty halves.
	HalfLife time.Duration `yaml:"half_life" min:"100ms" max:"24h"`
	// Time that one that has settled is left out at most.
	MaxSuppress time.Duration `yaml:"max_suppress" min:"100ms" max:"24h"`
}

func defaultFlap() Flap {
	return Flap{Suppress: 3, Reuse: 1, HalfLife: time.Minute, MaxSuppress: 5 * time.Minute}
}

// flap checks what only makes sense together.
func (k *checker) flap(path string, f *Flap) {
	if f.Reuse >= f.Suppress {
		k.fail(path+".reuse", strconv.FormatFloat(f.Reuse, 'g', -1, 64), "less than suppress ("+strconv.FormatFloat(f.Suppress, 'g', -1, 64)+")", "")
	}
}
