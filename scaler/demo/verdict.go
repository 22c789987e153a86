package demo

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"spillway/bench/report"
)

// holdSeconds is how long p95 has to stay under the target to count as being
// under it again.
const holdSeconds = 5

// promise is one thing the run was to show.
type promise struct {
	ok   bool
	text string
}

// verdict is all of them.
type verdict struct {
	promises []promise
	figures  []string
}

// judge holds what was seen against what was promised. It is a pure function.
func judge(o *Options, r *report.Report, s *story) *verdict {
	v := &verdict{}
	v.check(r.Errors.Total == 0, "%d of %d requests failed %v", r.Errors.Total, r.Requests, r.Errors.ByKind)
	v.check(onlyOK(r), "answers by status: %v", r.Status)
	spike := o.Quiet.Seconds()
	v.check(s.most() > 1, "%d servers in traffic at most", s.most())
	first, last := violated(r, o.Target, spike, spike+(o.Rise+o.Hold).Seconds())
	took := time.Duration((last - first) * float64(time.Second))
	allowed := s.lead + o.Slack
	v.check(took <= allowed, "p95 was above %v for %v, allowed are %v (measured lead %v and %v)", o.Target, took, allowed, s.lead.Round(100*time.Millisecond), o.Slack)
	v.check(s.drained, "everything rented was given back while load went on")
	v.check(len(s.left) == 0, "left over: %s", orNothing(s.left))
	v.figure("SLO violated in %d seconds (p95 above %v)", violations(r, o.Target), o.Target)
	v.figure("cost %.4f (prices of the configuration), most machines rented at once %d", s.cost, s.mostRented())
	v.figure("%s", s.leads.sentence())
	return v
}

func (v *verdict) check(ok bool, format string, args ...any) {
	v.promises = append(v.promises, promise{ok, fmt.Sprintf(format, args...)})
}

func (v *verdict) figure(format string, args ...any) {
	v.figures = append(v.figures, fmt.Sprintf(format, args...))
}

func (v *verdict) write(out io.Writer) {
	fmt.Fprintln(out)
	for _, p := range v.promises {
		word := "ok    "
		if !p.ok {
			word = "FAILED"
		}
		fmt.Fprintf(out, "%s %s\n", word, p.text)
	}
	for _, f := range v.figures {
		fmt.Fprintln(out, f)
	}
}

// err names the promises that were not kept.
func (v *verdict) err() error {
	var all []error
	for _, p := range v.promises {
		if !p.ok {
			all = append(all, errors.New(p.text))
		}
	}
	return errors.Join(all...)
}

// onlyOK reports whether every answer was a 200.
func onlyOK(r *report.Report) bool {
	for code, n := range r.Status {
		if code != "200" && n > 0 {
			return false
		}
	}
	return true
}

// violated returns the first second from which p95 was above the target and the
// one from which it stayed under it, between two instants; both are equal if it
// never was.
func violated(r *report.Report, target time.Duration, from, to float64) (first, last float64) {
	above := func(t *report.Second) bool { return t.P95 > float64(target.Microseconds()) }
	first, last = from, from
	good, started := 0, false
	for i := range r.Timeline {
		t := &r.Timeline[i]
		switch {
		case t.At < from || t.At > to:
		case above(t):
			if !started {
				first, started = t.At, true
			}
			good, last = 0, t.At+1
		case started:
			if good++; good >= holdSeconds {
				return first, last
			}
		}
	}
	return first, last
}

// violations is the number of seconds above the target.
func violations(r *report.Report, target time.Duration) (n int) {
	for i := range r.Timeline {
		if r.Timeline[i].P95 > float64(target.Microseconds()) {
			n++
		}
	}
	return n
}

func (s *story) mostRented() (n int) {
	for i := range s.moments {
		n = max(n, s.moments[i].rented)
	}
	return n
}

func orNothing(left []string) string {
	if len(left) == 0 {
		return "nothing (containers, machines, namespaces, cgroups, mounts, KV keys, services)"
	}
	return strings.Join(left, ", ")
}
