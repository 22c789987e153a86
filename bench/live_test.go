package bench

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"spillway/bench/load"
)

func TestLiveLines(t *testing.T) {
	n := &liveNotes{control: new(load.Control)}
	var problems bytes.Buffer
	n.follow(strings.NewReader("event the first\n\n  event second \nrate fast\nrate 5\nstop\n"), &problems)
	events := n.take()
	if len(events) != 2 || events[0].Text != "the first" || events[1].Text != "second" {
		t.Errorf("events %+v", events)
	}
	for _, want := range []string{`"fast" is no number`, "not running", `cannot use "stop"`} {
		if !strings.Contains(problems.String(), want) {
			t.Errorf("problems do not say %q:\n%s", want, problems.String())
		}
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	second := load.Second{Index: 3, Answered: 4998, P50: 61_000, P99: 1_480_000}
	if got, want := line(&second, 2, 10*time.Second), "4s/10s  4998/s  p50 61.0us  p99 1.48ms  errors 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var pipe bytes.Buffer
	p := newProgress(&pipe, time.Second, false)
	p.second(second)
	p.end()
	if pipe.Len() > 0 {
		t.Errorf("a pipe was told %q", pipe.String())
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if p := newProgress(null, time.Second, true); p.out != nil {
		t.Error("--quiet is not heard")
	}
	var screen bytes.Buffer
	p = &progress{out: &screen, total: 10 * time.Second, label: "1/2 "}
	p.second(second)
	p.end()
	if want := "\r\x1b[K1/2 4s/10s"; !strings.HasPrefix(screen.String(), want) || !strings.HasSuffix(screen.String(), "\r\x1b[K") {
		t.Errorf("a terminal was told %q", screen.String())
	}
}
