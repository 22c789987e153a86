package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Dist is a log-normal distribution of durations: what boot times and calls
// look like, with a median and a long tail to the right. The zero Dist is
// always zero; one without Sigma is always its Median.
type Dist struct {
	Median time.Duration
	Sigma  float64 // of the logarithm
}

// LogNormal has the given median and 90th percentile.
func LogNormal(median, p90 time.Duration) Dist {
	const z90 = 1.2815515655446004 // of the standard normal distribution
	return Dist{median, math.Log(float64(p90)/float64(median)) / z90}
}

func (d Dist) draw(r *rand.Rand) time.Duration {
	// Drawn even where it does not matter, so that one distribution does not
	// move the draws of the others.
	z := r.NormFloat64()
	return time.Duration(float64(d.Median) * math.Exp(d.Sigma*z))
}

// Boot is how long each step of a machine's life takes, from the step before.
type Boot struct {
	Running   Dist // from Create
	Address   Dist // from running; it has none before
	PhoneHome Dist // from its address: the init speaks for the first time
	Settle    Dist // from then: the init is done
	Restart   Dist // from Start to running; the later steps as above, without Settle
	Stop      Dist // from Stop to stopped
	Terminate Dist // from Delete to gone
}
