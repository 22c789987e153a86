package cloudfake

import (
	"encoding/xml"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// The answers of EC2, in the shape of the examples of its API Reference.

const (
	ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
	ec2Account   = "123456789012"
)

func nameOf(element string) xml.Name { return xml.Name{Local: element} }

type reservationXML struct {
	ID        string        `xml:"reservationId"`
	Owner     string        `xml:"ownerId"`
	Groups    struct{}      `xml:"groupSet"`
	Instances []instanceXML `xml:"instancesSet>item"`
}

type runXML struct {
	XMLName   xml.Name `xml:"RunInstancesResponse"`
	Xmlns     string   `xml:"xmlns,attr"`
	RequestID string   `xml:"requestId"`
	reservationXML
}

type instancesXML struct {
	XMLName      xml.Name         `xml:"DescribeInstancesResponse"`
	Xmlns        string           `xml:"xmlns,attr"`
	RequestID    string           `xml:"requestId"`
	Reservations []reservationXML `xml:"reservationSet>item"`
	NextToken    string           `xml:"nextToken,omitempty"`
}

type instanceXML struct {
	ID          string     `xml:"instanceId"`
	Image       string     `xml:"imageId"`
	State       stateXML   `xml:"instanceState"`
	PrivateDNS  string     `xml:"privateDnsName"`
	DNS         string     `xml:"dnsName"`
	Key         string     `xml:"keyName,omitempty"`
	LaunchIndex int        `xml:"amiLaunchIndex"`
	Type        string     `xml:"instanceType"`
	Launched    string     `xml:"launchTime"`
	Zone        string     `xml:"placement>availabilityZone"`
	Tenancy     string     `xml:"placement>tenancy"`
	Monitoring  string     `xml:"monitoring>state"`
	Subnet      string     `xml:"subnetId,omitempty"`
	PrivateIP   string     `xml:"privateIpAddress,omitempty"`
	PublicIP    string     `xml:"ipAddress,omitempty"`
	Groups      []groupXML `xml:"groupSet>item"`
	Reason      *reasonXML `xml:"stateReason"`
	Arch        string     `xml:"architecture"`
	RootType    string     `xml:"rootDeviceType"`
	Lifecycle   string     `xml:"instanceLifecycle,omitempty"`
	SpotRequest string     `xml:"spotInstanceRequestId,omitempty"`
	ClientToken string     `xml:"clientToken"`
	Tags        []tagXML   `xml:"tagSet>item"`
	Hypervisor  string     `xml:"hypervisor"`
}

type stateXML struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type reasonXML struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type groupXML struct {
	ID string `xml:"groupId"`
}

type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type changeXML struct {
	XMLName   xml.Name
	Xmlns     string       `xml:"xmlns,attr"`
	RequestID string       `xml:"requestId"`
	Instances []changedXML `xml:"instancesSet>item"`
}

type changedXML struct {
	ID       string   `xml:"instanceId"`
	Current  stateXML `xml:"currentState"`
	Previous stateXML `xml:"previousState"`
}

type typesXML struct {
	XMLName   xml.Name  `xml:"DescribeInstanceTypesResponse"`
	Xmlns     string    `xml:"xmlns,attr"`
	RequestID string    `xml:"requestId"`
	Types     []typeXML `xml:"instanceTypeSet>item"`
}

type typeXML struct {
	Name          string   `xml:"instanceType"`
	Current       bool     `xml:"currentGeneration"`
	Usage         []string `xml:"supportedUsageClasses>item"`
	RootDevices   []string `xml:"supportedRootDeviceTypes>item"`
	Architectures []string `xml:"processorInfo>supportedArchitectures>item"`
	CPUs          int      `xml:"vCpuInfo>defaultVCpus"`
	MemoryMiB     int64    `xml:"memoryInfo>sizeInMiB"`
}

type placesXML struct {
	XMLName   xml.Name   `xml:"DescribeInstanceTypeOfferingsResponse"`
	Xmlns     string     `xml:"xmlns,attr"`
	RequestID string     `xml:"requestId"`
	Places    []placeXML `xml:"instanceTypeOfferingSet>item"`
}

type placeXML struct {
	Type     string `xml:"instanceType"`
	Kind     string `xml:"locationType"`
	Location string `xml:"location"`
}

type pricesXML struct {
	XMLName   xml.Name   `xml:"DescribeSpotPriceHistoryResponse"`
	Xmlns     string     `xml:"xmlns,attr"`
	RequestID string     `xml:"requestId"`
	Prices    []priceXML `xml:"spotPriceHistorySet>item"`
	NextToken string     `xml:"nextToken"`
}

type priceXML struct {
	Type    string `xml:"instanceType"`
	Product string `xml:"productDescription"`
	Price   string `xml:"spotPrice"`
	At      string `xml:"timestamp"`
	Zone    string `xml:"availabilityZone"`
}

type spotXML struct {
	XMLName   xml.Name         `xml:"DescribeSpotInstanceRequestsResponse"`
	Xmlns     string           `xml:"xmlns,attr"`
	RequestID string           `xml:"requestId"`
	Requests  []spotRequestXML `xml:"spotInstanceRequestSet>item"`
}

type spotRequestXML struct {
	ID       string        `xml:"spotInstanceRequestId"`
	Type     string        `xml:"type"`
	State    string        `xml:"state"`
	Status   spotStatusXML `xml:"status"`
	Instance string        `xml:"instanceId"`
}

type spotStatusXML struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
	Updated string `xml:"updateTime"`
}

type statusesXML struct {
	XMLName   xml.Name    `xml:"DescribeInstanceStatusResponse"`
	Xmlns     string      `xml:"xmlns,attr"`
	RequestID string      `xml:"requestId"`
	Statuses  []statusXML `xml:"instanceStatusSet>item"`
}

type statusXML struct {
	Instance string         `xml:"instanceId"`
	Events   []scheduledXML `xml:"eventsSet>item"`
}

type scheduledXML struct {
	Code        string `xml:"code"`
	Description string `xml:"description"`
	NotBefore   string `xml:"notBefore"`
}

func ec2Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// reservation shows machines as one launch made them.
func (e *EC2) reservation(machines []cloud.Machine) reservationXML {
	r := reservationXML{Owner: ec2Account}
	for i, m := range machines {
		if i == 0 {
			r.ID = "r-" + strings.TrimPrefix(m.ID, "i-")
		}
		r.Instances = append(r.Instances, e.instance(&m, i))
	}
	return r
}

func (e *EC2) instance(m *cloud.Machine, index int) instanceXML {
	form, failure := e.launchOf(m.ID)
	x := instanceXML{
		ID: m.ID, Image: form.Get("ImageId"), State: stateOf(stateName(m)), Key: form.Get("KeyName"), LaunchIndex: index,
		Type: m.Type, Launched: ec2Time(m.Created), Zone: m.Zone, Tenancy: "default", Monitoring: "disabled",
		Subnet: form.Get("SubnetId") + form.Get("NetworkInterface.1.SubnetId"), PrivateIP: m.Address, Arch: "x86_64", RootType: "ebs",
		ClientToken: form.Get("ClientToken"), Hypervisor: "xen",
	}
	if form.Get("NetworkInterface.1.AssociatePublicIpAddress") == "true" {
		x.PublicIP = m.Address
	}
	for _, id := range append(numbered(form, "SecurityGroupId."), numbered(form, "NetworkInterface.1.SecurityGroupId.")...) {
		x.Groups = append(x.Groups, groupXML{id})
	}
	if m.Spot {
		x.Lifecycle, x.SpotRequest = "spot", spotRequestID(m.ID)
	}
	switch {
	case failure != "":
		x.Reason = &reasonXML{"Server.InternalError", "Server.InternalError: " + failure}
	case m.State == cloud.Deleting || m.State == cloud.Deleted:
		x.Reason = &reasonXML{"Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"}
	}
	for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
		x.Tags = append(x.Tags, tagXML{key, m.Tags[key]})
	}
	return x
}

// launchOf is the form an instance was made by, empty where its answer was
// lost, and why it failed to start.
func (e *EC2) launchOf(id string) (form url.Values, failure string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.launched[id], e.failures[id]
}

// asCloud is an error of the cloud behind, or nil.
func asCloud(err error) *cloud.Error {
	var typed *cloud.Error
	if errors.As(err, &typed) {
		return typed
	}
	return nil
}
