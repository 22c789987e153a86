package aliyun

import (
	"context"
	"errors"
	"net/url"
	"time"

	"spillway/scaler/cloud"
)

// The backstop: what ECS releases by itself when nobody is left who would. It
// is an outage too, if nobody is left but the machines still serve. Therefore
//
//   - it is off unless Options.ReleaseAfter says otherwise, and never shorter
//     than MinReleaseAfter;
//   - every scaler that runs, leading or not, moves it on when half of it is
//     over (Renew): all of them must be away for more than half of it;
//   - machines whose release comes near nevertheless, because Renew is not
//     permitted, are told of by Events and replaced before.
//
// Machines that nobody renews end within ReleaseAfter and two steps.

const (
	// releaseStep is between two points of release: a Create that is repeated
	// within it is the same to the letter.
	releaseStep = 6 * time.Hour
	// releaseNotice is how long before its release a machine is replaced.
	releaseNotice = 2 * time.Hour
)

// releaseTime is when machines made now shall be released, or would have been
// had they been made the given steps ago. The zero time: never.
func (d *Driver) releaseTime(stepsAgo int) time.Time {
	if d.o.ReleaseAfter == 0 {
		return time.Time{}
	}
	begin := d.o.Now().Truncate(releaseStep).Add(-time.Duration(stepsAgo) * releaseStep)
	return begin.Add(d.o.ReleaseAfter + 2*releaseStep).Truncate(time.Minute)
}

// Renew moves the release of machines with all the tags on, if half of
// ReleaseAfter is over. It reports how many it has moved. Without ReleaseAfter
// it makes no call.
func (d *Driver) Renew(ctx context.Context, tags map[string]string) (moved int, err error) {
	if d.o.ReleaseAfter == 0 {
		return 0, nil
	}
	params := url.Values{}
	addTags(params, tags)
	all, err := d.instances(ctx, cloud.OpList, params)
	if err != nil {
		return 0, err
	}
	var failed []error
	now, next := d.o.Now(), d.releaseTime(0)
	for i := range all {
		release := moment(all[i].AutoReleaseTime)
		if m := d.machine(&all[i]); release.IsZero() || release.Sub(now) > d.o.ReleaseAfter/2 || !m.HasTags(tags) {
			continue
		}
		if err := d.release(ctx, all[i].InstanceID, next); err != nil {
			failed = append(failed, err)
			continue
		}
		moved++
	}
	return moved, errors.Join(failed...)
}

func (d *Driver) release(ctx context.Context, id string, at time.Time) error {
	params := url.Values{"RegionId": {d.o.Region}, "InstanceId": {id}, "AutoReleaseTime": {at.UTC().Format(time.RFC3339)}}
	err := d.ecs.call(ctx, "renew", "ModifyInstanceAutoReleaseTime", params, &struct{}{})
	if cloud.KindOf(err) == cloud.NotFound && err != nil {
		return nil
	}
	return err
}
