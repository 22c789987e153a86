package aliyun

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// instance is what DescribeInstances says of a machine.
type instance struct {
	InstanceID      string `json:"InstanceId"`
	InstanceType    string
	ZoneID          string `json:"ZoneId"`
	Status          string
	SpotStrategy    string
	CreationTime    string
	AutoReleaseTime string
	VpcAttributes   struct {
		PrivateIPAddress struct {
			IPAddress []string `json:"IpAddress"`
		} `json:"PrivateIpAddress"`
	}
	PublicIPAddress struct {
		IPAddress []string `json:"IpAddress"`
	} `json:"PublicIpAddress"`
	EipAddress struct {
		IPAddress string `json:"IpAddress"`
	}
	Tags struct {
		Tag []struct{ TagKey, TagValue string }
	}
	OperationLocks struct {
		LockReason []struct{ LockReason string }
	}
}

// List implements cloud.Driver.
func (d *Driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	params := url.Values{}
	addTags(params, tags)
	all, err := d.instances(ctx, cloud.OpList, params)
	if err != nil {
		return nil, err
	}
	var found []cloud.Machine
	for i := range all {
		if m := d.machine(&all[i]); m.HasTags(tags) {
			found = append(found, m)
		}
	}
	return found, nil
}

const (
	pageSize = 100 // the most of DescribeInstances
	maxPages = 1000
)

// instances is DescribeInstances, all pages of it. An empty list is what a user
// without permission gets too, so it is confirmed where it would be taken for
// an account without machines.
func (d *Driver) instances(ctx context.Context, op string, params url.Values) ([]instance, error) {
	params.Set("RegionId", d.o.Region)
	params.Set("MaxResults", strconv.Itoa(pageSize))
	var all []instance
	for range maxPages {
		var answer struct {
			NextToken string
			Instances struct{ Instance []instance }
		}
		if err := d.ecs.call(ctx, op, "DescribeInstances", params, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer.Instances.Instance...)
		if answer.NextToken == "" {
			return unique(all), d.confirm(ctx, op, params, len(all))
		}
		params.Set("NextToken", answer.NextToken)
	}
	return nil, &cloud.Error{Kind: cloud.Transient, Op: op, Err: errors.New("a list without end")}
}

// unique leaves out what is on two pages: lists change while they are read.
func unique(all []instance) []instance {
	seen := make(map[string]bool, len(all))
	kept := all[:0]
	for i := range all {
		if !seen[all[i].InstanceID] {
			seen[all[i].InstanceID] = true
			kept = append(kept, all[i])
		}
	}
	return kept
}

// confirm asks whether an empty list is one: a dry run of the same call is
// refused by DryRunOperation where the permission is there.
func (d *Driver) confirm(ctx context.Context, op string, params url.Values, n int) error {
	if n > 0 || op == cloud.OpEvents {
		return nil
	}
	params.Del("NextToken")
	params.Set("DryRun", "true")
	err := d.ecs.call(ctx, op, "DescribeInstances", params, &struct{}{})
	var f *fault
	if err == nil || (errors.As(err, &f) && f.Code == "DryRunOperation") {
		return nil
	}
	return err
}

// machine has no name: ECS gives each a host name of its own choice, and what
// we name it (InstanceName) is for people alone.
func (d *Driver) machine(i *instance) cloud.Machine {
	state, reason := i.state()
	m := cloud.Machine{
		ID: i.InstanceID, Type: i.InstanceType, Zone: i.ZoneID,
		State: state, Reason: reason, Address: i.address(d.o.PublicMbit > 0), Created: moment(i.CreationTime),
		Spot: strings.HasPrefix(i.SpotStrategy, "Spot"), Tags: map[string]string{},
	}
	for _, t := range i.Tags.Tag {
		m.Tags[t.TagKey] = t.TagValue
	}
	return m
}

// recycling is the lock of a spot machine that is about to be taken back.
const recycling = "Recycling"

// state of a machine. A lock for security or for money keeps it from being
// used: it has failed, whatever its status.
func (i *instance) state() (s cloud.State, reason string) {
	for _, l := range i.OperationLocks.LockReason {
		if l.LockReason != "" && l.LockReason != recycling {
			return cloud.Failed, "locked: " + l.LockReason
		}
	}
	switch i.Status {
	case "Pending", "Starting":
		return cloud.Pending, ""
	case "Running":
		return cloud.Running, ""
	case "Stopping":
		return cloud.Stopping, ""
	case "Stopped":
		return cloud.Stopped, ""
	}
	return cloud.Pending, "unknown status " + i.Status
}

func (i *instance) recycling() bool {
	for _, l := range i.OperationLocks.LockReason {
		if l.LockReason == recycling {
			return true
		}
	}
	return false
}

func (i *instance) address(public bool) string {
	if public {
		return cmp.Or(first(i.PublicIPAddress.IPAddress), i.EipAddress.IPAddress)
	}
	return first(i.VpcAttributes.PrivateIPAddress.IPAddress)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// moment reads a time as ECS writes it, most often to the minute. What is none
// is the zero time.
func moment(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04Z", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// Events implements cloud.Watcher: spot machines that will be taken back, at
// the latest five minutes after ECS has locked them, and machines that ECS will
// release by itself within releaseNotice.
func (d *Driver) Events(ctx context.Context) ([]cloud.Event, error) {
	params := url.Values{}
	if d.o.ReleaseAfter == 0 {
		params.Set("LockReason", recycling)
	}
	all, err := d.instances(ctx, cloud.OpEvents, params)
	if err != nil {
		return nil, err
	}
	var events []cloud.Event
	now := d.o.Now()
	for i := range all {
		switch release := moment(all[i].AutoReleaseTime); {
		case all[i].recycling():
			events = append(events, cloud.Event{ID: all[i].InstanceID, Kind: "reclaim", At: now.Add(recycleTime)})
		case d.o.ReleaseAfter > 0 && !release.IsZero() && release.Sub(now) < releaseNotice:
			events = append(events, cloud.Event{ID: all[i].InstanceID, Kind: "reclaim", At: release})
		}
	}
	return events, nil
}

// recycleTime is between the notice of a spot machine and its end ("Preemptible
// instance interruption"). ECS does not tell when the notice was given.
const recycleTime = 5 * time.Minute
