package peers

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	line := "4242 (a) b (c) S 17 4242 4242 0 -1 4194560 1 2 3 4 250 75 9 9 20 0 3 0 100 1000 200 18446744073709551615"
	got, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	want := stat{parent: 17, user: 2500 * time.Millisecond, system: 750 * time.Millisecond}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "1 (x) S", "1 (x) S a 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) found no fault", bad)
		}
	}
}

func TestUsageSince(t *testing.T) {
	ms := time.Millisecond
	before := usage{user: 100 * ms, system: 100 * ms, threads: map[int]time.Duration{1: 150 * ms, 2: 51 * ms}}
	tests := []struct {
		name  string
		after usage
		want  spent
	}{
		{
			"exact total, divided as the coarse one",
			usage{user: 110 * ms, system: 130 * ms, threads: map[int]time.Duration{1: 170 * ms, 2: 55 * ms, 3: 20 * ms}},
			spent{user: 11 * ms, system: 33 * ms},
		},
		{
			"a thread ended: its time is only in the coarse total",
			usage{user: 110 * ms, system: 130 * ms, threads: map[int]time.Duration{1: 170 * ms}},
			spent{user: 10 * ms, system: 30 * ms},
		},
		{
			"kernel without schedstat",
			usage{user: 110 * ms, system: 130 * ms},
			spent{user: 10 * ms, system: 30 * ms},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.after.since(before)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(spent{})); diff != "" {
				t.Errorf("spent (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCore(t *testing.T) {
	text := "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 10 0 20 100 5 1 2 2 0 0\ncpu1 0 0 0 7 0 0 0 0 0 0\nintr 1\n"
	before, err := parseCore(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := (coreTime{idle: 105, total: 140}); before != want {
		t.Errorf("got %+v, want %+v", before, want)
	}
	after := coreTime{idle: before.idle + 25, total: before.total + 100}
	if got := after.busySince(before); got != 0.75 {
		t.Errorf("busy %v, want 0.75", got)
	}
	if _, err := parseCore(text, 2); err == nil {
		t.Error("a processor that does not exist has times")
	}
}

func TestReadUsageCountsThisProcess(t *testing.T) {
	before, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for deadline := time.Now().Add(60 * time.Millisecond); time.Now().Before(deadline); {
		sum++
	}
	after, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	exact, ok := after.exactSince(before)
	if coarse := after.since(before).total(); coarse <= 0 && (!ok || exact <= 0) {
		t.Errorf("no CPU time seen after %d turns: %v, exact %v", sum, coarse, exact)
	}
	if rss, err := readRSS(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident memory %d, %v", rss, err)
	}
	if _, err := readUsage(1 << 30); err == nil {
		t.Error("a process that does not exist has used time")
	}
}
