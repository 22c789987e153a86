package report

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	permutations = 5_000
	resamples    = 1_000
)

// permutationTest is the probability that two samples of one and the same
// distribution differ as much as a and b do, by chance. The difference is that
// of mean ranks, so that outliers weigh no more than any other value (the
// rank-sum test of Wilcoxon, sampled).
func permutationTest(a, b []float64, random *rand.Rand) float64 {
	all := ranks(append(slices.Clone(a), b...))
	observed := difference(all, len(a))
	extreme := 0
	for range permutations {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if difference(all, len(a)) >= observed-1e-9 {
			extreme++
		}
	}
	return float64(extreme+1) / float64(permutations+1)
}

// ranks replaces values by their places in order; equal ones share the mean.
func ranks(values []float64) []float64 {
	sorted := slices.Sorted(slices.Values(values))
	out := make([]float64, len(values))
	for i, v := range values {
		first, _ := slices.BinarySearch(sorted, v)
		last := first
		for last+1 < len(sorted) && sorted[last+1] == v {
			last++
		}
		out[i] = float64(first+last) / 2
	}
	return out
}

// difference is how far the mean of the first n is from that of the rest.
func difference(values []float64, n int) float64 {
	return math.Abs(mean(values[:n]) - mean(values[n:]))
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// cliff is Cliff's delta: how much more often a value of b is above one of a
// than below; from -1 to 1, 0 for equal distributions. Above 0.474 it counts as
// large (Romano and others, 2006).
func cliff(a, b []float64) float64 {
	more := 0
	for _, x := range a {
		for _, y := range b {
			switch {
			case y > x:
				more++
			case y < x:
				more--
			}
		}
	}
	return float64(more) / float64(len(a)*len(b))
}

// interval is the 95 % bootstrap interval of the ratio of medians, b by a.
func interval(a, b []float64, random *rand.Rand) (low, high float64) {
	ratios := make([]float64, resamples)
	ra, rb := make([]float64, len(a)), make([]float64, len(b))
	for i := range ratios {
		resample(ra, a, random)
		resample(rb, b, random)
		ratios[i] = median(rb) / median(ra)
	}
	slices.Sort(ratios)
	return ratios[resamples*25/1000], ratios[resamples*975/1000]
}

func resample(into, from []float64, random *rand.Rand) {
	for i := range into {
		into[i] = from[random.IntN(len(from))]
	}
}

// holm adjusts probabilities for being several (Holm 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if p[i] < p[j] {
			return -1
		}
		return 1
	})
	adjusted := make([]float64, len(p))
	highest := 0.0
	for rank, i := range order {
		highest = max(highest, min(p[i]*float64(len(p)-rank), 1))
		adjusted[i] = highest
	}
	return adjusted
}
