package metrics

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"spillway/scaler/api"
	"spillway/scaler/fleet"
)

type fixed api.Status

func (f fixed) Status(context.Context) (api.Status, error) { return api.Status(f), nil }

// full is metrics of which every series has a value.
func full() *Metrics {
	m := New()
	m.Effect(fleet.Register, "", time.Millisecond)
	m.Effect(fleet.DeleteMachine, "transient", time.Second)
	m.Tick(time.Millisecond, "think")
	m.Stage("rent", "ready", 30*time.Second)
	m.Cloud("ec2", "create", "no_capacity", time.Second)
	m.Watch(fixed{
		Leader: true, Tick: time.Unix(100, 0), Alarms: []string{"one"},
		Apps:   []api.App{{Name: "web", Want: 5, Ready: 3, Booting: 2, States: map[string]int{"serving": 3}, Flags: []string{"no-data"}, LeadMS: 1500}},
		Pools:  []api.Pool{{Name: "rent", States: map[string]int{"ready": 2}, PriceHour: 0.5}},
		Orders: []api.Order{{Pool: "rent", State: "intended"}, {Pool: "rent", State: "intended"}},
	})
	return m
}

func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestScrapeShowsCountersAndStatus(t *testing.T) {
	answer := httptest.NewRecorder()
	full().Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`spillway_scaler_effects_total{effect="register",result="ok"} 1`,
		`spillway_scaler_effects_total{effect="delete-machine",result="transient"} 1`,
		`spillway_scaler_cloud_calls_total{op="create",provider="ec2",result="no_capacity"} 1`,
		`spillway_scaler_app_want_units{app="web"} 5`,
		`spillway_scaler_app_lead_seconds{app="web"} 1.5`,
		`spillway_scaler_app_flag{app="web",flag="no-data"} 1`,
		`spillway_scaler_orders_open{pool="rent",state="intended"} 2`,
		`spillway_scaler_pool_machines{pool="rent",state="ready"} 2`,
		`spillway_scaler_leader 1`,
	} {
		if !strings.Contains(answer.Body.String(), line+"\n") {
			t.Errorf("the answer has no line %s", line)
		}
	}
}

// TestSeriesEndWithTheirApp scrapes twice; an app that is no more has no series.
func TestSeriesEndWithTheirApp(t *testing.T) {
	m := full()
	m.Watch(fixed{})
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if strings.Contains(answer.Body.String(), `app="web"`) {
		t.Error("series of an app that is gone are still there")
	}
}
