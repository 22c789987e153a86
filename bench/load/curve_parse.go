package load

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// MaxRate is the highest rate that can be planned, in requests a second.
const MaxRate = 2_000_000

// ParseCurve reads a schedule:
//
//	5000                       constant
//	ramp:1000,9000             straight from 1000/s to 9000/s
//	steps:1000,2000,4000       equal parts
//	sine:5000,2000,10s         mean, amplitude, period
//	spike:1000,9000,5s,2s      base, peak, when, how long
func ParseCurve(text string, length time.Duration) (*Curve, error) {
	kind, list, shaped := strings.Cut(text, ":")
	if !shaped {
		kind, list = "constant", text
	}
	args := arguments{parts: strings.Split(list, ",")}
	c := args.curve(kind, length)
	if args.err == nil && c == nil {
		args.err = fmt.Errorf("%q is none of constant, ramp, steps, sine, spike", kind)
	}
	if args.err == nil && args.next < len(args.parts) {
		args.err = fmt.Errorf("%q is one value too many", args.parts[args.next])
	}
	if args.err != nil {
		return nil, fmt.Errorf("cannot read schedule %q: %w", text, args.err)
	}
	return c, c.check()
}

// arguments takes values off a list; the first mistake sticks.
type arguments struct {
	parts []string
	next  int
	err   error
}

func (a *arguments) curve(kind string, length time.Duration) *Curve {
	switch kind {
	case "constant":
		return Constant(a.rate(), length)
	case "ramp":
		from, to := a.rate(), a.rate()
		return Ramp(from, to, length)
	case "steps":
		return Steps(a.rates(), length)
	case "sine":
		mean, amplitude, period := a.rate(), a.rate(), a.duration()
		if a.err == nil && amplitude > mean {
			a.err = fmt.Errorf("amplitude %g is above the mean", amplitude)
		}
		if a.err != nil {
			return nil
		}
		return Sine(mean, amplitude, period, length)
	case "spike":
		base, peak, at, width := a.rate(), a.rate(), a.duration(), a.duration()
		return Spike(base, peak, at, width, length)
	}
	return nil
}

func (a *arguments) take() string {
	if a.next >= len(a.parts) {
		if a.err == nil {
			a.err = fmt.Errorf("a value is missing")
		}
		return ""
	}
	a.next++
	return strings.TrimSpace(a.parts[a.next-1])
}

func (a *arguments) rate() float64 {
	text := a.take()
	rate, err := parseRate(text)
	if err != nil && a.err == nil {
		a.err = err
	}
	return rate
}

func (a *arguments) rates() []float64 {
	var all []float64
	for a.next < len(a.parts) {
		all = append(all, a.rate())
	}
	return all
}

func (a *arguments) duration() time.Duration {
	text := a.take()
	d, err := time.ParseDuration(text)
	if (err != nil || d <= 0) && a.err == nil {
		a.err = fmt.Errorf("%q is no duration such as 2s", text)
	}
	return d
}

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(rate >= 0 && rate <= MaxRate) {
		return 0, fmt.Errorf("%q is no rate from 0 to %d a second", text, MaxRate)
	}
	return rate, nil
}

// ReadTrace reads recorded rates as CSV: seconds since the start (or a duration
// such as 1m30s) and requests a second. A first line of words is skipped, as is
// what follows #.
func ReadTrace(r io.Reader) ([]Point, error) {
	lines := csv.NewReader(r)
	lines.Comment, lines.FieldsPerRecord, lines.TrimLeadingSpace = '#', 2, true
	var points []Point
	for first := true; ; first = false {
		record, err := lines.Read()
		if err == io.EOF {
			return points, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read rate trace: %w", err)
		}
		p, err := parsePoint(record)
		if err != nil && first {
			continue // column names
		}
		if err != nil {
			line, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("cannot read rate trace, line %d: %w", line, err)
		}
		points = append(points, p)
	}
}

func parsePoint(record []string) (Point, error) {
	at, err := time.ParseDuration(record[0])
	if err != nil {
		s, err := strconv.ParseFloat(record[0], 64)
		if err != nil || !(s >= 0 && s < 1e6) {
			return Point{}, fmt.Errorf("%q is no time such as 12.5 or 1m30s", record[0])
		}
		at = seconds(s)
	}
	rate, err := parseRate(record[1])
	if err != nil {
		return Point{}, err
	}
	return Point{At: at, Rate: rate}, nil
}
