package ec2

import (
	"context"
	"net/url"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// spotWarning is the time from a notice to the end of a spot instance ("Spot
// Instance interruption notices").
const spotWarning = 2 * time.Minute

// Events implements cloud.Watcher. EC2 marks the spot requests of instances it
// is about to take back ("Spot request status": marked-for-termination), which
// is the notice that the machine itself reads from its metadata; and it
// schedules events for those whose hosts retire. Events are the account's: some
// may be of machines that are not ours.
func (d *Driver) Events(ctx context.Context) ([]cloud.Event, error) {
	events, err := d.reclaimed(ctx)
	if err != nil {
		return nil, typed(cloud.OpEvents, "", err)
	}
	planned, err := d.maintained(ctx)
	if err != nil {
		return nil, typed(cloud.OpEvents, "", err)
	}
	return append(events, planned...), nil
}

func (d *Driver) reclaimed(ctx context.Context) (events []cloud.Event, err error) {
	if !d.sellsSpot() {
		return nil, nil
	}
	form := url.Values{"Filter.1.Name": {"status-code"}}
	list(form, "Filter.1.Value.", []string{"marked-for-termination", "marked-for-stop"})
	err = d.pages(ctx, "DescribeSpotInstanceRequests", form, func() (any, func() string) {
		a := &spotAnswer{}
		return a, func() string {
			for _, r := range a.Requests {
				if r.Instance != "" {
					events = append(events, cloud.Event{ID: r.Instance, Kind: "reclaim", At: parseTime(r.Updated).Add(spotWarning)})
				}
			}
			return a.NextToken
		}
	})
	return events, err
}

// eventCodes are the scheduled events that end a machine or interrupt it
// ("Scheduled events for your instances").
var eventCodes = []string{"instance-reboot", "instance-retirement", "instance-stop", "system-maintenance", "system-reboot"}

func (d *Driver) maintained(ctx context.Context) (events []cloud.Event, err error) {
	form := url.Values{"Filter.1.Name": {"event.code"}}
	list(form, "Filter.1.Value.", eventCodes)
	err = d.pages(ctx, "DescribeInstanceStatus", form, func() (any, func() string) {
		a := &statusAnswer{}
		return a, func() string {
			for _, s := range a.Statuses {
				for _, e := range s.Events {
					// What is over stays listed, and says so.
					if !strings.HasPrefix(e.Description, "[Completed]") && !strings.HasPrefix(e.Description, "[Canceled]") {
						events = append(events, cloud.Event{ID: s.Instance, Kind: "maintenance", At: parseTime(e.NotBefore)})
					}
				}
			}
			return a.NextToken
		}
	})
	return events, err
}
