package cloudfake

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// aliyunUserData is the most user data, before it is encoded.
const aliyunUserData = 32 << 10

func (a *aliyun) runInstances(ctx context.Context, p url.Values) (any, error) {
	r, err := a.createRequest(p)
	if err != nil {
		return nil, err
	}
	release, err := a.releaseTime(p)
	if err != nil {
		return nil, err
	}
	if p.Get("DryRun") == "true" {
		return nil, aliyunDryRun()
	}
	if !a.sameRequest(r.Token, aliyunCanonical(p)) {
		return nil, &cloud.Error{Kind: cloud.Invalid, What: cloud.UsedToken, Err: errors.New("the token was used for another request")}
	}
	made, err := a.s.d.Create(ctx, r)
	if err == nil || cloud.KindOf(err) == cloud.NoCapacity || cloud.KindOf(err) == cloud.Ambiguous {
		a.remember(r.Token, aliyunCanonical(p))
	}
	if err != nil {
		return nil, err
	}
	if least, _ := strconv.Atoi(p.Get("MinAmount")); len(made) < least {
		return nil, a.takeBack(ctx, made)
	}
	return a.made(made, release), nil
}

func (a *aliyun) made(machines []cloud.Machine, release time.Time) any {
	var answer struct {
		InstanceIdSets struct{ InstanceIdSet []string }
		TradePrice     float64
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range machines {
		answer.InstanceIdSets.InstanceIdSet = append(answer.InstanceIdSets.InstanceIdSet, machines[i].ID)
		if !release.IsZero() {
			a.releases[machines[i].ID] = release
		}
	}
	return answer
}

// takeBack is what becomes of a batch that is smaller than MinAmount.
func (a *aliyun) takeBack(ctx context.Context, machines []cloud.Machine) error {
	for i := range machines {
		if err := a.s.d.Delete(ctx, machines[i].ID); err != nil {
			return err
		}
	}
	return &cloud.Error{Kind: cloud.NoCapacity, Err: errors.New("fewer than MinAmount")}
}

func (a *aliyun) createRequest(p url.Values) (r cloud.CreateRequest, err error) {
	if err := aliyunMissing(p, "RegionId", "InstanceType", "VSwitchId", "ZoneId"); err != nil {
		return r, err
	}
	if p.Get("ImageId") == "" && p.Get("LaunchTemplateId") == "" {
		return r, aliyunMissing(p, "ImageId")
	}
	data, err := base64.StdEncoding.DecodeString(p.Get("UserData"))
	if err != nil {
		return r, &aliyunFault{status: http.StatusBadRequest, code: "InvalidUserData.Base64FormatInvalid", message: "UserData is not base64."}
	}
	if len(data) > aliyunUserData {
		return r, &aliyunFault{status: http.StatusBadRequest, code: "InvalidUserData.SizeExceeded", message: "UserData is too long."}
	}
	r = cloud.CreateRequest{
		Token: p.Get("ClientToken"), Type: p.Get("InstanceType"), Zone: p.Get("ZoneId"), Spot: strings.HasPrefix(p.Get("SpotStrategy"), "Spot"),
		Count: 1, Tags: aliyunTags(p), UserData: data,
	}
	if amount := p.Get("Amount"); amount != "" {
		if r.Count, err = strconv.Atoi(amount); err != nil || r.Count < 1 || r.Count > 100 {
			return r, &aliyunFault{status: http.StatusBadRequest, code: "InvalidParameter.Amount", message: "Amount must be from 1 to 100."}
		}
	}
	if r.Token == "" {
		r.Token = a.requestID()
	}
	r.Names = aliyunNames(p, r.Count)
	return r, nil
}

// aliyunNames are those that UniqueSuffix makes. Without it all machines have
// one name; the cloud behind wants them apart.
func aliyunNames(p url.Values, n int) (names []string) {
	name := p.Get("InstanceName")
	if name == "" {
		name = "ecs"
	}
	if n == 1 {
		return []string{name}
	}
	for i := range n {
		names = append(names, fmt.Sprintf("%s%03d", name, i+1))
	}
	return names
}

// releaseTime reads AutoReleaseTime: from half an hour ahead to three years.
func (a *aliyun) releaseTime(p url.Values) (time.Time, error) {
	text := p.Get("AutoReleaseTime")
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if ahead := at.Sub(a.s.now()); err != nil || ahead < 30*time.Minute || ahead > 3*365*24*time.Hour {
		return at, &aliyunFault{status: http.StatusBadRequest, code: "InvalidAutoReleaseTime.Malformed", message: "The specified parameter autoReleaseTime is not valid."}
	}
	return at.Truncate(time.Minute), nil
}

func (a *aliyun) sameRequest(token, request string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	first, ok := a.tokens[token]
	return !ok || first == request
}

func (a *aliyun) remember(token, request string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens[token] = request
}

func aliyunDryRun() error {
	return &aliyunFault{status: http.StatusBadRequest, code: "DryRunOperation", message: "Request validation has been passed with DryRun flag set."}
}

// aliyunTurned is one machine of an answer to StartInstances or StopInstances.
type aliyunTurned struct {
	InstanceId, PreviousStatus, CurrentStatus, Code, Message string
}

func (a *aliyun) startInstances(ctx context.Context, p url.Values) (any, error) {
	return a.turn(ctx, p, cloud.OpStart, "Starting", "Running", "Starting", "Pending")
}

func (a *aliyun) stopInstances(ctx context.Context, p url.Values) (any, error) {
	return a.turn(ctx, p, cloud.OpStop, "Stopping", "Stopped", "Stopping")
}

// turn starts or stops machines one after the other. One that is in a wrong
// state is refused.
func (a *aliyun) turn(ctx context.Context, p url.Values, op, becomes string, wrong ...string) (any, error) {
	stopper, err := a.s.stopper(op)
	if err != nil {
		return nil, err
	}
	status, err := a.statuses(ctx)
	if err != nil {
		return nil, err
	}
	do := stopper.Stop
	if op == cloud.OpStart {
		do = stopper.Start
	}
	var answer struct {
		InstanceResponses struct{ InstanceResponse []aliyunTurned }
	}
	for _, id := range aliyunList(p, "InstanceId") {
		if slices.Contains(wrong, status[id]) {
			return nil, &aliyunFault{status: http.StatusForbidden, code: "IncorrectInstanceStatus", message: "The current status of the resource does not support this operation."}
		}
		if err := do(ctx, id); err != nil {
			return nil, err
		}
		answer.InstanceResponses.InstanceResponse = append(answer.InstanceResponses.InstanceResponse,
			aliyunTurned{id, status[id], becomes, "200", "success"})
	}
	return answer, nil
}

func (a *aliyun) deleteInstances(ctx context.Context, p url.Values) (any, error) {
	status := map[string]string{}
	if p.Get("Force") != "true" {
		var err error
		if status, err = a.statuses(ctx); err != nil {
			return nil, err
		}
	}
	for _, id := range aliyunList(p, "InstanceId") {
		if status[id] == "Running" {
			return nil, &aliyunFault{status: http.StatusForbidden, code: "IncorrectInstanceStatus", message: "A running instance is released by Force alone."}
		}
		if err := a.s.d.Delete(ctx, id); err != nil {
			return nil, err
		}
	}
	return struct{}{}, nil
}

func (a *aliyun) modifyAutoReleaseTime(ctx context.Context, p url.Values) (any, error) {
	if err := aliyunMissing(p, "InstanceId"); err != nil {
		return nil, err
	}
	at, err := a.releaseTime(p)
	if err != nil {
		return nil, err
	}
	status, err := a.statuses(ctx)
	if err != nil {
		return nil, err
	}
	id := p.Get("InstanceId")
	if status[id] == "" {
		return nil, &cloud.Error{Kind: cloud.NotFound, What: id}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.releases, id)
	if !at.IsZero() {
		a.releases[id] = at
	}
	return struct{}{}, nil
}

// statuses of all machines, in the words of ECS.
func (a *aliyun) statuses(ctx context.Context) (map[string]string, error) {
	machines, err := a.s.d.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	status := map[string]string{}
	for i := range machines {
		if s := aliyunStatus(machines[i].State); s != "" {
			status[machines[i].ID] = s
		}
	}
	return status, nil
}
