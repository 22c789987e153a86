package signals

import (
	"testing"
	"time"
)

func TestAnnouncementsExpireAMinuteAfterTheirTime(t *testing.T) {
	now := time.Unix(start, 0)
	a := NewAnnounced(func() time.Time { return now })
	want := Capacity{Ordered: 3, ETA: now.Add(30 * time.Second)}
	a.Set("web", want)
	for _, tc := range []struct {
		at time.Duration
		ok bool
	}{{0, true}, {30 * time.Second, true}, {90 * time.Second, true}, {90*time.Second + 1, false}} {
		now = time.Unix(start, 0).Add(tc.at)
		if got, ok := a.Get("web"); ok != tc.ok || ok && got != want {
			t.Errorf("after %v: %v %+v", tc.at, ok, got)
		}
	}
	if n := len(a.m); n != 0 {
		t.Errorf("%d are kept", n)
	}
}

func TestAnnouncementsAreReplacedAndTakenBack(t *testing.T) {
	now := time.Unix(start, 0)
	a := NewAnnounced(func() time.Time { return now })
	a.Set("web", Capacity{1, now})
	a.Set("web", Capacity{2, now})
	a.Set("api", Capacity{5, now})
	a.Set("api", Capacity{})
	a.Set("never", Capacity{})
	got := map[string]float64{}
	a.Each(func(name string, c Capacity) { got[name] = c.Ordered })
	if len(got) != 1 || got["web"] != 2 {
		t.Errorf("got %v", got)
	}
}
