package signal

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const goodAnswer = `{"gateway":"g","now_ms":1764000010250,"upstreams":{"web":{"seconds":[
{"t":1764000009,"a":2,"c":2,"e":0,"r":0,"l":0.5,"h":[0,0,0,0,0,0,0,2,0,0,0,0,0,0,0,0,0,0,0,0]},
{"t":1764000010,"a":1,"c":1,"e":1,"r":0,"l":0.25,"h":[0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0]}],
"servers":{"10.0.0.1:8080":{"serving":true,"l":1,"c":1,"index":42}}}}}`

func TestAnswersThatCannotBeTrueAreRefused(t *testing.T) {
	if _, err := decodeAnswer(strings.NewReader(goodAnswer)); err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string][2]string{
		"twice the same second":  {"1764000010,", "1764000009,"},
		"a second of the future": {"1764000010,", "1764000012,"},
		"a negative count":       {`"a":1`, `"a":-1`},
		"an endless count":       {`"a":1`, `"a":1e300`},
		"too few buckets":        {"[0,0,0,0,0,0,0,1,", "[1,"},
		"a negative in flight":   {`"l":1,`, `"l":-1,`},
		"a text for a number":    {`"a":1`, `"a":"1"`},
	} {
		if !strings.Contains(goodAnswer, edit[0]) {
			t.Fatalf("%s: %s is not in the answer", what, edit[0])
		}
		if _, err := decodeAnswer(strings.NewReader(strings.Replace(goodAnswer, edit[0], edit[1], 1))); err == nil {
			t.Errorf("%s: found no error", what)
		}
	}
	if _, err := decodeAnswer(bytes.NewReader(make([]byte, maxBody+1))); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an endless answer: found %v", err)
	}
}

func TestQuantileLiesInItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Second
		total := 0.0
		for k := range s.Latency {
			s.Latency[k] = float64(rapid.IntRange(0, 5).Draw(t, "count"))
			total += s.Latency[k]
		}
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		got := s.Quantile(q)
		if total == 0 {
			if got != 0 {
				t.Fatalf("found %v without requests", got)
			}
			return
		}
		below := 0.0
		for k, n := range s.Latency {
			low, high := FirstBound<<k/2, FirstBound<<k
			if k == 0 {
				low = 0
			}
			if below += n; below >= q*total-1e-9 && n > 0 {
				if got < low || got > high {
					t.Fatalf("%g of %v is %v, want it in %v to %v", q, s.Latency, got, low, high)
				}
				return
			}
		}
	})
}

func TestQuantileInterpolates(t *testing.T) {
	var s Second
	s.Latency[11] = 100 // 51.2 to 102.4 ms
	if got, want := s.Quantile(0.5), 76800*time.Microsecond; got != want {
		t.Errorf("the median is %v, want %v", got, want)
	}
	s.Latency = [Buckets]float64{}
	s.Latency[Buckets-1] = 1
	if got, want := s.Quantile(0.95), FirstBound<<(Buckets-2); got != want {
		t.Errorf("the open bucket is %v, want its lower bound %v", got, want)
	}
}

// FuzzAnswer: no answer makes the decoder or the book panic, and what is taken
// is finite.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(goodAnswer), int64(1764000010))
	f.Add([]byte(`{"now_ms":1,"upstreams":{}}`), int64(0))
	f.Fuzz(func(t *testing.T, body []byte, now int64) {
		a, err := decodeAnswer(bytes.NewReader(body))
		if err != nil {
			return
		}
		p, u := &peer{joined: 1}, &series{}
		at := time.Unix(now&(1<<40-1), 0)
		for range 2 { // twice the same is counted once
			p.take(a, at, at, func(_ string, sec int64, s *secondAnswer) { u.add(sec, s) })
		}
		for t0 := range int64(keep) {
			s := u.second(p.newest - t0)
			if math.IsNaN(s.Arrivals) || math.IsInf(s.Arrivals, 0) || s.Arrivals < 0 || s.P95 < 0 {
				t.Fatalf("found %+v", s)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1764000000.1,"12.5"]}]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1764000000,"3"]}}`,
		`{"status":"error","errorType":"bad_data","error":"parse error"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if v, err := decodeQuery(body); err == nil && !counts(v) {
			t.Fatalf("found %g", v)
		}
	})
}
