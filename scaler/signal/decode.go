package signal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxBody bounds what one answer may take of memory.
const maxBody = 32 << 20

// answer is what a gateway says: GET /api/v1/signals.
type answer struct {
	Gateway   string                    `json:"gateway"`
	NowMS     int64                     `json:"now_ms"`
	Upstreams map[string]upstreamAnswer `json:"upstreams"`
}

type upstreamAnswer struct {
	Seconds []secondAnswer          `json:"seconds"`
	Servers map[string]serverAnswer `json:"servers"`
}

// secondAnswer is one second; t is its end in Unix time by the gateway's clock.
type secondAnswer struct {
	T int64     `json:"t"`
	A float64   `json:"a"`
	C float64   `json:"c"`
	E float64   `json:"e"`
	R float64   `json:"r"`
	L float64   `json:"l"`
	H []float64 `json:"h"`
}

type serverAnswer struct {
	Serving bool    `json:"serving"`
	L       float64 `json:"l"`
	C       float64 `json:"c"`
	Index   uint64  `json:"index"`
}

// maxSeconds is more than any gateway keeps.
const maxSeconds = 3600

// decodeAnswer reads an answer and refuses one that cannot be true: half of an
// answer would read as less traffic.
func decodeAnswer(r io.Reader) (*answer, error) {
	body, err := readBounded(r)
	if err != nil {
		return nil, err
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("cannot decode signals: %w", err)
	}
	if a.NowMS <= 0 || a.NowMS > math.MaxInt64/2 || a.Upstreams == nil {
		return nil, errors.New("cannot decode signals: now_ms or upstreams is missing")
	}
	for name, u := range a.Upstreams {
		if err := u.check(a.NowMS / 1000); err != nil {
			return nil, fmt.Errorf("cannot decode signals of upstream %q: %w", name, err)
		}
	}
	return &a, nil
}

func readBounded(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("cannot read answer: it is longer than %d bytes", maxBody)
	}
	return body, nil
}

// check wants seconds in order, none of the future or of long ago, and counts
// that are counts.
func (u *upstreamAnswer) check(now int64) error {
	last := now - maxSeconds
	for _, s := range u.Seconds {
		if s.T <= last || s.T > now+1 {
			return fmt.Errorf("second %d is out of order or not of the last %d before %d", s.T, maxSeconds, now)
		}
		last = s.T
		if len(s.H) != Buckets {
			return fmt.Errorf("second %d has %d latency counts, want %d", s.T, len(s.H), Buckets)
		}
		if !counts(s.A, s.C, s.E, s.R, s.L) || !counts(s.H...) {
			return fmt.Errorf("second %d has a negative or endless count", s.T)
		}
	}
	for addr, s := range u.Servers {
		if !counts(s.L, s.C) {
			return fmt.Errorf("server %q has a negative or endless count", addr)
		}
	}
	return nil
}

// counts reports whether all of the numbers can be counts of one second.
func counts(values ...float64) bool {
	for _, v := range values {
		if !(v >= 0 && v <= 1e12) { // NaN fails too
			return false
		}
	}
	return true
}
