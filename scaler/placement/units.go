package placement

import (
	"math"
	"math/bits"
)

// Everything is computed in whole numbers: sums then depend on no order, a
// score that was kept equals one computed anew, and a plan is the same on
// every machine.

// one is a term's best score. It is divisible by the two or three resources
// among which a share is divided.
const one = 6 << 18

const (
	microsPerCore = 1e6
	bitsPerMbit   = 1e6
	// most bounds a resource: 70 TB, 70 million cores; sums of 100,000 stay below
	// overflow.
	most = 1 << 46
)

// micros converts cores, or any decimal, to millionths; what is no amount is 0.
func micros(v float64) int64 {
	switch {
	case math.IsNaN(v) || v <= 0:
		return 0
	case v >= most/microsPerCore:
		return most
	}
	return int64(math.Round(v * microsPerCore))
}

// amount bounds a whole number to what is computed with.
func amount(v int64) int64 { return max(0, min(v, most)) }

// share is part/whole of unit, rounded down, and at most unit. Something of
// nothing is all of it.
func share(part, whole, unit int64) int64 {
	if part <= 0 {
		return 0
	}
	if part >= whole {
		return unit
	}
	hi, lo := bits.Mul64(uint64(part), uint64(unit))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
}

// hash is FNV-1a with a finish that spreads the last bytes over all bits
// (the one of SplitMix64).
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
