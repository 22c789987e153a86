package peers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSpreadOf(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"one", []float64{3}, Spread{Median: 3, Min: 3, Max: 3, Q1: 3, Q3: 3}},
		{"odd, unsorted", []float64{5, 1, 3}, Spread{Median: 3, Min: 1, Max: 5, Q1: 2, Q3: 4}},
		{"even", []float64{1, 2, 3, 4}, Spread{Median: 2.5, Min: 1, Max: 4, Q1: 1.75, Q3: 3.25}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, spreadOf(tt.values)); diff != "" {
				t.Errorf("spread (-want +got):\n%s", diff)
			}
		})
	}
}

// sample is a measurement with the proxy's core fully used.
func sample(peer string, round int, cpu, rate float64) Sample {
	return Sample{Peer: peer, Connections: 64, Round: round, Requests: 1, CPU: cpu, Rate: rate, ProxyBusy: 0.99, CoreBusy: 1}
}

// The machine slows down by half in the second round: medians of the peers mix
// rounds, the ratio of a round does not.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	rows := summarize([]Sample{
		sample("nginx", 1, 20, 50000), sample("spillway", 1, 16, 60000),
		sample("nginx", 2, 30, 33000), sample("spillway", 2, 24, 41250),
		sample("nginx", 3, 20, 50000), sample("spillway", 3, 18, 55000),
	})
	want := &Spread{Median: 0.8, Min: 0.8, Max: 0.9, Q1: 0.8, Q3: 0.85}
	if diff := cmp.Diff(want, rows[1].CPURatio, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("ratio (-want +got):\n%s", diff)
	}
	if r := rows[1].RateRatio; r == nil || r.Median != 1.2 {
		t.Errorf("rate ratio %+v, want median 1.2", r)
	}
}

func TestARowWhoseProxyWasIdleGivesNoRateRatio(t *testing.T) {
	tests := []struct {
		name               string
		proxyBusy, allBusy float64
		limit              Limit
		note               string
		rateRatio          bool
	}{
		{"proxy busy", 0.97, 0.99, LimitProxy, "", true},
		{"core idle at times", 0.90, 0.92, LimitClient, "client-limited", false},
		{"core busy with others", 0.80, 1.00, LimitOthers, "shared with other processes", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			own := sample("spillway", 1, 16, 60000)
			own.ProxyBusy, own.CoreBusy = tt.proxyBusy, tt.allBusy
			rows := summarize([]Sample{sample("nginx", 1, 20, 50000), own})
			row := rows[1]
			if row.Limit != tt.limit || (row.RateRatio != nil) != tt.rateRatio || row.CPURatio == nil {
				t.Errorf("row %+v", row)
			}
			var table bytes.Buffer
			if err := writeTable(&table, rows); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(table.String()), "\n")
			if last := lines[len(lines)-1]; !strings.HasSuffix(strings.TrimSpace(last), tt.note) {
				t.Errorf("row reads %q, want the note %q", last, tt.note)
			}
		})
	}
}

func TestRoundsWithoutAFigureAreLeftOutOfRatios(t *testing.T) {
	rows := summarize([]Sample{
		sample("nginx", 1, 0, 0), sample("spillway", 1, 16, 60000),
		sample("nginx", 2, 20, 50000), sample("spillway", 2, 16, 60000),
	})
	if r := rows[1].CPURatio; r == nil || *r != (Spread{0.8, 0.8, 0.8, 0.8, 0.8}) {
		t.Errorf("ratio %+v, want that of round 2 alone", r)
	}
	rows = summarize([]Sample{sample("spillway", 1, 16, 60000)})
	if rows[0].CPURatio != nil || rows[0].RateRatio != nil {
		t.Errorf("ratios without a baseline: %+v", rows[0])
	}
}

func TestErrorsAddUpAndMemoryIsThePeak(t *testing.T) {
	a, b := sample("nginx", 1, 20, 1), sample("nginx", 2, 20, 1)
	a.Errors, b.Errors, a.RSS, b.RSS = 2, 3, 9000, 7000
	row := summarize([]Sample{a, b})[0]
	if row.Errors != 5 || row.RSS != 9000 {
		t.Errorf("errors %d, RSS %d; want 5 and 9000", row.Errors, row.RSS)
	}
}

func TestAVariantSaysWhatItCostsBesidePlainSpillway(t *testing.T) {
	rows := summarize([]Sample{
		sample("spillway", 1, 16, 60000), sample("+access-log", 1, 16.5, 59000),
		sample("spillway", 2, 24, 40000), sample("+access-log", 2, 24.75, 39000),
	})
	if rows[0].Cost != nil {
		t.Errorf("plain Spillway costs %+v beside itself", rows[0].Cost)
	}
	if c := rows[1].Cost; c == nil || c.Median != 0.625 || c.Min != 0.5 || c.Max != 0.75 {
		t.Errorf("cost %+v, want 0.625 [0.5 0.75]", c)
	}
	var table bytes.Buffer
	if err := writeTable(&table, rows); err != nil {
		t.Fatal(err)
	}
	if want := "+access-log  costs  +0.62 us/request  [+0.50 +0.75]"; !strings.Contains(table.String(), want) {
		t.Errorf("table lacks %q:\n%s", want, table.String())
	}
}
