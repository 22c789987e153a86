package machine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheLeaseEndsOnlyWithoutTrafficAndWithoutScaler(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	hour := Lease{Idle: time.Hour}
	for _, tt := range []struct {
		name             string
		lease            Lease
		traffic, contact time.Time
		want             bool
	}{
		{"neither for an hour", hour, ago(time.Hour), ago(time.Hour), true},
		{"neither for a day", hour, ago(24 * time.Hour), ago(24 * time.Hour), true},
		{"a request a second ago, no scaler for a day", hour, ago(time.Second), ago(24 * time.Hour), false},
		{"no request for a day, the scaler a second ago", hour, ago(24 * time.Hour), ago(time.Second), false},
		{"just not", hour, ago(time.Hour), ago(time.Hour - 1), false},
		{"no lease", Lease{}, ago(24 * time.Hour), ago(24 * time.Hour), false},
		{"clocks went back", hour, ago(-time.Hour), ago(-time.Hour), false},
	} {
		if got := tt.lease.Ends(now, tt.traffic, tt.contact); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestLeasesOfABatchEndOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		idle := time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "idle"))
		got := NewLease(idle, id).Idle
		if got < idle || got > idle+idle/4+1 || got != NewLease(idle, id).Idle {
			t.Fatalf("%v became %v", idle, got)
		}
	})
	if NewLease(time.Hour, "i-1") == NewLease(time.Hour, "i-2") {
		t.Error("two machines end at once")
	}
	if NewLease(0, "i-1").Idle != 0 || NewLease(-1, "i-1").Idle != 0 {
		t.Error("a machine without lease got one")
	}
}

// A day of outage, seen minute by minute.
func TestADayWithoutScaler(t *testing.T) {
	away := errors.New("away")
	for name, tt := range map[string]struct {
		count func(minute int) counted
		err   error
		ends  int // minute, 0 never
	}{
		"a request every 50 minutes":     {func(m int) counted { return counted{uint64(m / 50), true} }, away, 0},
		"requests end after ten minutes": {func(m int) counted { return counted{uint64(min(m, 10)), true} }, away, 10 + 60},
		"never a request":                {func(int) counted { return counted{0, true} }, away, 60},
		"nobody counts":                  {func(int) counted { return counted{} }, away, 0},
		"the counter is set back":        {func(m int) counted { return counted{uint64(100 - m%50), true} }, away, 0},
		"the scaler is there":            {func(int) counted { return counted{0, true} }, nil, 0},
	} {
		now := time.Unix(1_800_000_000, 0)
		k := keeper{lease: Lease{Idle: time.Hour}, now: func() time.Time { return now }, traffic: now, contact: now}
		ended := 0
		for m := 1; m <= 24*60 && ended == 0; m++ {
			now = now.Add(time.Minute)
			if k.look(tt.count(m), tt.err) {
				ended = m
			}
		}
		if ended != tt.ends {
			t.Errorf("%s: ended in minute %d, want %d", name, ended, tt.ends)
		}
	}
}

const counters = `Chain SPILLWAY-LEASE (1 references)
    pkts      bytes target     prot opt in     out     source               destination
      12      720 RETURN     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:2376
     345    67890            0    --  *      *       0.0.0.0/0            0.0.0.0/0            ctdir ORIGINAL length 61:65535 /* requests */
`

func TestTheCounterIsFoundInWhatIptablesPrints(t *testing.T) {
	if n, err := parseCount(counters); n != 345 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for _, text := range []string{"", "hello", strings.ReplaceAll(counters, "345", "-"), strings.ReplaceAll(counters, "requests", "others")} {
		if n, err := parseCount(text); err == nil {
			t.Errorf("%q has %d", text, n)
		}
	}
}

func FuzzParseCount(f *testing.F) {
	f.Add(counters)
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseCount(text); err != nil && n != 0 && !strings.Contains(err.Error(), "range") {
			t.Errorf("%d with error %v", n, err)
		}
	})
}
