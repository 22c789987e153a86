package aliyun_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a driver, the cloud that it speaks to and what is behind it.
type world struct {
	*testing.T
	clock *sim.Clock
	sim   *sim.Cloud
	fake  *cloudfake.Server
	url   string
	d     *aliyun.Driver
}

// newWorld has the preset's kinds in the preset's zones. change may be nil.
func newWorld(t *testing.T, p sim.Provider, change func(o *aliyun.Options), faults ...cloud.Fault) *world {
	t.Helper()
	w := &world{T: t, clock: sim.NewClock(start)}
	w.sim = sim.New(p, sim.Options{Clock: w.clock.Still(), Seed: 7})
	w.fake = cloudfake.New(t, w.sim, cloudfake.Options{Now: w.clock.Now, Faults: faults, PageSize: 5})
	w.url = w.fake.Aliyun()
	o := w.options()
	if change != nil {
		change(&o)
	}
	var err error
	if w.d, err = aliyun.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options() aliyun.Options {
	return aliyun.Options{
		Region: cloudfake.AliyunRegion, Endpoint: w.url, Image: "m-spillway",
		VSwitches: map[string]string{"h": "vsw-h", "i": "vsw-i"}, SecurityGroups: []string{"sg-1", "sg-2"},
		Kinds: []aliyun.Kind{{Type: "small"}, {Type: "medium"}, {Type: "large"}, {Type: "small", Zones: []string{"h"}, Spot: true}},
		Credentials: aliyun.CredentialOptions{Getenv: environment{
			"ALIBABA_CLOUD_ACCESS_KEY_ID": cloudfake.AliyunKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloudfake.AliyunKeySecret,
		}.get, STS: w.url, Metadata: w.url},
		Now: w.clock.Now,
	}
}

// environment stands for the process's own.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

func (w *world) request(count int) cloud.CreateRequest {
	r := cloud.CreateRequest{
		Token: cloud.Token("prod", "web", 1, "h", 1, 0), Type: "small", Zone: "h", Count: count,
		Tags: map[string]string{cloud.TagCluster: "prod", cloud.TagPool: "web", cloud.TagOrder: "web-1", cloud.TagProfile: "none"},
	}
	for i := range count {
		r.Names = append(r.Names, "web-1-"+string(rune('a'+i)))
	}
	return r
}

func (w *world) create(r cloud.CreateRequest) []cloud.Machine {
	w.Helper()
	made, err := w.d.Create(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

// list lets the list catch up first.
func (w *world) list(tags map[string]string) []cloud.Machine {
	w.Helper()
	w.clock.Advance(w.d.Describe().ListLag)
	all, err := w.d.List(w.Context(), tags)
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func wantKind(t *testing.T, what string, err error, kind cloud.Kind) {
	t.Helper()
	if err == nil || cloud.KindOf(err) != kind {
		t.Errorf("%s: error %v of kind %v, want %v", what, err, cloud.KindOf(err), kind)
	}
}
