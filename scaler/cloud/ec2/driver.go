package ec2

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"spillway/scaler/cloud"
)

// Driver implements cloud.Driver, cloud.Stopper and cloud.Watcher. It is safe
// for concurrent use.
type Driver struct {
	options Options
	api     *client
	recent  *memory
}

var (
	_ cloud.Driver  = (*Driver)(nil)
	_ cloud.Stopper = (*Driver)(nil)
	_ cloud.Watcher = (*Driver)(nil)
)

// Describe implements cloud.Driver. The limits are those of "Request throttling
// for the Amazon EC2 API"; an account can have higher ones.
func (d *Driver) Describe() cloud.Description {
	return cloud.Description{
		Name: d.options.Name, MaxBatch: maxBatch, ClientToken: true, TokenZonal: true, StopFree: true, Spot: d.sellsSpot(),
		UserDataMax: userDataMax, ListLag: d.options.ListLag,
		Limits: map[string]cloud.Limit{
			"create":          {Rate: 2, Burst: 5},
			"create-machines": {Rate: 2, Burst: 1000, Machines: true},
			"delete":          {Rate: 5, Burst: 100},
			"delete-machines": {Rate: 20, Burst: 1000, Machines: true},
			"stop":            {Rate: 5, Burst: 100},
			"stop-machines":   {Rate: 20, Burst: 1000, Machines: true},
			"start":           {Rate: 2, Burst: 5},
			"start-machines":  {Rate: 2, Burst: 1000, Machines: true},
			"list":            {Rate: 20, Burst: 100},
			"":                {Rate: 20, Burst: 100},
		},
	}
}

func (d *Driver) sellsSpot() bool {
	return slices.ContainsFunc(d.options.Kinds, func(k Kind) bool { return k.Spot })
}

// pageSize is the most that the Describe actions give at once.
const pageSize = 1000

// List implements cloud.Driver. What EC2's filters let through is checked once
// more, for they have wildcards of their own.
func (d *Driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	form := url.Values{"MaxResults": {strconv.Itoa(pageSize)}}
	for i, key := range slices.Sorted(maps.Keys(tags)) {
		n := strconv.Itoa(i + 1)
		form.Set("Filter."+n+".Name", "tag:"+key)
		form.Set("Filter."+n+".Value.1", literal.Replace(tags[key]))
	}
	var found []cloud.Machine
	err := d.pages(ctx, "DescribeInstances", form, func() (any, func() string) {
		a := &instancesAnswer{}
		return a, func() string {
			for _, r := range a.Reservations {
				found = append(found, d.machines(r, tags)...)
			}
			return a.NextToken
		}
	})
	if err != nil {
		return nil, typed(cloud.OpList, "", err)
	}
	return found, nil
}

// literal takes away the meaning of a filter's wildcards.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`)

func (d *Driver) machines(r reservation, tags map[string]string) (all []cloud.Machine) {
	for i := range r.Instances {
		if m := r.Instances[i].machine(d.options.PublicAddress); m.HasTags(tags) {
			all = append(all, m)
		}
	}
	return all
}

// pages calls action until an answer says that it was the last one. fresh gives
// an empty answer and what reads it once it is filled, which tells the token of
// the next page.
func (d *Driver) pages(ctx context.Context, action string, form url.Values, fresh func() (answer any, read func() string)) error {
	for {
		answer, read := fresh()
		if err := d.api.call(ctx, action, form, answer); err != nil {
			return err
		}
		next := read()
		if next == "" || next == form.Get("NextToken") {
			return nil
		}
		form.Set("NextToken", next)
	}
}

// Delete implements cloud.Driver. EC2 goes on knowing an instance for about an
// hour after its end, and takes every further request to end it: one that was
// terminated before is NotFound.
func (d *Driver) Delete(ctx context.Context, id string) error {
	a, err := d.change(ctx, cloud.OpDelete, "TerminateInstances", id)
	if err != nil {
		return err
	}
	for _, i := range a.Instances {
		if i.ID == id && i.Previous.Code == stateTerminated {
			return failure(cloud.NotFound, cloud.OpDelete, id, "it was terminated before")
		}
	}
	return nil
}

// Stop implements cloud.Stopper. One-time spot instances cannot be stopped:
// Invalid.
func (d *Driver) Stop(ctx context.Context, id string) error {
	_, err := d.change(ctx, cloud.OpStop, "StopInstances", id)
	return err
}

// Start implements cloud.Stopper.
func (d *Driver) Start(ctx context.Context, id string) error {
	_, err := d.change(ctx, cloud.OpStart, "StartInstances", id)
	return err
}

// change is a call about one machine. That a machine which was made a moment
// ago is not known says nothing about it ("Ensuring idempotency and eventual
// consistency").
func (d *Driver) change(ctx context.Context, op, action, id string) (*changeAnswer, error) {
	a := &changeAnswer{}
	err := typed(op, id, d.api.call(ctx, action, url.Values{"InstanceId.1": {id}}, a))
	if err != nil && cloud.KindOf(err) == cloud.NotFound && d.recent.has(id) {
		return nil, &cloud.Error{Kind: cloud.Transient, Op: op, What: id, Err: err}
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}
