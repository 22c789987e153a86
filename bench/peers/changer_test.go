package peers

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeAPI answers like HAProxy's runtime API, one command a connection.
func fakeAPI(t *testing.T, answer string) (addr string, commands <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	got := make(chan string, 100)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Fprint(c, answer)
			c.Close()
			got <- strings.TrimSpace(line)
		}
	}()
	return ln.Addr().String(), got
}

func TestSlotsAreUsedAgain(t *testing.T) {
	addr, commands := fakeAPI(t, "\n")
	s := &slots{addr: addr}
	steps := []change{{added: "127.0.0.1:1"}, {added: "127.0.0.1:2"}, {removed: "127.0.0.1:1"}, {added: "127.0.0.1:3"}}
	want := []string{
		"set server backends/slot1 addr 127.0.0.1 port 1; set server backends/slot1 state ready",
		"set server backends/slot2 addr 127.0.0.1 port 2; set server backends/slot2 state ready",
		"set server backends/slot1 state maint",
		"set server backends/slot1 addr 127.0.0.1 port 3; set server backends/slot1 state ready",
	}
	for i, c := range steps {
		if err := s.apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], <-commands); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	if err := s.apply(t.Context(), change{removed: "127.0.0.1:9"}); err == nil {
		t.Error("a server that is in no slot was taken out")
	}
}

func TestARefusedCommandIsAnError(t *testing.T) {
	addr, _ := fakeAPI(t, "No such server.\n")
	s := &slots{addr: addr}
	err := s.apply(t.Context(), change{added: "127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "No such server") {
		t.Errorf("got %v", err)
	}
}

// TestReloadsAreApart signals this very process.
func TestReloadsAreApart(t *testing.T) {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	o := Defaults()
	o.Self = []string{"self"}
	at := place{Listen: "127.0.0.1:1", Dir: t.TempDir(), Workers: 1}
	r := &reloader{definitions(&o)[0], subject{pid: os.Getpid(), at: at}, syscall.SIGUSR1, time.Time{}}
	if err := r.apply(t.Context(), change{servers: []string{"127.0.0.1:2"}}); err != nil {
		t.Fatal(err)
	}
	<-signals
	if err := r.apply(t.Context(), change{servers: []string{"127.0.0.1:3"}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(at.Dir + "/nginx-nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "server 127.0.0.1:2;") || strings.Contains(string(text), "127.0.0.1:3") {
		t.Errorf("a change right after a reload was not left to the next one:\n%s", text)
	}
	r.last = r.last.Add(-reloadGap)
	if err := r.apply(t.Context(), change{servers: []string{"127.0.0.1:3"}}); err != nil {
		t.Fatal(err)
	}
	<-signals
	if text, _ := os.ReadFile(at.Dir + "/nginx-nginx.conf"); !strings.Contains(string(text), "server 127.0.0.1:3;") {
		t.Errorf("the next reload lacks the server:\n%s", text)
	}
}

func TestFirstRequestsAreFoundBetweenTwoAdditions(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }
	seen, err := parseSight(fmt.Sprintf("accepted 5\na %d\na %d\nb %d\n", at(12).UnixNano(), at(57).UnixNano(), at(5).UnixNano()))
	if err != nil || seen.accepted != 5 {
		t.Fatalf("%+v, %v", seen, err)
	}
	done := []made{
		{change{added: "a"}, at(10)},
		{change{removed: "a"}, at(20)},
		{change{added: "b"}, at(30)}, // its only request came before
		{change{added: "a"}, at(50)},
	}
	var c Changed
	c.firsts(done, &seen)
	if diff := cmp.Diff([]float64{2, 7}, c.Firsts); diff != "" || c.Added != 3 {
		t.Errorf("added %d (-want +got):\n%s", c.Added, diff)
	}
	for _, bad := range []string{"accepted x\n", "a\n"} {
		if _, err := parseSight(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestPlansLeaveTimeBeforeTheFirstChange(t *testing.T) {
	o := Options{Duration: 30 * time.Second}
	tests := []struct{ interval, lead, length time.Duration }{
		{10 * time.Second, 10 * time.Second, 60 * time.Second},
		{time.Second, 5 * time.Second, 30 * time.Second},
		{10 * time.Millisecond, 5 * time.Second, 30 * time.Second},
	}
	for _, tt := range tests {
		p := o.planOf(tt.interval, 0, 100)
		if p.lead != tt.lead || p.length != tt.length {
			t.Errorf("every %v: lead %v of %v, want %v of %v", tt.interval, p.lead, p.length, tt.lead, tt.length)
		}
	}
}
