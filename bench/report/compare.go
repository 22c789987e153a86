package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"text/tabwriter"
)

// Verdict is what a comparison says.
type Verdict string

// The verdicts.
const (
	Same      Verdict = "same" // or too little to tell apart from noise
	Slower    Verdict = "slower"
	Faster    Verdict = "faster"
	Undecided Verdict = "undecided" // too few values
)

// Rules of a comparison. The zero value stands for the defaults.
type Rules struct {
	// Alpha is the probability at which a difference is no chance any more,
	// after correction for several metrics. Default 0.05.
	Alpha float64
	// Effect is the relative difference of medians that matters. Default 0.05.
	Effect float64
	// TailEffect is the same for p90 and p99, which vary more from run to run.
	// Default 0.25.
	TailEffect float64
}

func (r Rules) complete() Rules {
	if r.Alpha == 0 {
		r.Alpha = 0.05
	}
	if r.Effect == 0 {
		r.Effect = 0.05
	}
	if r.TailEffect == 0 {
		r.TailEffect = 0.25
	}
	return r
}

// largeCliff is the size of Cliff's delta from which the values of two samples
// hardly overlap.
const largeCliff = 0.474

// minValues is the least number of values in each sample: with 5 and 5 the
// smallest probability a permutation test can give is 0.008, which five metrics
// leave below 0.05.
const minValues = 5

// Comparison is two reports side by side.
type Comparison struct {
	Verdict Verdict      `json:"verdict"`
	Unit    string       `json:"unit"` // what was compared: "trials" or "seconds"
	Metrics []Difference `json:"metrics"`
	Notes   []string     `json:"notes,omitempty"`
}

// Difference is one metric in both.
type Difference struct {
	Metric  string  `json:"metric"`
	A       float64 `json:"a"` // medians
	B       float64 `json:"b"`
	Ratio   float64 `json:"ratio"`       // B by A
	Low     float64 `json:"ratio_low"`   // 95 % interval of the ratio
	High    float64 `json:"ratio_high"`  //
	P       float64 `json:"p"`           // by chance, corrected
	Cliff   float64 `json:"cliff_delta"` // effect size, -1 to 1
	Needed  float64 `json:"effect"`      // relative difference that would matter
	Values  [2]int  `json:"values"`
	Verdict Verdict `json:"verdict"`
	upIs    Verdict // what a higher value means
	samples [2][]float64
}

// Compare says whether b differs from a. Values are the trials of both reports
// if there are enough, else the seconds of their timelines, the first of each
// left out. A metric counts as different if the permutation test, the size of
// the difference and the effect size all say so.
func Compare(a, b *Report, rules Rules) *Comparison {
	rules = rules.complete()
	c := &Comparison{Unit: "seconds", Verdict: Same}
	if len(a.Trials) >= minValues && len(b.Trials) >= minValues {
		c.Unit = "trials"
	}
	c.Metrics = metricsOf(a, b, c.Unit, rules)
	c.test(rules)
	c.notes(a, b)
	c.judge(a, b)
	return c
}

// metric is something that both reports have values of.
type metric struct {
	name   string
	upIs   Verdict
	tail   bool
	trial  func(*Trial) float64
	second func(*Second) float64 // nil: known of trials alone
}

func metricsOf(a, b *Report, unit string, rules Rules) []Difference {
	list := []metric{
		{"p50_us", Slower, false, func(t *Trial) float64 { return t.P50 }, func(s *Second) float64 { return s.P50 }},
		{"p90_us", Slower, true, func(t *Trial) float64 { return t.P90 }, func(s *Second) float64 { return s.P90 }},
		{"p99_us", Slower, true, func(t *Trial) float64 { return t.P99 }, func(s *Second) float64 { return s.P99 }},
		{"cpu_us_per_request", Slower, false, func(t *Trial) float64 { return t.CPU }, nil},
	}
	if a.Load.Loop == "closed" && b.Load.Loop == "closed" { // else the rate is what was asked for
		list = append(list, metric{
			"rate", Faster, false, func(t *Trial) float64 { return t.Rate },
			func(s *Second) float64 { return float64(s.Answered) },
		})
	}
	var all []Difference
	for i := range list {
		m := &list[i]
		d := Difference{Metric: m.name, upIs: m.upIs, Needed: rules.Effect}
		if m.tail {
			d.Needed = rules.TailEffect
		}
		d.samples = [2][]float64{m.values(a, unit), m.values(b, unit)}
		if len(d.samples[0]) > 0 && len(d.samples[1]) > 0 {
			all = append(all, d)
		}
	}
	return all
}

// values are what the metric was, without zeros: nothing was measured then.
func (m *metric) values(r *Report, unit string) []float64 {
	var all []float64
	add := func(v float64) {
		if v > 0 {
			all = append(all, v)
		}
	}
	if unit == "trials" {
		for i := range r.Trials {
			add(m.trial(&r.Trials[i]))
		}
		return all
	}
	for i := range r.Timeline {
		if m.second != nil && r.Timeline[i].At > 0 {
			add(m.second(&r.Timeline[i]))
		}
	}
	return all
}

func (c *Comparison) test(rules Rules) {
	random := rand.New(rand.NewPCG(1, 2)) // the same files give the same answer
	p := make([]float64, len(c.Metrics))
	for i := range c.Metrics {
		d := &c.Metrics[i]
		a, b := d.samples[0], d.samples[1]
		d.Values = [2]int{len(a), len(b)}
		d.A, d.B = median(a), median(b)
		d.Ratio, d.Cliff = d.B/d.A, cliff(a, b)
		d.Low, d.High = interval(a, b, random)
		p[i] = permutationTest(a, b, random)
	}
	for i, adjusted := range holm(p) {
		c.Metrics[i].P = adjusted
		c.Metrics[i].decide(rules.Alpha)
	}
}

func (d *Difference) decide(alpha float64) {
	up := d.Ratio >= 1+d.Needed && d.Cliff >= largeCliff
	down := d.Ratio <= 1/(1+d.Needed) && d.Cliff <= -largeCliff
	switch {
	case min(d.Values[0], d.Values[1]) < minValues:
		d.Verdict = Undecided
	case d.P > alpha || (!up && !down):
		d.Verdict = Same
	case up:
		d.Verdict = d.upIs
	case d.upIs == Slower:
		d.Verdict = Faster
	default:
		d.Verdict = Slower
	}
}

// judge takes the worst of the metrics, and errors that were not there before.
func (c *Comparison) judge(a, b *Report) {
	seen := map[Verdict]int{}
	for i := range c.Metrics {
		seen[c.Metrics[i].Verdict]++
	}
	const newErrors = 0.001
	switch {
	case b.ErrorShare() > a.ErrorShare()+newErrors:
		c.Verdict = Slower
		c.Notes = append(c.Notes, fmt.Sprintf("errors rose from %.3g %% to %.3g %%", 100*a.ErrorShare(), 100*b.ErrorShare()))
	case seen[Slower] > 0:
		c.Verdict = Slower
	case len(c.Metrics) == 0 || seen[Undecided] == len(c.Metrics):
		c.Verdict = Undecided
	case seen[Faster] > 0:
		c.Verdict = Faster
	}
}

func (c *Comparison) notes(a, b *Report) {
	for _, d := range a.Environment.Differences(b.Environment) {
		c.Notes = append(c.Notes, "not the same environment: "+d)
	}
	if x, y := a.Load.Sentence(0), b.Load.Sentence(0); x != y || a.Load.ScenarioSHA != b.Load.ScenarioSHA {
		c.Notes = append(c.Notes, fmt.Sprintf("not the same load: %s / %s", x, y))
	}
	for i, r := range []*Report{a, b} {
		if !r.Valid {
			c.Notes = append(c.Notes, fmt.Sprintf("%c is an invalid run: the generator was its limit", 'A'+i))
		}
	}
	if c.Unit == "seconds" {
		c.Notes = append(c.Notes, "one run each: seconds were compared, which a slow drift of the machine can fool; --repeat 5 compares runs")
	}
}

// WriteText prints the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "median of %s\tA\tB\tB/A\t[95 %%]\tp\tCliff's delta\tverdict\t\n", c.Unit)
	for i := range c.Metrics {
		d := &c.Metrics[i]
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.3f\t[%.3f %.3f]\t%.4f\t%+.2f\t%s\t\n",
			d.Metric, d.A, d.B, d.Ratio, d.Low, d.High, d.P, d.Cliff, d.Verdict)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print comparison: %w", err)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	fmt.Fprintf(w, "B is %s\n", map[Verdict]string{
		Same: "not different from A", Slower: "slower than A", Faster: "faster than A",
		Undecided: "not comparable: too few values, run longer or with --repeat 5",
	}[c.Verdict])
	return nil
}

// WriteJSON writes the comparison for programs.
func (c *Comparison) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("cannot write comparison: %w", err)
	}
	return nil
}
