package sim_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

func TestStockAndQuota(t *testing.T) {
	p := plain()
	p.Stock = map[sim.Place]int{{Type: "small", Zone: "a"}: 7}
	p.MaxMachines = 9
	c, clock := open(p)
	if made := create(t, c, request("ten", 10)); len(made) != 7 {
		t.Errorf("%d machines of a stock of 7", len(made))
	}
	_, err := c.Create(t.Context(), request("more", 1))
	wantKind(t, err, cloud.NoCapacity)
	all, err := c.Offerings(t.Context())
	if err != nil || all[0].Available || all[0].Reason == "" || !all[1].Available {
		t.Errorf("offerings %+v, error %v; want zone a sold out", all, err)
	}
	elsewhere := request("b", 5)
	elsewhere.Zone = "b"
	if made := create(t, c, elsewhere); len(made) != 2 {
		t.Errorf("%d machines with 2 left of the quota", len(made))
	}
	elsewhere = request("b2", 1)
	elsewhere.Zone = "b"
	_, err = c.Create(t.Context(), elsewhere)
	wantKind(t, err, cloud.Quota)

	// A stopped machine gives its place up, and may not get it back.
	c.SetQuota(0)
	clock.Advance(time.Minute)
	stopped := list(t, c)[0].ID
	if err := c.Stop(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	create(t, c, request("instead", 1))
	wantKind(t, c.Start(t.Context(), stopped), cloud.NoCapacity)
	c.SetStock(sim.Place{Type: "small", Zone: "a"}, -1)
	if err := c.Start(t.Context(), stopped); err != nil {
		t.Errorf("Start with stock again: %v", err)
	}
}

func TestCPUQuota(t *testing.T) {
	p := plain()
	p.MaxCPU = 7
	c, _ := open(p)
	if made := create(t, c, request("t", 5)); len(made) != 3 {
		t.Errorf("%d machines of 2 cores within 7", len(made))
	}
	_, err := c.Create(t.Context(), request("more", 1))
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Quota || e.What != "cpu" {
		t.Errorf("error %v, want the quota of cpu", err)
	}
}

func TestProviderRefusesWhatIsTooFast(t *testing.T) {
	p := plain()
	p.Limits = map[string]cloud.Limit{
		"create":          {Rate: 2, Burst: 5},
		"create-machines": {Rate: 2, Burst: 10, Machines: true},
		"":                {Rate: 1, Burst: 1},
	}
	c, clock := open(p)
	for i := range 5 {
		create(t, c, request(fmt.Sprint(i), 2))
	}
	_, err := c.Create(t.Context(), request("sixth", 2))
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.RateLimited || e.After != 500*time.Millisecond {
		t.Errorf("sixth call: error %v, want rate_limited for 500ms", err)
	}
	clock.Advance(500 * time.Millisecond)
	_, err = c.Create(t.Context(), request("sixth", 4))
	if !errors.As(err, &e) || e.What != "create-machines" || e.After != 1500*time.Millisecond {
		t.Errorf("11th to 14th machine: error %v, want to wait 1.5s for machines", err)
	}
	list(t, c)
	wantKind(t, c.Delete(t.Context(), "i-1"), cloud.RateLimited) // one bucket for all other calls
	if calls := c.Calls(); calls["create"] != 7 || calls["list"] != 1 || calls["delete"] != 1 {
		t.Errorf("calls %v", calls)
	}
}

// Each page of a list is a request.
func TestLongListsCostMore(t *testing.T) {
	p := plain()
	p.Page = 10
	p.Limits = map[string]cloud.Limit{"list": {Rate: 1, Burst: 10}}
	c, _ := open(p)
	create(t, c, request("t", 45))
	list(t, c)
	list(t, c)
	_, err := c.List(t.Context(), nil)
	wantKind(t, err, cloud.RateLimited)
}

func TestListLags(t *testing.T) {
	p := plain()
	p.ListLag = 30 * time.Second
	c, clock := open(p)
	create(t, c, request("t", 50))
	early := len(list(t, c))
	clock.Advance(15 * time.Second)
	middle := len(list(t, c))
	clock.Advance(15 * time.Second)
	if late := len(list(t, c)); early > middle || middle == 0 || middle == 50 || late != 50 {
		t.Errorf("of 50 machines %d, %d, %d were listed after 0, 15 and 30s of a lag of 30s", early, middle, late)
	}
	id := list(t, c)[0].ID
	if err := c.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	clock.Advance(7 * time.Second)
	wantKind(t, c.Delete(t.Context(), id), cloud.NotFound)
	clock.Advance(30 * time.Second)
	if n := len(list(t, c)); n != 49 {
		t.Errorf("%d machines are listed long after one of 50 ended", n)
	}
}

func TestTokenIsForgotten(t *testing.T) {
	p := plain()
	p.ClientToken, p.TokenLife = true, time.Hour
	c, clock := open(p)
	first := create(t, c, request("t", 1))[0].ID
	clock.Advance(time.Hour - 1)
	if again := create(t, c, request("t", 1))[0].ID; again != first {
		t.Error("a token within its life bought again")
	}
	clock.Advance(1)
	if again := create(t, c, request("t", 1))[0].ID; again == first {
		t.Error("a token after its life was remembered")
	}
}

func TestTokenIsSpentByStock(t *testing.T) {
	for name, spends := range map[string]bool{"it is": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			p := plain()
			p.ClientToken, p.StockSpendsToken = true, spends
			c, _ := open(p)
			place := sim.Place{Type: "small", Zone: "a"}
			c.SetStock(place, 0)
			_, err := c.Create(t.Context(), request("t", 1))
			wantKind(t, err, cloud.NoCapacity)
			c.SetStock(place, 5)
			if _, err := c.Create(t.Context(), request("t", 1)); (err != nil) != spends {
				t.Errorf("the token after the stock came back: error %v", err)
			}
			create(t, c, request("new", 1))
		})
	}
}
