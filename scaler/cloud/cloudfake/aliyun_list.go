package cloudfake

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"spillway/scaler/cloud"
)

// aliyunInstance is a machine as DescribeInstances shows it.
type aliyunInstance struct {
	InstanceId, InstanceName, HostName, InstanceType, RegionId, ZoneId, Status string
	InstanceChargeType, SpotStrategy, CreationTime, AutoReleaseTime            string
	VpcAttributes                                                              struct {
		VSwitchId        string
		PrivateIpAddress struct{ IpAddress []string }
	}
	PublicIpAddress struct{ IpAddress []string }
	EipAddress      struct{ IpAddress, AllocationId string }
	Tags            struct{ Tag []aliyunTag }
	OperationLocks  struct{ LockReason []aliyunLock }
}

type aliyunTag struct{ TagKey, TagValue string }

type aliyunLock struct{ LockReason, LockMsg string }

// aliyunStatus is the status of a state; "": such a machine is not shown. ECS
// has none for a machine that is being released, and none for one that failed:
// that one is stopped, under a lock.
func aliyunStatus(s cloud.State) string {
	switch s {
	case cloud.Pending:
		return "Pending"
	case cloud.Running:
		return "Running"
	case cloud.Stopping, cloud.Deleting:
		return "Stopping"
	case cloud.Stopped, cloud.Failed:
		return "Stopped"
	}
	return ""
}

// describeInstances answers a page: by token (MaxResults, NextToken) from the
// list as it was at the first page, or by number (PageSize, PageNumber).
func (a *aliyun) describeInstances(ctx context.Context, p url.Values) (any, error) {
	if p.Get("DryRun") == "true" {
		return nil, aliyunDryRun()
	}
	if token := p.Get("NextToken"); token != "" {
		rest, ok := a.take(token)
		if !ok {
			return nil, &aliyunFault{status: http.StatusBadRequest, code: "InvalidParameter.NextToken", message: "The specified NextToken is not valid."}
		}
		return a.pageByToken(rest, p), nil
	}
	all, err := a.instances(ctx, p)
	if err != nil {
		return nil, err
	}
	if p.Has("MaxResults") {
		return a.pageByToken(all, p), nil
	}
	size, number := a.s.pageSize(aliyunNumber(p, "PageSize", 10), 100), aliyunNumber(p, "PageNumber", 1)
	part, _ := page(all, (number-1)*size, size)
	return aliyunPage{TotalCount: len(all), PageNumber: number, PageSize: size, Instances: aliyunInstances{part}}, nil
}

type aliyunInstances struct{ Instance []aliyunInstance }

type aliyunPage struct {
	TotalCount, PageNumber, PageSize int
	NextToken                        string
	Instances                        aliyunInstances
}

func aliyunNumber(p url.Values, name string, usual int) int {
	if n, err := strconv.Atoi(p.Get(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

func (a *aliyun) pageByToken(all []aliyunInstance, p url.Values) aliyunPage {
	part, next := page(all, 0, a.s.pageSize(aliyunNumber(p, "MaxResults", 10), 100))
	answer := aliyunPage{Instances: aliyunInstances{part}}
	if next > 0 {
		answer.NextToken = a.requestID()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lists[answer.NextToken] = all[next:]
	}
	return answer
}

// take returns what a page token stands for. A page that is asked for twice is
// answered twice.
func (a *aliyun) take(token string) ([]aliyunInstance, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rest, ok := a.lists[token]
	return rest, ok
}

// instances are those that the request's filters leave.
func (a *aliyun) instances(ctx context.Context, p url.Values) ([]aliyunInstance, error) {
	machines, err := a.s.d.List(ctx, aliyunTags(p))
	if err != nil {
		return nil, err
	}
	reclaimed, err := a.reclaimed(ctx, machines)
	if err != nil {
		return nil, err
	}
	var ids []string
	if text := p.Get("InstanceIds"); text != "" {
		if err := json.Unmarshal([]byte(text), &ids); err != nil || len(ids) > 100 {
			return nil, &aliyunFault{status: http.StatusBadRequest, code: "InvalidInstanceIds.Malformed", message: "InstanceIds is not a list of at most 100 ids."}
		}
	}
	found := []aliyunInstance{}
	for i := range machines {
		m := &machines[i]
		v := a.instance(m, reclaimed[m.ID])
		if v.Status == "" || (p.Get("InstanceIds") != "" && !slices.Contains(ids, m.ID)) || !v.passes(p) {
			continue
		}
		found = append(found, v)
	}
	slices.SortFunc(found, func(x, y aliyunInstance) int { return cmp.Compare(x.InstanceId, y.InstanceId) })
	return found, nil
}

// reclaimed are the spot machines that have had their notice.
func (a *aliyun) reclaimed(ctx context.Context, machines []cloud.Machine) (map[string]bool, error) {
	w, watches := a.s.d.(cloud.Watcher)
	if !watches || !slices.ContainsFunc(machines, func(m cloud.Machine) bool { return m.Spot }) {
		return nil, nil
	}
	events, err := w.Events(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, e := range events {
		ids[e.ID] = true
	}
	return ids, nil
}

func (v *aliyunInstance) passes(p url.Values) bool {
	for name, value := range map[string]string{"Status": v.Status, "ZoneId": v.ZoneId, "InstanceType": v.InstanceType, "InstanceName": v.InstanceName} {
		if p.Get(name) != "" && p.Get(name) != value {
			return false
		}
	}
	reason := p.Get("LockReason")
	return reason == "" || slices.ContainsFunc(v.OperationLocks.LockReason, func(l aliyunLock) bool { return l.LockReason == reason })
}

func (a *aliyun) instance(m *cloud.Machine, reclaimed bool) aliyunInstance {
	v := aliyunInstance{
		InstanceId: m.ID, InstanceName: m.Name, HostName: m.Name, InstanceType: m.Type, RegionId: AliyunRegion, ZoneId: m.Zone,
		Status: aliyunStatus(m.State), InstanceChargeType: "PostPaid", SpotStrategy: "NoSpot",
		CreationTime: m.Created.UTC().Format("2006-01-02T15:04Z"), AutoReleaseTime: a.releaseOf(m.ID),
	}
	if m.Spot {
		v.SpotStrategy = "SpotAsPriceGo"
	}
	v.VpcAttributes.VSwitchId = "vsw-" + m.Zone
	v.VpcAttributes.PrivateIpAddress.IpAddress = []string{}
	if m.Address != "" {
		v.VpcAttributes.PrivateIpAddress.IpAddress = []string{m.Address}
	}
	v.PublicIpAddress.IpAddress = []string{}
	for key, value := range m.Tags {
		v.Tags.Tag = append(v.Tags.Tag, aliyunTag{key, value})
	}
	slices.SortFunc(v.Tags.Tag, func(x, y aliyunTag) int { return cmp.Compare(x.TagKey, y.TagKey) })
	v.OperationLocks.LockReason = []aliyunLock{}
	if reclaimed {
		v.OperationLocks.LockReason = append(v.OperationLocks.LockReason, aliyunLock{"Recycling", "The spot instance will be released."})
	}
	if m.State == cloud.Failed {
		v.OperationLocks.LockReason = append(v.OperationLocks.LockReason, aliyunLock{"security", m.Reason})
	}
	return v
}

func (a *aliyun) releaseOf(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.releases[id]; ok {
		return at.UTC().Format(time.RFC3339)
	}
	return ""
}
