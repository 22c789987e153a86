package policy

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// binLength is the resolution of a season, bins how many a day has.
const (
	binLength = 5 * time.Minute
	bins      = int(24 * time.Hour / binLength)
)

// Season remembers what each time of day had, day by day. Days are UTC's: what
// matters is that the same bin comes again a day later.
type Season struct {
	Days []Day `json:"days,omitempty"` // oldest first, today last
	// The bin that is being filled.
	Bin   int64   `json:"bin"` // number since 1970
	Sum   float64 `json:"sum"`
	Count int     `json:"count"`
}

// Day is the mean rate of each bin of one day; a negative one is not known.
type Day struct {
	Number int64     `json:"number"` // since 1970
	Rates  []float64 `json:"rates"`
}

// add takes one measured rate.
func (s *Season) add(rate float64, now time.Time, keep int) {
	bin := now.Unix() / int64(binLength.Seconds())
	if bin != s.Bin {
		s.close(keep)
		s.Bin, s.Sum, s.Count = bin, 0, 0
	}
	s.Sum += rate
	s.Count++
}

// close files the bin that is full, in a copy of the days: an older Memory may
// share them.
func (s *Season) close(keep int) {
	if s.Count == 0 {
		return
	}
	number, at := s.Bin/int64(bins), int(s.Bin%int64(bins))
	days := slices.Clone(s.Days)
	if n := len(days); n == 0 || days[n-1].Number != number {
		rates := make([]float64, bins)
		for i := range rates {
			rates[i] = -1
		}
		days = append(days, Day{number, rates})
	}
	last := &days[len(days)-1]
	last.Rates = slices.Clone(last.Rates)
	last.Rates[at] = threeDigits(s.Sum / float64(s.Count))
	s.Days = days[max(0, len(days)-keep-1):]
}

// threeDigits keeps a stored season short.
func threeDigits(x float64) float64 {
	if x <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-2)
	return math.Round(x/unit) * unit
}

// usual is the median of a bin over the days before the one it is in, and over
// how many days.
func (s *Season) usual(bin int64) (rate float64, days int) {
	var values []float64
	for _, d := range s.Days {
		at := int(bin % int64(bins))
		if d.Number < bin/int64(bins) && len(d.Rates) == bins && d.Rates[at] >= 0 {
			values = append(values, d.Rates[at])
		}
	}
	return median(values), len(values)
}

// level is how today compares with the days before, from the last hour, as a
// factor from 0.5 to 2; 1 if that cannot be said.
func (s *Season) level() float64 {
	today, before := 0.0, 0.0
	for bin := s.Bin - 12; bin < s.Bin; bin++ {
		rate, days := s.usual(bin)
		seen, ok := s.seen(bin)
		if days > 0 && ok {
			today, before = today+seen, before+rate
		}
	}
	if before == 0 {
		return 1
	}
	return min(max(today/before, 0.5), 2)
}

func (s *Season) seen(bin int64) (float64, bool) {
	for _, d := range s.Days {
		if d.Number == bin/int64(bins) && len(d.Rates) == bins {
			rate := d.Rates[bin%int64(bins)]
			return rate, rate >= 0
		}
	}
	return 0, false
}

// seasonal is the floor that the time of day asks for, the lead time ahead.
func (p *Policy) seasonal(s *Season, now time.Time, lead time.Duration) (Candidate, bool) {
	if p.SeasonDays == 0 {
		return Candidate{}, false
	}
	rate, days := s.usual(now.Add(lead).Unix() / int64(binLength.Seconds()))
	if days < p.SeasonMin {
		return Candidate{}, false
	}
	level := s.level()
	return Candidate{RuleSeasonal, p.size(rate * level), fmt.Sprintf("%.4g requests/s is the median of %d days, today is %.2g of them", rate, days, level)}, true
}
