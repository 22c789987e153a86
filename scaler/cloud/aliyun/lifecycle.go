package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"spillway/scaler/cloud"
)

// Delete implements cloud.Driver. Force releases machines that run too; disks
// made with them go with them.
func (d *Driver) Delete(ctx context.Context, id string) error {
	params := url.Values{"RegionId": {d.o.Region}, "InstanceId.1": {id}, "Force": {"true"}}
	return d.about(id, d.ecs.call(ctx, cloud.OpDelete, "DeleteInstances", params, &struct{}{}))
}

// Stop implements cloud.Stopper, in the mode that costs no more than disks
// (economical mode). A machine keeps its id, private address and disks.
func (d *Driver) Stop(ctx context.Context, id string) error {
	params := url.Values{"RegionId": {d.o.Region}, "InstanceId.1": {id}, "StoppedMode": {"StopCharging"}}
	return d.turn(ctx, cloud.OpStop, "StopInstances", id, params, "Stopped", "Stopping")
}

// Start implements cloud.Stopper. Whether there is stock is seen then.
func (d *Driver) Start(ctx context.Context, id string) error {
	params := url.Values{"RegionId": {d.o.Region}, "InstanceId.1": {id}}
	return d.turn(ctx, cloud.OpStart, "StartInstances", id, params, "Running", "Starting", "Pending")
}

// turn starts or stops. A machine that is on its way there already, or there,
// is refused for its status by ECS and fine with us; one in another state may
// be turned later.
func (d *Driver) turn(ctx context.Context, op, action, id string, params url.Values, there ...string) error {
	var answer struct {
		InstanceResponses struct {
			InstanceResponse []struct{ InstanceID, Code, Message string }
		}
	}
	err := d.ecs.call(ctx, op, action, params, &answer)
	if err == nil {
		for _, r := range answer.InstanceResponses.InstanceResponse {
			if r.Code != "" && r.Code != "200" {
				e := sorted(op, 400, r.Code)
				e.Err = &fault{Code: r.Code, Message: r.Message}
				err = e
			}
		}
	}
	var e *cloud.Error
	if !errors.As(err, &e) || e.What != statusWrong {
		return d.about(id, err)
	}
	status, err := d.status(ctx, op, id)
	if err != nil {
		return d.about(id, err)
	}
	if slices.Contains(there, status) {
		return nil
	}
	return d.about(id, e)
}

// status is what DescribeInstances says of one machine.
func (d *Driver) status(ctx context.Context, op, id string) (string, error) {
	list, err := json.Marshal([]string{id})
	if err != nil {
		return "", err
	}
	all, err := d.instances(ctx, cloud.OpList, url.Values{"InstanceIds": {string(list)}})
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", &cloud.Error{Kind: cloud.NotFound, Op: op, Err: fmt.Errorf("there is no machine %s", id)}
	}
	return all[0].Status, nil
}

// about names the machine that an error is about.
func (d *Driver) about(id string, err error) error {
	var e *cloud.Error
	if errors.As(err, &e) && (e.What == "" || e.What == statusWrong) {
		e.What = id
	}
	return err
}
