package cloud_test

import (
	"context"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

func repeat(err error, n int) []error {
	var all []error
	for range n {
		all = append(all, err)
	}
	return all
}

func TestRetryByKind(t *testing.T) {
	repeated := map[cloud.Kind]bool{cloud.Transient: true, cloud.RateLimited: true, cloud.Ambiguous: true}
	for k := cloud.Transient; k <= cloud.DryRun; k++ {
		for _, op := range []string{cloud.OpCreate, cloud.OpDelete} {
			t.Run(op+" "+k.String(), func(t *testing.T) {
				f := &fake{answers: map[string][]error{op: repeat(kind(k), 9)}}
				d := cloud.Retry(f, newClock().Moving(), half, cloud.RetryOptions{Attempts: 3})
				var err error
				if op == cloud.OpCreate {
					_, err = d.Create(t.Context(), request(1))
				} else {
					err = d.Delete(t.Context(), "i-1")
				}
				wantKind(t, err, k)
				want := 1
				if repeated[k] && !(op == cloud.OpCreate && k == cloud.Ambiguous) {
					want = 3
				}
				if n := f.count(op); n != want {
					t.Errorf("%d calls, want %d", n, want)
				}
			})
		}
	}
}

func TestRetryWaitsLongerEachTimeWithFullJitter(t *testing.T) {
	clock := newClock()
	var at []time.Duration
	f := &fake{answers: map[string][]error{cloud.OpList: repeat(kind(cloud.Transient), 4)}}
	f.on = func(string) { at = append(at, clock.Now().Sub(start)) }
	d := cloud.Retry(f, clock.Moving(), half, cloud.RetryOptions{Attempts: 5, Base: time.Second, Most: 5 * time.Second})
	if _, err := d.List(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	// Half of 2, 4, then of the 5 that are the most.
	want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 5500 * time.Millisecond, 8 * time.Second}
	for i, w := range want {
		if i >= len(at) || at[i] != w {
			t.Fatalf("tries at %v, want %v", at, want)
		}
	}
}

func TestRetryEndsInTime(t *testing.T) {
	t.Run("of its own", func(t *testing.T) {
		clock := newClock()
		f := &fake{answers: map[string][]error{cloud.OpList: repeat(kindAfter(cloud.RateLimited, 40*time.Second), 9)}}
		d := cloud.Retry(f, clock.Moving(), half, cloud.RetryOptions{Attempts: 9, Within: time.Minute})
		_, err := d.List(t.Context(), nil)
		wantKind(t, err, cloud.RateLimited)
		if n := f.count(cloud.OpList); n != 2 {
			t.Errorf("%d tries 40s apart within a minute, want 2", n)
		}
	})
	t.Run("of the context", func(t *testing.T) {
		clock := newClock()
		f := &fake{answers: map[string][]error{cloud.OpList: repeat(kind(cloud.Transient), 9)}}
		ctx, cancel := context.WithCancel(t.Context())
		f.on = func(string) { cancel() }
		d := cloud.Retry(f, clock.Moving(), half, cloud.RetryOptions{})
		_, err := d.List(ctx, nil)
		wantKind(t, err, cloud.Transient)
		if n := f.count(cloud.OpList); n != 1 {
			t.Errorf("%d tries after the context ended, want 1", n)
		}
	})
}
