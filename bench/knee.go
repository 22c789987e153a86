package bench

import (
	"spillway/bench/report"
)

// outcome is what a probe says about a rate.
type outcome uint8

const (
	fails   outcome = iota // the conditions do not hold
	holds                  // they do
	unclear                // the generator was the limit
)

func (o outcome) String() string { return [...]string{"fails", "holds", "unclear"}[o] }

// What a search was limited by.
const (
	limitTarget    = "target"
	limitGenerator = "generator"
	limitMax       = "--max"
)

// minRate is where a search that only goes down ends.
const minRate = 1

// maxBackOffs is how often a rate that does not stand the confirmation is
// lowered.
const maxBackOffs = 5

// knee finds the highest rate that holds, pure logic over probes:
//
//	double until one fails (or halve until one holds)
//	-> bisect between the last that held and the first that failed
//	-> confirm; if that fails, lower by the precision and confirm again
//
// A probe that fails is repeated once: noise fails a good rate far more often
// than it passes a bad one.
type knee struct {
	start, limit, precision float64
	probe, confirm          func(rate float64) (outcome, error)

	probes []report.Probe
	why    string // what the limit was
}

// find returns the rate, 0 if none holds.
func (k *knee) find() (float64, error) {
	good, bad, err := k.bracket()
	if err != nil || good == 0 {
		return 0, err
	}
	for bad > 0 && bad-good > k.precision*good {
		middle := (good + bad) / 2
		got, err := k.try(middle)
		if err != nil {
			return 0, err
		}
		if got == holds {
			good = middle
		} else {
			bad = middle
		}
	}
	return k.settle(good)
}

// bracket returns a rate that holds and one that does not, 0 for what was not
// found.
func (k *knee) bracket() (good, bad float64, err error) {
	k.why = limitMax
	for rate := k.start; ; {
		got, err := k.try(rate)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case got == holds && (bad > 0 || rate >= k.limit):
			return rate, bad, nil
		case got == holds:
			good, rate = rate, min(2*rate, k.limit)
		case good > 0:
			return good, rate, nil
		default:
			bad, rate = rate, rate/2
			if rate < minRate {
				return 0, bad, nil
			}
		}
	}
}

// try probes a rate, again if it does not hold.
func (k *knee) try(rate float64) (outcome, error) {
	got, err := k.note(rate, k.probe)
	if err != nil || got == holds {
		return got, err
	}
	if got, err = k.note(rate, k.probe); err != nil || got == holds {
		return got, err
	}
	if k.why = limitTarget; got == unclear {
		k.why = limitGenerator
	}
	return got, nil
}

// settle holds the rate for longer.
func (k *knee) settle(rate float64) (float64, error) {
	for range maxBackOffs {
		got, err := k.note(rate, k.confirm)
		if err != nil || got == holds {
			return rate, err
		}
		if got, err = k.note(rate, k.confirm); err != nil || got == holds {
			return rate, err
		}
		rate /= 1 + k.precision
	}
	k.why = limitTarget
	return 0, nil
}

func (k *knee) note(rate float64, probe func(float64) (outcome, error)) (outcome, error) {
	got, err := probe(rate)
	if err == nil {
		k.probes = append(k.probes, report.Probe{Rate: round(rate, 2), Outcome: got.String()})
	}
	return got, err
}
