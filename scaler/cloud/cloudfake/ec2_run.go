package cloudfake

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"spillway/scaler/cloud"
)

// runInstances passes a batch on as one Create. EC2 knows no names of slots:
// the cloud behind gets some that are made of the Name tag.
func (e *EC2) runInstances(ctx context.Context, form url.Values) (any, error) {
	r, err := e.createRequest(ctx, form)
	if err != nil {
		return nil, err
	}
	if !e.oneForm(r.Zone, form) {
		return nil, ec2Invalid(&cloud.Error{What: cloud.UsedToken})
	}
	made, err := e.s.d.Create(ctx, r)
	if cloud.KindOf(err) == cloud.Invalid && e.sold(ctx, r.Type) {
		if k := e.typeNotHere(err, &r); k != nil {
			return nil, k
		}
	}
	if err != nil {
		return nil, err
	}
	e.remember(r.Zone, form, made)
	return runXML{Xmlns: ec2Namespace, RequestID: requestID, reservationXML: e.reservation(made)}, nil
}

// typeNotHere is EC2's answer for a type that other zones have.
func (e *EC2) typeNotHere(err error, r *cloud.CreateRequest) error {
	if typed := asCloud(err); typed == nil || typed.What != "type" {
		return nil
	}
	return &wireError{http.StatusBadRequest, "Unsupported", fmt.Sprintf("Your requested instance type (%s) is not supported in your requested Availability Zone (%s).", r.Type, r.Zone)}
}

func (e *EC2) sold(ctx context.Context, typ string) bool {
	all, err := e.s.d.Offerings(ctx)
	return err == nil && slices.ContainsFunc(all, func(o cloud.Offering) bool { return o.Type == typ })
}

func (e *EC2) createRequest(ctx context.Context, form url.Values) (r cloud.CreateRequest, err error) {
	if form.Get("ImageId") == "" && form.Get("LaunchTemplate.LaunchTemplateId") == "" && form.Get("LaunchTemplate.LaunchTemplateName") == "" {
		return r, &wireError{http.StatusBadRequest, "MissingParameter", "The request must contain the parameter ImageId"}
	}
	least, err1 := strconv.Atoi(form.Get("MinCount"))
	most, err2 := strconv.Atoi(form.Get("MaxCount"))
	if err1 != nil || err2 != nil || least < 1 || most < least {
		return r, badParameter("MinCount and MaxCount must be numbers, MinCount at least 1 and at most MaxCount")
	}
	r = cloud.CreateRequest{
		Token: form.Get("ClientToken"), Type: form.Get("InstanceType"), Count: most,
		Spot: form.Get("InstanceMarketOptions.MarketType") == "spot",
		Tags: specifiedTags(form, "instance"),
	}
	if r.Token == "" {
		r.Token = e.unique()
	}
	if len(r.Token) > 64 {
		return r, badParameter("ClientToken is longer than 64 characters")
	}
	if r.UserData, err = base64.StdEncoding.DecodeString(form.Get("UserData")); err != nil {
		return r, &wireError{http.StatusBadRequest, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."}
	}
	for i := range most {
		r.Names = append(r.Names, fmt.Sprintf("%s-%d", r.Tags["Name"], i))
	}
	r.Zone, err = e.zoneOf(ctx, form)
	r.Token += "@" + r.Zone // worth its zone, whatever the cloud behind makes of tokens
	return r, err
}

func (e *EC2) unique() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	return fmt.Sprintf("no-token-%d", e.made)
}

// zoneOf is the zone of the subnet, or the one that was named, or the first.
func (e *EC2) zoneOf(ctx context.Context, form url.Values) (string, error) {
	subnet := form.Get("SubnetId") + form.Get("NetworkInterface.1.SubnetId")
	if subnet == "" {
		if zone := form.Get("Placement.AvailabilityZone"); zone != "" {
			return zone, nil
		}
		all, err := e.s.d.Offerings(ctx)
		if err != nil || len(all) == 0 {
			return "", err
		}
		return all[0].Zone, nil
	}
	for zone, id := range e.o.Subnets {
		if id == subnet {
			return zone, nil
		}
	}
	return "", &wireError{http.StatusBadRequest, "InvalidSubnetID.NotFound", "The subnet ID '" + subnet + "' does not exist"}
}

// oneForm reports whether a token, in its zone, still stands for this form. It
// covers what the cloud behind is not told, such as the image.
func (e *EC2) oneForm(zone string, form url.Values) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	token := form.Get("ClientToken")
	before, used := e.tokens[zone+"/"+token]
	return token == "" || !used || before == form.Encode()
}

func (e *EC2) remember(zone string, form url.Values, made []cloud.Machine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if token := form.Get("ClientToken"); token != "" {
		e.tokens[zone+"/"+token] = form.Encode()
	}
	for _, m := range made {
		e.launched[m.ID], e.known[m.ID] = maps.Clone(form), true
	}
}

// specifiedTags are the tags of the TagSpecifications for one kind of resource.
func specifiedTags(form url.Values, resource string) map[string]string {
	tags := map[string]string{}
	for i := 1; ; i++ {
		spec := "TagSpecification." + strconv.Itoa(i) + "."
		kind := form.Get(spec + "ResourceType")
		if kind == "" {
			return tags
		}
		for j := 1; kind == resource; j++ {
			tag := spec + "Tag." + strconv.Itoa(j) + "."
			if !form.Has(tag + "Key") {
				break
			}
			tags[form.Get(tag+"Key")] = form.Get(tag + "Value")
		}
	}
}

// numbered are the values of PREFIX1, PREFIX2, ...
func numbered(form url.Values, prefix string) (values []string) {
	for i := 1; form.Has(prefix + strconv.Itoa(i)); i++ {
		values = append(values, form.Get(prefix+strconv.Itoa(i)))
	}
	return values
}

// ec2ID is the form of an instance's id here: real ones are shorter.
var ec2ID = regexp.MustCompile(`^i-[0-9a-f]+$`)

func (e *EC2) terminateInstances(ctx context.Context, form url.Values) (any, error) {
	return e.change(ctx, form, "TerminateInstances", "shutting-down", func(id string) error {
		err := e.s.d.Delete(ctx, id)
		if cloud.KindOf(err) == cloud.NotFound && e.told(id) {
			return errTerminated
		}
		return err
	})
}

// errTerminated: the instance is gone and still known, which EC2 takes for
// success.
var errTerminated = &wireError{code: "terminated"}

func (e *EC2) stopInstances(ctx context.Context, form url.Values) (any, error) {
	return e.change(ctx, form, "StopInstances", "stopping", func(id string) error {
		s, err := e.s.stopper(cloud.OpStop)
		if err != nil {
			return err
		}
		if form, _ := e.launchOf(id); form.Get("InstanceMarketOptions.MarketType") == "spot" {
			return &wireError{http.StatusBadRequest, "UnsupportedOperation", "You can't stop the Spot Instance '" + id + "' because it is associated with a one-time Spot Instance request."}
		}
		return s.Stop(ctx, id)
	})
}

func (e *EC2) startInstances(ctx context.Context, form url.Values) (any, error) {
	return e.change(ctx, form, "StartInstances", "pending", func(id string) error {
		s, err := e.s.stopper(cloud.OpStart)
		if err != nil {
			return err
		}
		return s.Start(ctx, id)
	})
}

// change is an action on instances that exist. The first that cannot be changed
// ends it.
func (e *EC2) change(_ context.Context, form url.Values, action, to string, do func(id string) error) (any, error) {
	answer := changeXML{XMLName: nameOf(action + "Response"), Xmlns: ec2Namespace, RequestID: requestID}
	for _, id := range numbered(form, "InstanceId.") {
		if !ec2ID.MatchString(id) && !e.told(id) {
			return nil, &wireError{http.StatusBadRequest, "InvalidInstanceID.Malformed", "Invalid id: \"" + id + "\""}
		}
		from, now := "running", to
		switch err := do(id); {
		case err == errTerminated:
			from, now = "terminated", "terminated"
		case err != nil:
			return nil, err
		}
		answer.Instances = append(answer.Instances, changedXML{id, stateOf(now), stateOf(from)})
	}
	return answer, nil
}

func (e *EC2) told(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[id]
}

var ec2States = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

func stateOf(name string) stateXML { return stateXML{ec2States[strings.TrimSpace(name)], name} }
