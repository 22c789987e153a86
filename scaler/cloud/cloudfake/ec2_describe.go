package cloudfake

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// ec2PageSize is the most that one Describe gives.
const ec2PageSize = 1000

// describeInstances lists machines by filters and ids, a page at a time. The
// token of a page is the last id of the one before, so that machines that come
// and go between two pages move no others.
func (e *EC2) describeInstances(ctx context.Context, form url.Values) (any, error) {
	all, err := e.machines(ctx)
	if err != nil {
		return nil, err
	}
	if all, err = byIDs(all, numbered(form, "InstanceId.")); err != nil {
		return nil, err
	}
	filters, err := readFilters(form)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(form.Get("NextToken"))
	if err != nil {
		return nil, &wireError{http.StatusBadRequest, "InvalidPaginationToken", "The specified pagination token is not valid."}
	}
	all = slices.DeleteFunc(all, func(m cloud.Machine) bool { return m.ID <= string(after) || !filters.pass(&m) })
	wanted, _ := strconv.Atoi(form.Get("MaxResults"))
	all, next := page(all, 0, e.s.pageSize(wanted, ec2PageSize))
	answer := instancesXML{Xmlns: ec2Namespace, RequestID: requestID}
	for _, m := range all {
		answer.Reservations = append(answer.Reservations, e.reservation([]cloud.Machine{m}))
	}
	if next > 0 {
		answer.NextToken = base64.RawURLEncoding.EncodeToString([]byte(all[len(all)-1].ID))
	}
	return answer, nil
}

// machines are those of the cloud behind, by id. One that failed to start is
// ended there, as EC2 does.
func (e *EC2) machines(ctx context.Context) ([]cloud.Machine, error) {
	all, err := e.s.d.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b cloud.Machine) int { return cmp.Compare(a.ID, b.ID) })
	for i := range all {
		if m := &all[i]; m.State == cloud.Failed {
			e.fail(ctx, m)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range all {
		e.known[all[i].ID] = true
	}
	return all, nil
}

func (e *EC2) fail(ctx context.Context, m *cloud.Machine) {
	_ = e.s.d.Delete(ctx, m.ID) // it is asked for again with the next list
	m.State = cloud.Deleting
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures[m.ID] = m.Reason
}

func byIDs(all []cloud.Machine, ids []string) ([]cloud.Machine, error) {
	if len(ids) == 0 {
		return all, nil
	}
	var some []cloud.Machine
	for _, id := range ids {
		i := slices.IndexFunc(all, func(m cloud.Machine) bool { return m.ID == id })
		if i < 0 {
			return nil, ec2Refusal(&cloud.Error{Kind: cloud.NotFound, What: id, Err: errors.New("not listed")})
		}
		some = append(some, all[i])
	}
	slices.SortFunc(some, func(a, b cloud.Machine) int { return cmp.Compare(a.ID, b.ID) })
	return some, nil
}

// filters are the values of each Filter.N: any of them, and all filters.
type filters map[string][]string

func readFilters(form url.Values) (filters, error) {
	f := filters{}
	for i := 1; form.Has("Filter." + strconv.Itoa(i) + ".Name"); i++ {
		filter := "Filter." + strconv.Itoa(i) + "."
		name := form.Get(filter + "Name")
		if _, known := attribute(&cloud.Machine{}, name); !known {
			return nil, badParameter("The filter '" + name + "' is invalid")
		}
		f[name] = append(f[name], numbered(form, filter+"Value.")...)
	}
	return f, nil
}

func (f filters) pass(m *cloud.Machine) bool {
	for name, wanted := range f {
		has, _ := attribute(m, name)
		if !slices.ContainsFunc(has, func(v string) bool {
			return slices.ContainsFunc(wanted, func(pattern string) bool { return matches(pattern, v) })
		}) {
			return false
		}
	}
	return true
}

// attribute is what a filter of DescribeInstances looks at.
func attribute(m *cloud.Machine, name string) (values []string, known bool) {
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		if v, ok := m.Tags[key]; ok {
			values = []string{v}
		}
		return values, true
	}
	switch name {
	case "instance-id":
		return []string{m.ID}, true
	case "instance-state-name":
		return []string{stateName(m)}, true
	case "instance-type":
		return []string{m.Type}, true
	case "availability-zone":
		return []string{m.Zone}, true
	case "tag-key":
		return slices.Collect(maps.Keys(m.Tags)), true
	}
	return nil, false
}

// matches knows EC2's wildcards, * and ?, and \ before one that is none.
func matches(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	switch c := pattern[0]; {
	case c == '*':
		for i := 0; i <= len(text); i++ {
			if matches(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	case text == "":
		return false
	case c == '?':
	case c == '\\' && len(pattern) > 1:
		pattern = pattern[1:]
		fallthrough
	default:
		if pattern[0] != text[0] {
			return false
		}
	}
	return matches(pattern[1:], text[1:])
}

func stateName(m *cloud.Machine) string {
	switch m.State {
	case cloud.Deleting, cloud.Failed:
		return "shutting-down"
	case cloud.Deleted:
		return "terminated"
	}
	return string(m.State)
}

// offerings are those of the cloud behind, of the types that are asked for.
func (e *EC2) offerings(ctx context.Context, types []string) ([]cloud.Offering, error) {
	all, err := e.s.d.Offerings(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if !slices.ContainsFunc(all, func(o cloud.Offering) bool { return o.Type == t }) {
			return nil, &wireError{http.StatusBadRequest, "InvalidInstanceType", "The following supplied instance types do not exist: [" + t + "]"}
		}
	}
	return slices.DeleteFunc(all, func(o cloud.Offering) bool { return len(types) > 0 && !slices.Contains(types, o.Type) }), nil
}

func (e *EC2) describeInstanceTypes(ctx context.Context, form url.Values) (any, error) {
	all, err := e.offerings(ctx, numbered(form, "InstanceType."))
	if err != nil {
		return nil, err
	}
	answer := typesXML{Xmlns: ec2Namespace, RequestID: requestID}
	index := map[string]int{}
	for _, o := range all {
		i, seen := index[o.Type]
		if !seen {
			i, index[o.Type] = len(answer.Types), len(answer.Types)
			answer.Types = append(answer.Types, typeOf(o))
		}
		usage := "on-demand"
		if o.Spot {
			usage = "spot"
		}
		if t := &answer.Types[i]; !slices.Contains(t.Usage, usage) {
			t.Usage = append(t.Usage, usage)
		}
	}
	return answer, nil
}

func typeOf(o cloud.Offering) typeXML {
	arch := map[string]string{"amd64": "x86_64"}[o.Arch]
	return typeXML{
		Name: o.Type, Current: true, CPUs: int(max(o.CPU, 1)), MemoryMiB: max(o.Memory>>20, 1),
		Architectures: []string{cmp.Or(arch, o.Arch)}, RootDevices: []string{"ebs"},
	}
}

func (e *EC2) describeInstanceTypeOfferings(ctx context.Context, form url.Values) (any, error) {
	if form.Get("LocationType") != "availability-zone" {
		return nil, badParameter("only the location type availability-zone is known here")
	}
	var types []string
	if form.Get("Filter.1.Name") == "instance-type" {
		types = numbered(form, "Filter.1.Value.")
	}
	all, err := e.s.d.Offerings(ctx)
	if err != nil {
		return nil, err
	}
	answer := placesXML{Xmlns: ec2Namespace, RequestID: requestID}
	for _, o := range all {
		p := placeXML{o.Type, "availability-zone", o.Zone}
		if (len(types) == 0 || slices.Contains(types, o.Type)) && !slices.Contains(answer.Places, p) {
			answer.Places = append(answer.Places, p)
		}
	}
	return answer, nil
}

func (e *EC2) describeSpotPriceHistory(ctx context.Context, form url.Values) (any, error) {
	all, err := e.offerings(ctx, numbered(form, "InstanceType."))
	if err != nil {
		return nil, err
	}
	answer := pricesXML{Xmlns: ec2Namespace, RequestID: requestID}
	for _, o := range all {
		if o.Spot {
			answer.Prices = append(answer.Prices, priceXML{
				o.Type, "Linux/UNIX", fmt.Sprintf("%.6f", o.PriceHour), ec2Time(e.s.now().Add(-time.Hour)), o.Zone,
			})
		}
	}
	return answer, nil
}

// describeSpotInstanceRequests knows the requests whose instances are about to
// be taken back, which is what its status filter is for.
func (e *EC2) describeSpotInstanceRequests(ctx context.Context, form url.Values) (any, error) {
	answer := spotXML{Xmlns: ec2Namespace, RequestID: requestID}
	if form.Get("Filter.1.Name") != "status-code" || !slices.Contains(numbered(form, "Filter.1.Value."), markedForEnd) {
		return nil, badParameter("only the filter status-code is known here, with " + markedForEnd)
	}
	events, err := e.events(ctx, "reclaim")
	if err != nil {
		return nil, err
	}
	for _, event := range events {
		answer.Requests = append(answer.Requests, spotRequestXML{
			ID: spotRequestID(event.ID), Instance: event.ID, Type: "one-time", State: "active", Status: spotStatusXML{
				markedForEnd, "Your Spot Instance is marked for termination", ec2Time(event.At.Add(-2 * time.Minute)),
			},
		})
	}
	return answer, nil
}

const markedForEnd = "marked-for-termination"

func spotRequestID(instance string) string { return "sir-" + strings.TrimPrefix(instance, "i-") }

func (e *EC2) events(ctx context.Context, kind string) ([]cloud.Event, error) {
	w, ok := e.s.d.(cloud.Watcher)
	if !ok {
		return nil, nil
	}
	all, err := w.Events(ctx)
	return slices.DeleteFunc(all, func(event cloud.Event) bool { return event.Kind != kind }), err
}

// describeInstanceStatus shows instances that have scheduled events.
func (e *EC2) describeInstanceStatus(ctx context.Context, _ url.Values) (any, error) {
	events, err := e.events(ctx, "maintenance")
	if err != nil {
		return nil, err
	}
	answer := statusesXML{Xmlns: ec2Namespace, RequestID: requestID}
	for _, event := range events {
		answer.Statuses = append(answer.Statuses, statusXML{Instance: event.ID, Events: []scheduledXML{{
			Code: "instance-retirement", Description: "The instance is running on degraded hardware", NotBefore: ec2Time(event.At),
		}}})
	}
	return answer, nil
}
