package policy

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// cron is a parsed crontab(5) expression of five fields: a bit for each
// allowed value.
type cron struct {
	minute, hour, dom, month, dow uint64
	// As in crontab(5), a day matches either of dom and dow when both are
	// restricted.
	domAny, dowAny bool
}

// cronField is what one field may hold.
type cronField struct {
	name      string
	low, high int
	names     string // of the values from low on, three letters each
}

func cronFields() [5]cronField {
	return [5]cronField{
		{"minute", 0, 59, ""},
		{"hour", 0, 23, ""},
		{"day of month", 1, 31, ""},
		{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
		{"day of week", 0, 7, "sunmontuewedthufrisat"},
	}
}

// parseCron reads "minute hour day-of-month month day-of-week" with *, lists,
// ranges, steps and names, as crontab(5) describes them. Sunday is 0 and 7.
func parseCron(text string) (cron, error) {
	words := strings.Fields(text)
	if len(words) != 5 {
		return cron{}, fmt.Errorf("%q has %d fields, allowed: 5 (minute, hour, day of month, month, day of week)", text, len(words))
	}
	var sets [5]uint64
	for i, f := range cronFields() {
		var err error
		if sets[i], err = f.parse(words[i]); err != nil {
			return cron{}, err
		}
	}
	c := cron{
		minute: sets[0], hour: sets[1], dom: sets[2], month: sets[3], dow: sets[4],
		domAny: strings.HasPrefix(words[2], "*"), dowAny: strings.HasPrefix(words[4], "*"),
	}
	c.dow |= c.dow >> 7 & 1 // 7 is Sunday too
	if !c.happens() {
		return cron{}, fmt.Errorf("%q never happens: no such day in these months", text)
	}
	return c, nil
}

func (f cronField) parse(text string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(text, ",") {
		bits, err := f.parsePart(part)
		if err != nil {
			return 0, fmt.Errorf("%s %q: %w", f.name, part, err)
		}
		set |= bits
	}
	return set, nil
}

// parsePart reads "*", "N", "N-M", each with an optional "/STEP".
func (f cronField) parsePart(part string) (uint64, error) {
	span, stepText, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		n, err := strconv.ParseUint(stepText, 10, 8)
		if err != nil || n == 0 || int(n) > f.high {
			return 0, fmt.Errorf("step is %q, allowed: from 1 to %d", stepText, f.high)
		}
		step = int(n)
	}
	low, high, err := f.span(span, stepped)
	if err != nil {
		return 0, err
	}
	var set uint64
	for v := low; v <= high; v += step {
		set |= 1 << v
	}
	return set, nil
}

func (f cronField) span(text string, stepped bool) (low, high int, err error) {
	if text == "*" {
		return f.low, f.high, nil
	}
	from, to, ranged := strings.Cut(text, "-")
	if low, err = f.value(from); err != nil {
		return 0, 0, err
	}
	high = low
	switch {
	case ranged:
		if high, err = f.value(to); err != nil {
			return 0, 0, err
		}
	case stepped: // "5/15" begins at 5
		high = f.high
	}
	if high < low {
		return 0, 0, fmt.Errorf("%d is after %d, allowed: from the lower to the higher", low, high)
	}
	return low, high, nil
}

func (f cronField) value(text string) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 8); err == nil && int(n) >= f.low && int(n) <= f.high {
		return int(n), nil
	}
	if i := strings.Index(f.names, strings.ToLower(text)); len(text) == 3 && i >= 0 && i%3 == 0 {
		return f.low + i/3, nil
	}
	return 0, fmt.Errorf("%q is no value, allowed: from %d to %d", text, f.low, f.high)
}

// happens reports whether any month has one of the days.
func (c *cron) happens() bool {
	if c.domAny || !c.dowAny {
		return true
	}
	first := bits.TrailingZeros64(c.dom)
	longest := [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for m := 1; m <= 12; m++ {
		if has(c.month, m) && first <= longest[m] {
			return true
		}
	}
	return false
}

func has(set uint64, v int) bool { return set>>v&1 == 1 }

// day reports whether the expression has times on the local date of t.
func (c *cron) day(t time.Time) bool {
	if !has(c.month, int(t.Month())) {
		return false
	}
	dom, dow := has(c.dom, t.Day()), has(c.dow, int(t.Weekday()))
	if c.domAny || c.dowAny {
		return dom && dow
	}
	return dom || dow
}

// first returns the earliest time in (after, until] at which the expression
// begins, by the wall clock of loc. A time that the clock skips counts at the
// moment it is set forward, one it shows twice counts the first time.
func (c *cron) first(after, until time.Time, loc *time.Location) (time.Time, bool) {
	// A day more on both sides: the zone may be up to 14 hours off UTC, and
	// shifted times stay within their day.
	y, m, d := after.In(loc).Date()
	for date := time.Date(y, m, d, 12, 0, 0, 0, time.UTC).AddDate(0, 0, -1); !date.After(until.AddDate(0, 0, 2)); date = date.AddDate(0, 0, 1) {
		if !c.day(date) {
			continue
		}
		if t, ok := c.firstOf(date, after, until, loc); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

// firstOf is first on one local date.
func (c *cron) firstOf(date, after, until time.Time, loc *time.Location) (best time.Time, ok bool) {
	for h := range 24 {
		for m := 0; has(c.hour, h) && m < 60; m++ {
			if !has(c.minute, m) {
				continue
			}
			t := wall(date, h, m, loc)
			if t.After(after) && !t.After(until) && (!ok || t.Before(best)) {
				best, ok = t, true
			}
		}
	}
	return best, ok
}

// wall is the first moment at which the clocks of loc show at least h:m on that
// date.
func wall(date time.Time, h, m int, loc *time.Location) time.Time {
	y, mon, d := date.Date()
	t := time.Date(y, mon, d, h, m, 0, 0, loc)
	start, end := t.ZoneBounds()
	// The clock skips this time if Date's answer shows another one; which side
	// of the gap that is on is not said.
	switch shown(t).Compare(time.Date(y, mon, d, h, m, 0, 0, time.UTC)) {
	case +1:
		return start
	case -1:
		return end
	}
	if start.IsZero() {
		return t
	}
	_, before := start.Add(-time.Second).Zone()
	_, now := t.Zone()
	earlier := t.Add(time.Duration(now-before) * time.Second)
	if earlier.Before(start) {
		return earlier // shown twice: this is the first time
	}
	return t
}

// shown is what the clock shows at t, as if it were UTC.
func shown(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.UTC)
}
