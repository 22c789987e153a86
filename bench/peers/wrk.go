package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// tally is what wrk reports of one measurement (see conf/wrk.lua). Its latencies
// are those of a closed loop: they leave out what a waiting client would have
// sent.
type tally struct {
	Requests   int64 `json:"requests"`
	DurationUS int64 `json:"duration_us"`
	P50US      int64 `json:"p50_us"`
	P99US      int64 `json:"p99_us"`
	MaxUS      int64 `json:"max_us"`
	Connect    int64 `json:"connect"`
	Read       int64 `json:"read"`
	Write      int64 `json:"write"`
	Timeout    int64 `json:"timeout"`
	Status     int64 `json:"status"` // answers above 399
}

func (w tally) errors() int64 { return w.Connect + w.Read + w.Write + w.Timeout + w.Status }

func (w tally) rate() float64 {
	if w.DurationUS == 0 {
		return 0
	}
	return float64(w.Requests) / (float64(w.DurationUS) / 1e6)
}

// runWrk loads url from one thread on the client's processor.
func (l *lab) runWrk(ctx context.Context, url string, connections int, d time.Duration) (tally, error) {
	seconds := strconv.Itoa(int(d / time.Second))
	cmd := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(l.clientCPU), "wrk",
		"-t1", "-c"+strconv.Itoa(connections), "-d"+seconds+"s", "-s", l.script(), url)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return tally{}, fmt.Errorf("cannot finish the measurement of %s: %w", url, ctx.Err())
	}
	if err != nil {
		return tally{}, fmt.Errorf("cannot run wrk against %s: %w: %s", url, err, out)
	}
	return parseWrk(string(out))
}

func parseWrk(out string) (tally, error) {
	_, rest, ok := strings.Cut(out, "RESULT ")
	if !ok {
		return tally{}, fmt.Errorf("cannot read wrk's output: no result line: %q", out)
	}
	line, _, _ := strings.Cut(rest, "\n")
	var w tally
	if err := json.Unmarshal([]byte(line), &w); err != nil {
		return tally{}, fmt.Errorf("cannot read wrk's output %q: %w", line, err)
	}
	return w, nil
}
