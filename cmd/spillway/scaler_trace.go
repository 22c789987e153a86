package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"spillway/scaler/policy"
)

// maxTrace bounds how much time a trace may span: a replay steps through every
// second.
const maxTrace = 400 * 24 * time.Hour

// readTraces reads files that gateways have recorded and adds up what they say
// of one upstream, second by second.
func readTraces(paths []string, upstream string) ([]policy.Sample, error) {
	sums := map[int64]float64{}
	for _, path := range paths {
		if err := readTrace(path, upstream, sums); err != nil {
			return nil, fmt.Errorf("cannot read trace %q: %w", path, err)
		}
	}
	samples := make([]policy.Sample, 0, len(sums))
	for t, n := range sums {
		samples = append(samples, policy.Sample{At: time.Unix(t, 0).UTC(), Arrivals: n})
	}
	slices.SortFunc(samples, func(a, b policy.Sample) int { return a.At.Compare(b.At) })
	switch n := len(samples); {
	case n == 0:
		return nil, fmt.Errorf("no second of upstream %q in the trace", upstream)
	case samples[n-1].At.Sub(samples[0].At) > maxTrace:
		return nil, fmt.Errorf("the trace is of %v to %v: at most %v can be replayed", samples[0].At, samples[n-1].At, maxTrace)
	}
	return samples, nil
}

func readTrace(path, upstream string, sums map[int64]float64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return sumTrace(f, upstream, sums)
}

// traceLine is what a replay needs of a recorded second.
type traceLine struct {
	T int64   `json:"t"`
	U string  `json:"u"`
	A float64 `json:"a"`
}

// sumTrace adds the arrivals of one upstream to sums. The last line may be cut
// short: a trace can be copied while it is written.
func sumTrace(r io.Reader, upstream string, sums map[int64]float64) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	var bad error
	for n := 1; lines.Scan(); n++ {
		if bad != nil {
			return bad
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		var l traceLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			bad = fmt.Errorf("line %d: %w", n, err)
			continue
		}
		if l.T <= 0 || l.T > 1<<40 || !(l.A >= 0 && l.A <= 1e9) {
			return fmt.Errorf("line %d: t is %d and a is %g, want a Unix time and a count", n, l.T, l.A)
		}
		if l.U == upstream {
			sums[l.T] += l.A
		}
	}
	if bad != nil && !cutShort(bad) {
		return bad
	}
	return lines.Err()
}

// cutShort reports whether a line ended in the middle of its object.
func cutShort(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input"
}
