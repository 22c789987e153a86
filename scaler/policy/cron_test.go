package policy

import (
	"strings"
	"testing"
	"time"
)

func TestCronSaysWhen(t *testing.T) {
	const layout = "2006-01-02 15:04 MST"
	tests := []struct {
		name, cron, zone, after, want string
	}{
		{"every minute", "* * * * *", "UTC", "2026-03-02 10:00", "2026-03-02 10:01 UTC"},
		{"every quarter", "*/15 * * * *", "UTC", "2026-03-02 10:01", "2026-03-02 10:15 UTC"},
		{"from 5 on every 20", "5/20 * * * *", "UTC", "2026-03-02 10:30", "2026-03-02 10:45 UTC"},
		{"a list and a range", "0 8,12-14 * * *", "UTC", "2026-03-02 12:00", "2026-03-02 13:00 UTC"},
		{"names", "0 9 * mar fri", "UTC", "2026-03-02 10:00", "2026-03-06 09:00 UTC"},
		{"sunday is 7", "0 9 * * 7", "UTC", "2026-03-02 10:00", "2026-03-08 09:00 UTC"},
		{"sunday is 0", "0 9 * * 0", "UTC", "2026-03-02 10:00", "2026-03-08 09:00 UTC"},
		{"either day, as crontab has it", "0 9 15 * mon", "UTC", "2026-03-10 10:00", "2026-03-15 09:00 UTC"},
		{"both, if one begins with *", "0 9 */2 * mon", "UTC", "2026-03-02 10:00", "2026-03-09 09:00 UTC"},
		{"another year", "0 0 1 1 *", "UTC", "2026-03-02 10:00", "2027-01-01 00:00 UTC"},
		{"a zone", "30 19 * * *", "Asia/Shanghai", "2026-03-02 10:00", "2026-03-02 19:30 CST"},
		{"a zone of half hours", "0 9 * * *", "Asia/Kolkata", "2026-03-02 00:00", "2026-03-02 09:00 IST"},
		{"a zone far off", "0 0 * * *", "Pacific/Kiritimati", "2026-03-02 09:00", "2026-03-03 00:00 +14"},
		{"the hour that is skipped: when the clock is set", "30 2 29 3 *", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 03:00 CEST"},
		{"around the skip: hours go on", "0 * * * *", "Europe/Berlin", "2026-03-29 00:30", "2026-03-29 03:00 CEST"},
		{"the hour that comes twice: the first", "30 2 25 10 *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-25 02:30 CEST"},
		{"the hour that comes twice: not again", "30 2 * * *", "Europe/Berlin", "2026-10-25 00:45", "2026-10-26 02:30 CET"},
		{"a skip at midnight", "30 0 * * *", "Africa/Cairo", "2026-04-23 12:00", "2026-04-24 01:00 EEST"},
		{"another continent's skip", "15 2 * * *", "America/New_York", "2026-03-08 00:00", "2026-03-08 03:00 EDT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			loc, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			after, err := time.Parse("2006-01-02 15:04", tt.after)
			if err != nil {
				t.Fatal(err)
			}
			c, err := parseCron(tt.cron)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := c.first(after, after.AddDate(1, 0, 0), loc)
			if !ok || got.In(loc).Format(layout) != tt.want {
				t.Errorf("%s after %s: found %s (%v), want %s", tt.cron, tt.after, got.In(loc).Format(layout), ok, tt.want)
			}
		})
	}
}

func TestCronRefusesWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "has 0 fields",
		"* * * *":          "has 4 fields",
		"@daily":           "has 1 fields",
		"60 * * * *":       `minute "60": "60" is no value, allowed: from 0 to 59`,
		"* 24 * * *":       `hour "24"`,
		"* * 0 * *":        `day of month "0"`,
		"* * * 13 *":       `month "13"`,
		"* * * * 8":        `day of week "8"`,
		"* * * * tuesday":  `day of week "tuesday"`,
		"*/0 * * * *":      `step is "0"`,
		"*/61 * * * *":     `step is "61"`,
		"10-5 * * * *":     "10 is after 5",
		"1, * * * *":       `minute ""`,
		"-1 * * * *":       `minute "-1"`,
		"* * * * mon-":     `day of week "mon-"`,
		"* * * * onm":      `day of week "onm"`,
		"0 0 30 2 *":       "never happens",
		"0 0 31 4,6,9 *":   "never happens",
		"*/5/5 * * * *":    `step is "5/5"`,
		"+1 * * * *":       `minute "+1"`,
		"99999999 * * * *": `minute "99999999"`,
	} {
		if _, err := parseCron(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: found %v, want an error with %s", text, err, want)
		}
	}
}

func TestScheduleHoldsFromTheLeadTimeBefore(t *testing.T) {
	p := Default()
	p.Max = 100
	p.Schedules = []Schedule{
		{Name: "show", Cron: "30 19 * * fri", Duration: 3 * time.Hour, Zone: "Asia/Shanghai", Units: 40},
		{Name: "base", Cron: "0 0 * * *", Duration: 24 * time.Hour, Units: 5},
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	// 19:30 in Shanghai is 11:30 UTC; 2026-03-06 is a Friday.
	for clock, want := range map[string]float64{
		"2026-03-06 11:28:59": 5, "2026-03-06 11:29:00": 40, "2026-03-06 12:00:00": 40,
		"2026-03-06 14:29:59": 40, "2026-03-06 14:30:00": 5, "2026-03-05 12:00:00": 5,
	} {
		now, err := time.Parse(time.DateTime, clock)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := p.scheduled(now, time.Minute)
		if !ok || c.Units != want {
			t.Errorf("%s: found %+v, want %g units", clock, c, want)
		}
		// It holds without any signal, too.
		if d, _ := Evaluate(&p, Observation{Ready: 6, QuotaUnits: -1}, Memory{}, now); d.Want != max(6, want) && want == 40 {
			t.Errorf("%s: %g wanted without signals, want %g", clock, d.Want, want)
		}
	}
}

func TestBadSchedulesAreRefused(t *testing.T) {
	for want, s := range map[string]Schedule{
		"cannot load time zone":   {Cron: "* * * * *", Duration: time.Hour, Zone: "Europe/Atlantis"},
		`zone is "Local"`:         {Cron: "* * * * *", Duration: time.Hour, Zone: "Local"},
		"duration is 0s":          {Cron: "* * * * *"},
		"duration is 745h0m0s":    {Cron: "* * * * *", Duration: 745 * time.Hour},
		"units is -1":             {Cron: "* * * * *", Duration: time.Hour, Units: -1},
		`schedule "x": "x" has 1`: {Cron: "x", Duration: time.Hour},
	} {
		p := Default()
		p.Schedules = []Schedule{s}
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: found %v, want %s", s, err, want)
		}
	}
}

// FuzzCron: no text makes the parser or the search panic or hang, and what it
// finds is what the expression says.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"* * * * *", "*/15 8-18 1,15 jan-mar mon-fri", "30 19 * * 5", "0 0 29 2 *", "5/20 * * * 7"} {
		f.Add(s, int64(1774746000), uint8(0))
	}
	zones := []string{"UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"}
	f.Fuzz(func(t *testing.T, text string, unix int64, zone uint8) {
		c, err := parseCron(text)
		if err != nil {
			return
		}
		loc, err := time.LoadLocation(zones[int(zone)%len(zones)])
		if err != nil {
			t.Fatal(err)
		}
		after := time.Unix(unix%(1<<33), 0)
		got, ok := c.first(after, after.AddDate(0, 0, 40), loc)
		if !ok {
			return
		}
		local := got.In(loc)
		if !got.After(after) || got.Sub(after) > 41*24*time.Hour || local.Second() != 0 {
			t.Fatalf("%q after %v: found %v", text, after, local)
		}
		start, _ := local.ZoneBounds()
		if !start.Equal(got) && !(has(c.minute, local.Minute()) && has(c.hour, local.Hour()) && c.day(local)) {
			t.Fatalf("%q after %v: found %v, which it does not say", text, after, local)
		}
	})
}
