package ec2_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

// The vendor's command line judges the fake: it knows the protocol from the
// vendor's own description of it, signs by other code than ours, and parses
// what comes back.

// judge is the command line. Debian's comes first: others may be on PATH too.
func judge(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/aws", "aws"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no aws: tools/deps.sh installs it")
	return ""
}

type awscli struct {
	*testing.T
	path string
	env  []string
}

func newCLI(t *testing.T, w *cloudfake.EC2) *awscli {
	t.Helper()
	home := t.TempDir()
	c := &awscli{T: t, path: judge(t), env: []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "PYENV_ROOT=" + os.Getenv("PYENV_ROOT")}}
	for k, v := range w.Env() {
		c.env = append(c.env, k+"="+v)
	}
	c.env = append(c.env, "AWS_EC2_METADATA_DISABLED=true")
	return c
}

func (c *awscli) try(endpoint string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, slices.Concat([]string{"--endpoint-url", endpoint, "--output", "json"}, args)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run reads what a command that must succeed prints.
func run[T any](c *awscli, endpoint string, args ...string) (answer T) {
	c.Helper()
	out, errs, err := c.try(endpoint, args...)
	if err != nil {
		c.Errorf("aws %s: %v\n%s", strings.Join(args, " "), err, errs)
		return answer
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		c.Errorf("aws %s: cannot read %q: %v", strings.Join(args, " "), out, err)
	}
	return answer
}

// refused wants a command to fail with a code.
func (c *awscli) refused(endpoint, code string, args ...string) {
	c.Helper()
	out, errs, err := c.try(endpoint, args...)
	if err == nil || !strings.Contains(errs, "("+code+")") {
		c.Errorf("aws %s: %v, output %q %q, want an error with code %s", strings.Join(args, " "), err, out, errs, code)
	}
}

type cliInstance struct {
	InstanceID   string `json:"InstanceId"`
	InstanceType string
	ImageID      string `json:"ImageId"`
	State        struct {
		Code int
		Name string
	}
	Placement        struct{ AvailabilityZone string }
	PrivateIPAddress string `json:"PrivateIpAddress"`
	LaunchTime       string
	ClientToken      string
	Tags             []struct{ Key, Value string }
}

type cliReservation struct{ Instances []cliInstance }

type cliChanges struct {
	Changed []cliChange `json:"TerminatingInstances"`
	Stopped []cliChange `json:"StoppingInstances"`
	Started []cliChange `json:"StartingInstances"`
}

type cliChange struct {
	InstanceID    string `json:"InstanceId"`
	CurrentState  struct{ Name string }
	PreviousState struct{ Name string }
}

func TestCommandLineJudgesTheFake(t *testing.T) {
	t.Parallel()
	clock := sim.NewClock(start)
	region := sim.New(sim.EC2(), sim.Options{Clock: clock.Still(), Seed: 3})
	server := cloudfake.New(t, region, cloudfake.Options{PageSize: 2}) // the judge signs by this computer's clock
	wire := server.EC2(cloudfake.EC2Options{})
	c := newCLI(t, wire)

	launch := []string{
		"ec2", "run-instances", "--image-id", "ami-0abcdef1234567890", "--instance-type", "small", "--count", "1:3",
		"--client-token", "judge-1", "--placement", "AvailabilityZone=b", "--user-data", "#!/bin/sh\n",
		"--instance-initiated-shutdown-behavior", "terminate",
		"--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=judged},{Key=" + cloud.TagOrder + ",Value=o-1}]",
	}
	made := run[cliReservation](c, wire.URL, launch...).Instances
	if len(made) != 3 || made[0].State.Name != "pending" || made[0].Placement.AvailabilityZone != "b" || made[0].ClientToken != "judge-1" {
		t.Fatalf("run-instances made %+v", made)
	}
	if again := run[cliReservation](c, wire.URL, launch...).Instances; !slices.Equal(cliIDs(again), cliIDs(made)) {
		t.Errorf("the same token again gave %v, want %v", cliIDs(again), cliIDs(made))
	}
	if hosts := region.Hosts(); len(hosts) != 3 || string(hosts[0].UserData) != "#!/bin/sh\n" {
		t.Errorf("the cloud behind has %d machines", len(hosts))
	}
	clock.Advance(time.Minute)
	atOnce(
		func() { c.describes(wire, cliIDs(made)) },
		func() { c.describesTypes(wire) },
		func() { c.describesPrices(wire) },
	)
	id := made[0].InstanceID
	c.stops(wire, clock, id)
	c.ends(wire, id, "shutting-down")
	clock.Advance(3 * time.Minute)
	atOnce(
		func() { c.ends(wire, id, "terminated") },
		func() {
			c.refused(wire.URL, "IdempotentParameterMismatch", append(slices.Clone(launch), "--key-name", "another")...)
		},
		func() {
			c.refused(wire.URL, "InvalidInstanceID.NotFound", "ec2", "stop-instances", "--instance-ids", "i-0123456789abcdef0")
		},
		func() { c.refused(wire.URL, "DryRunOperation", append(slices.Clone(launch), "--dry-run")...) },
		func() { c.refused(wire.STS, "InvalidAction", "sts", "get-session-token") },
	)
}

// atOnce runs the judge several times: it takes a second to start.
func atOnce(do ...func()) {
	var wg sync.WaitGroup
	for _, f := range do {
		wg.Go(f)
	}
	wg.Wait()
}

func cliIDs(instances []cliInstance) (ids []string) {
	for _, i := range instances {
		ids = append(ids, i.InstanceID)
	}
	slices.Sort(ids)
	return ids
}

// describes reads lists: by tag and state, over two pages, and what is offered.
func (c *awscli) describes(wire *cloudfake.EC2, want []string) {
	c.Helper()
	listed := run[struct{ Reservations []cliReservation }](c, wire.URL, "ec2", "describe-instances",
		"--filters", "Name=tag:"+cloud.TagOrder+",Values=o-1", "Name=instance-state-name,Values=pending,running")
	var all []cliInstance
	for _, r := range listed.Reservations {
		all = append(all, r.Instances...)
	}
	if !slices.Equal(cliIDs(all), want) {
		c.Errorf("describe-instances listed %v, want %v", cliIDs(all), want)
	}
	for _, i := range all {
		if i.State.Name != "running" || i.State.Code != 16 || i.PrivateIPAddress == "" || i.ImageID == "" || len(i.Tags) != 2 || i.Tags[0].Value != "judged" {
			c.Errorf("describe-instances showed %+v", i)
		}
		if _, err := time.Parse(time.RFC3339, i.LaunchTime); err != nil {
			c.Errorf("launch time: %v", err)
		}
	}
}

func (c *awscli) describesTypes(wire *cloudfake.EC2) {
	c.Helper()
	types := run[struct {
		InstanceTypes []struct {
			InstanceType          string
			SupportedUsageClasses []string
			VCpuInfo              struct{ DefaultVCpus int }
			MemoryInfo            struct{ SizeInMiB int }
		}
	}](c, wire.URL, "ec2", "describe-instance-types", "--instance-types", "large").InstanceTypes
	if len(types) != 1 || types[0].VCpuInfo.DefaultVCpus != 8 || types[0].MemoryInfo.SizeInMiB != 16<<10 || len(types[0].SupportedUsageClasses) != 2 {
		c.Errorf("describe-instance-types showed %+v", types)
	}
}

func (c *awscli) describesPrices(wire *cloudfake.EC2) {
	c.Helper()
	prices := run[struct{ SpotPriceHistory []struct{ SpotPrice string } }](c, wire.URL, "ec2", "describe-spot-price-history",
		"--instance-types", "small", "--product-descriptions", "Linux/UNIX").SpotPriceHistory
	if len(prices) != 2 || prices[0].SpotPrice != "0.030000" {
		c.Errorf("describe-spot-price-history showed %+v", prices)
	}
}

func (c *awscli) stops(wire *cloudfake.EC2, clock *sim.Clock, id string) {
	c.Helper()
	stopped := run[cliChanges](c, wire.URL, "ec2", "stop-instances", "--instance-ids", id).Stopped
	if len(stopped) != 1 || stopped[0].InstanceID != id || stopped[0].CurrentState.Name != "stopping" {
		c.Errorf("stop-instances answered %+v", stopped)
	}
	clock.Advance(3 * time.Minute)
	started := run[cliChanges](c, wire.URL, "ec2", "start-instances", "--instance-ids", id).Started
	if len(started) != 1 || started[0].CurrentState.Name != "pending" {
		c.Errorf("start-instances answered %+v", started)
	}
}

func (c *awscli) ends(wire *cloudfake.EC2, id, want string) {
	c.Helper()
	ended := run[cliChanges](c, wire.URL, "ec2", "terminate-instances", "--instance-ids", id).Changed
	if len(ended) != 1 || ended[0].CurrentState.Name != want {
		c.Errorf("terminate-instances answered %+v, want state %s", ended, want)
	}
}
