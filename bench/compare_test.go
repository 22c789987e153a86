package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/bench/report"
)

// saved writes a report whose seconds lie close around a latency.
func saved(t *testing.T, p50 float64, seconds int) string {
	t.Helper()
	r := &report.Report{Schema: report.Schema, Valid: true, Requests: 1000, Answered: 1000}
	r.Load.Loop = "closed"
	for i := range seconds {
		wave := 1 + 0.01*float64(i*7%5-2)
		r.Timeline = append(r.Timeline, report.Second{At: float64(i), P50: p50 * wave, P90: 2 * p50 * wave, P99: 3 * p50 * wave, Answered: uint64(1e7 / p50 / wave)})
	}
	path := filepath.Join(t.TempDir(), "r.json")
	if err := saveAs(path, r.WriteJSON); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCompareExitCodes(t *testing.T) {
	base := saved(t, 1000, 12)
	for _, tt := range []struct {
		other string
		code  int
		says  string
	}{
		{saved(t, 1000, 12), 0, "B is not different from A"},
		{saved(t, 1100, 12), 4, "B is slower than A"},
		{saved(t, 900, 12), 0, "B is faster than A"},
		{saved(t, 5000, 3), 3, "too few values"},
	} {
		code, out, errs := command("compare", base, tt.other)
		if code != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("exit %d, want %d with %q: %s%s", code, tt.code, tt.says, out, errs)
		}
	}
	if code, out, _ := command("compare", "--json", base, saved(t, 1100, 12)); code != 4 || !strings.Contains(out, `"verdict": "slower"`) {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, _ := command("compare", "--effect", "0.2", base, saved(t, 1100, 12)); code != 0 {
		t.Errorf("exit %d though only a fifth matters", code)
	}
}

func TestReportAgain(t *testing.T) {
	file, dir := saved(t, 1000, 12), t.TempDir()
	page, lines := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.csv")
	if code, _, errs := command("report", "--html", page, "--csv", lines, file, file); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for path, want := range map[string]string{page: "2 runs compared", lines: "at_s"} {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not hold %q (%v)", path, want, err)
		}
	}
	if code, out, _ := command("report", file); code != 0 || !strings.Contains(out, "closed loop") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, _ := command("report"); code != 64 {
		t.Errorf("exit %d without a file", code)
	}
	if code, _, _ := command("report", "--html", "/does/not/exist/r.html", file); code != 1 {
		t.Errorf("exit %d for a place that cannot be written", code)
	}
}
