//go:build !race

package bench

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// capacity serves requests one after the other, so many a second and no more,
// however many wait.
func capacity(rate int) http.HandlerFunc {
	var mu sync.Mutex
	next := time.Now()
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		if now := time.Now(); next.Before(now) {
			next = now
		}
		next = next.Add(time.Second / time.Duration(rate))
		wait := time.Until(next)
		mu.Unlock()
		<-time.After(wait)
		io.WriteString(w, "done")
	}
}

// TestHonestStall is the comparison that matters: 5,000/s against a server that
// stands still for a second.
func TestHonestStall(t *testing.T) {
	begin := time.Now()
	const from, until = 500 * time.Millisecond, 1500 * time.Millisecond
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if at := time.Since(begin); at > from && at < until {
			<-time.After(until - at)
		}
		io.WriteString(w, "hello")
	})
	_, out, _ := command("run", "--url", url, "--rate", "5000", "--duration", "3s", "--connections", "32", "--json", "-")
	var r map[string]any
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	corrected, _ := at(r, "latency_us", "corrected", "p99_9").(float64)
	raw, _ := at(r, "latency_us", "raw", "p99").(float64)
	if corrected < 900_000 || corrected > 2_000_000 {
		t.Errorf("corrected p99.9 is %.0f us, want near a second", corrected)
	}
	if raw > 500_000 {
		t.Errorf("raw p99 is %.0f us: 32 requests of 15,000 were caught", raw)
	}
}

// TestSearchFindsAKnownCapacity uses the median as the condition: the server
// shares this process and this machine with others, and its tail shows that.
// Above the capacity the median grows with the queue, by 20 ms at 5 %.
func TestSearchFindsAKnownCapacity(t *testing.T) {
	const rate = 1000
	url := serve(t, capacity(rate))
	var said string
	for range 2 { // a machine that does other work may have taken the capacity away
		code, out, errs := command("search", "--url", url, "--slo", "p50<16ms,errors=0", "--start", "700", "--duration", "800ms", "--confirm", "800ms",
			"--precision", "0.05", "--connections", "128", "--max-lag", "1s", "--json", "-")
		var r map[string]any
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("exit %d, %v: %s", code, err, errs)
		}
		found, _ := at(r, "search", "rate").(float64)
		if code == 0 && found >= 0.95*rate && found <= 1.05*rate {
			return
		}
		said += errs
	}
	t.Errorf("the capacity is %d, but:\n%s", rate, said)
}

func TestGeneratorEndsWithARatio(t *testing.T) {
	code, out, errs := command("generator", "--rounds", "1", "--duration", "1s", "--connections", "8")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "ratio ")
	ratio, err := strconv.ParseFloat(last, 64)
	if code != 0 || !ok || err != nil || ratio < 0.1 || ratio > 5 {
		t.Errorf("exit %d: %q, %q", code, out, errs)
	}
}

// TestRunsAreComparedByWhatTheServerDoes measures two servers: two runs of one
// are not called different, one that takes a tenth longer is.
func TestRunsAreComparedByWhatTheServerDoes(t *testing.T) {
	run := func(service time.Duration) string {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(service)
			io.WriteString(w, "done")
		})
		file := filepath.Join(t.TempDir(), "r.json")
		if code, out, errs := command("run", "--url", url, "--duration", "250ms", "--repeat", "10", "--connections", "4", "--json", file); code != 0 {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
		return file
	}
	first, again, slower := run(20*time.Millisecond), run(20*time.Millisecond), run(22*time.Millisecond)
	if code, out, errs := command("compare", first, again); code != 0 || strings.Contains(out, "is slower") {
		t.Errorf("exit %d for two runs of one server: %s%s", code, out, errs)
	}
	if code, out, errs := command("compare", first, slower); code != 4 || !strings.Contains(out, "B is slower than A") {
		t.Errorf("exit %d for one that takes a tenth longer: %s%s", code, out, errs)
	}
}
