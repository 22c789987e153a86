package ec2_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/ec2"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a simulated region behind EC2's protocol, and a driver in front.
type world struct {
	clock  *sim.Clock
	cloud  *sim.Cloud
	server *cloudfake.Server
	wire   *cloudfake.EC2
	driver *ec2.Driver
	path   string // of a config file whose profiles are each other's source
}

// change what a test does to a world before it is opened.
type change struct {
	provider func(*sim.Provider)
	server   cloudfake.Options
	wire     cloudfake.EC2Options
	options  func(*world, *ec2.Options)
	env      func(*world, map[string]string)
}

func open(t *testing.T, c change) *world {
	t.Helper()
	w := &world{clock: sim.NewClock(start)}
	p := sim.EC2()
	if c.provider != nil {
		c.provider(&p)
	}
	w.cloud = sim.New(p, sim.Options{Clock: w.clock.Still(), Seed: 7})
	c.server.Now = w.clock.Now
	w.server = cloudfake.New(t, w.cloud, c.server)
	w.wire = w.server.EC2(c.wire)
	env := w.wire.Env()
	env["HOME"] = t.TempDir()
	w.path = file(t, "config", "[profile a]\nrole_arn = x\nsource_profile = b\n[profile b]\nrole_arn = y\nsource_profile = a\n")
	if c.env != nil {
		c.env(w, env)
	}
	o := ec2.Options{
		Region: "us-east-1", Getenv: func(name string) string { return env[name] }, Now: w.clock.Now,
		Kinds: kinds(), Image: "ami-0abcdef1234567890",
	}
	if c.options != nil {
		c.options(w, &o)
	}
	var err error
	if w.driver, err = ec2.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func kinds() []ec2.Kind {
	return []ec2.Kind{
		{Type: "small", PriceHour: 0.096},
		{Type: "medium", PriceHour: 0.192},
		{Type: "large", PriceHour: 0.384},
		{Type: "small", PriceHour: 0.096, Spot: true},
	}
}

// order asks for count small machines in zone a.
func order(name string, count int) cloud.CreateRequest {
	r := cloud.CreateRequest{
		Token: cloud.Token("prod", "web", 1, "a", 0, 0) + name, Type: "small", Zone: "a", Count: count,
		Tags: map[string]string{cloud.TagCluster: "prod", cloud.TagPool: "web", cloud.TagOrder: name, cloud.TagProfile: "0123"},
	}
	for i := range count {
		r.Names = append(r.Names, name+"-"+string(rune('a'+i)))
	}
	return r
}
