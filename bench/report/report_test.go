package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// full is a report in which everything is set.
func full() *Report {
	q := Quantiles{Count: 9, Mean: 12.5, Min: 1, P50: 10, P90: 20, P99: 1500, P999: 2e6, P9999: 3e6, Max: 3.5e6}
	return &Report{
		Schema: Schema, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: []string{"--url", "x"},
		Environment: Environment{CPU: "a CPU", Processors: 2, Kernel: "6.1", Governor: "unknown", LoadAverage: "0.1", Go: "go1", Version: "devel"},
		Load:        Load{URL: "http://127.0.0.1:1/<b>", Connections: 3, Pipeline: 4, Fresh: true, Loop: "open", Schedule: "100", Arrivals: "poisson", Seconds: 2, Requests: []string{"read", "write"}},
		Latency:     Latency{Corrected: q, Raw: q, GeneratorLag: q, Connect: q},
		Rate:        Rate{Planned: 100, Achieved: 99.5}, Requests: 200, Answered: 199, Unsent: 1,
		Errors: Errors{Total: 2, ByKind: map[string]uint64{"reset": 1, "status": 1}}, Status: map[string]uint64{"200": 198, "503": 1},
		Connections: 5, Received: 1e6, Duration: 2, Valid: false, Invalid: []string{"generator lag"}, Notes: []string{"a note"},
		Thresholds: []Threshold{{"p99<5ms", 1500, true}, {"errors=0", 0.01, false}},
		Generator:  Generator{CPU: 5, Busy: 0.5},
		Server:     &Server{PID: 7, CPU: 20, CPUUser: 5, CPUSystem: 15, RSSPeak: 1 << 20, Ended: true},
		Search:     &Search{SLO: "p99<5ms", Rate: 90, Limit: "target", Probes: []Probe{{100, "fails"}}},
		Trials:     []Trial{{Index: 1, Rate: 99, P50: 10, P99: 1000, Valid: true}, {Index: 2, Rate: 100, P50: 11, P99: 2000}},
		Timeline: []Second{
			{Trial: 1, At: 0, Planned: 100, Sent: 100, Answered: 100, P50: 10, P90: 20, P95: 25, P99: 30, Max: 40, Mean: 11},
			{Trial: 1, At: 1, Planned: 100, Sent: 0, Answered: 0, Errors: 2},
			{Trial: 2, At: 0, Planned: 100, Sent: 99, Answered: 99, P50: 10, P90: 20, P99: 30, Max: 4e6, Mean: 11},
		},
		Events:    []Event{{Trial: 1, At: 0.5, Text: "reload <now> & then"}, {Trial: 2, At: 0.2, Text: "kill"}},
		Watched:   []Watched{{Title: "Capacity", Unit: "machines", Lines: []Line{{"wanted", [][2]float64{{0, 1}, {1.5, 3}}}, {"ready", [][2]float64{{1, 1}}}}}},
		Histogram: [][2]float64{{10, 100}, {20, 90}, {2e6, 9}},
	}
}

func TestSavedReportsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	var b bytes.Buffer
	if err := full().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), r); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "{", "{}", `{"schema":99}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "cannot read report") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestTextSaysEverythingThatMatters(t *testing.T) {
	var b bytes.Buffer
	if err := full().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"open loop, 100 poisson, 3 connections, 4 requests pipelined, a connection a request, 2s, 2 trials", "requests: read, write",
		"corrected", "raw", "generator lag", "1.50ms", "2.00s", "99.5/s of 100.0/s planned", "200 sent, 199 answered, 1 planned but never sent",
		"errors    2 (reset 1, status 1)", "status    200 198, 503 1", "server    20.00 us", "it had ended", "ok        p99<5ms", "MISSED    errors=0", "note      a note", "INVALID   generator lag",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, b.String())
		}
	}
}

func TestCSVHasALineASecond(t *testing.T) {
	var b bytes.Buffer
	if err := full().WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != 4 || lines[0][1] != "at_s" || lines[2][5] != "2" || lines[3][11] != "4000000" {
		t.Errorf("%v: %v", err, lines)
	}
}

// TestPageStandsAlone reads the page with an XML parser, which is stricter than
// a browser about the drawings, and looks for anything fetched from elsewhere.
func TestPageStandsAlone(t *testing.T) {
	for _, reports := range [][]*Report{{full()}, {full(), full()}, {{Schema: 1, Valid: true, Load: Load{URL: "http://x/"}}}} {
		var b bytes.Buffer
		if err := WritePage(&b, reports, []string{"one <b>", "two"}); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if found := regexp.MustCompile(`(?i)(src|href|@import|url\()[^>]*`).FindString(page); found != "" {
			t.Errorf("the page asks for %q", found)
		}
		if strings.Contains(page, "<b>\"") || strings.Contains(page, "<now>") || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Error("the page holds text that was not escaped, or numbers that are none")
		}
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("a drawing is not well-formed: %v\n%s", err, svg)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := full().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Latency by percentile", "Latency over time", "reload &lt;now&gt; &amp; then", "kill", "Invalid: generator lag", "errors=0: missed", "99.9%"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func TestDurationsAreWrittenWithThreeDigits(t *testing.T) {
	for us, want := range map[float64]string{
		0: "0.00us", 1.234: "1.23us", 12.34: "12.3us", 999.4: "999us", 999.5: "1.00ms", 1234: "1.23ms", 99_960: "100ms", 999_499: "999ms", 999_500: "1.00s", 3.6e9: "3600s",
	} {
		if got := Micros(us); got != want {
			t.Errorf("%g us is written %s, want %s", us, got, want)
		}
	}
}
