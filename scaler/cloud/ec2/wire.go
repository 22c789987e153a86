package ec2

import (
	"time"

	"spillway/scaler/cloud"
)

// The answers of the Query API, as far as they are read. Their examples are in
// the Amazon EC2 API Reference, under each action.

// reservation is the answer of RunInstances and an item of DescribeInstances.
type reservation struct {
	Instances []instance `xml:"instancesSet>item"`
}

type instancesAnswer struct {
	Reservations []reservation `xml:"reservationSet>item"`
	NextToken    string        `xml:"nextToken"`
}

type instance struct {
	ID        string      `xml:"instanceId"`
	Type      string      `xml:"instanceType"`
	State     stateItem   `xml:"instanceState"`
	Reason    stateReason `xml:"stateReason"`
	Zone      string      `xml:"placement>availabilityZone"`
	PrivateIP string      `xml:"privateIpAddress"`
	PublicIP  string      `xml:"ipAddress"`
	Launched  string      `xml:"launchTime"`
	Lifecycle string      `xml:"instanceLifecycle"`
	Tags      []tagItem   `xml:"tagSet>item"`
}

type stateItem struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type stateReason struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type tagItem struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// changeAnswer is that of TerminateInstances, StopInstances, StartInstances.
type changeAnswer struct {
	Instances []struct {
		ID       string    `xml:"instanceId"`
		Current  stateItem `xml:"currentState"`
		Previous stateItem `xml:"previousState"`
	} `xml:"instancesSet>item"`
}

type typesAnswer struct {
	Types     []typeItem `xml:"instanceTypeSet>item"`
	NextToken string     `xml:"nextToken"`
}

type typeItem struct {
	Name          string   `xml:"instanceType"`
	CPUs          int      `xml:"vCpuInfo>defaultVCpus"`
	MemoryMiB     int64    `xml:"memoryInfo>sizeInMiB"`
	Architectures []string `xml:"processorInfo>supportedArchitectures>item"`
	Usage         []string `xml:"supportedUsageClasses>item"`
}

type placesAnswer struct {
	Places []struct {
		Type string `xml:"instanceType"`
		Zone string `xml:"location"`
	} `xml:"instanceTypeOfferingSet>item"`
	NextToken string `xml:"nextToken"`
}

type pricesAnswer struct {
	Prices []struct {
		Type  string  `xml:"instanceType"`
		Zone  string  `xml:"availabilityZone"`
		Price float64 `xml:"spotPrice"`
		At    string  `xml:"timestamp"`
	} `xml:"spotPriceHistorySet>item"`
	NextToken string `xml:"nextToken"`
}

type spotAnswer struct {
	Requests []struct {
		Instance string `xml:"instanceId"`
		Code     string `xml:"status>code"`
		Updated  string `xml:"status>updateTime"`
	} `xml:"spotInstanceRequestSet>item"`
	NextToken string `xml:"nextToken"`
}

type statusAnswer struct {
	Statuses []struct {
		Instance string `xml:"instanceId"`
		Events   []struct {
			Code        string `xml:"code"`
			Description string `xml:"description"`
			NotBefore   string `xml:"notBefore"`
		} `xml:"eventsSet>item"`
	} `xml:"instanceStatusSet>item"`
	NextToken string `xml:"nextToken"`
}

// stateTerminated is the code of a machine that is gone ("InstanceState").
const stateTerminated = 48

// states are EC2's, in our words. "shutting-down" is EC2's word for being
// terminated.
var states = map[string]cloud.State{
	"pending":       cloud.Pending,
	"running":       cloud.Running,
	"shutting-down": cloud.Deleting,
	"terminated":    cloud.Deleted,
	"stopping":      cloud.Stopping,
	"stopped":       cloud.Stopped,
}

// nameTag is what consoles show as a machine's name. It is no host name, which
// EC2 makes of the address, and one batch shares it: Machine.Name stays empty,
// for the scaler compares it with what machines call themselves.
const nameTag = "Name"

func (i *instance) machine(public bool) cloud.Machine {
	m := cloud.Machine{
		ID: i.ID, Type: i.Type, Zone: i.Zone, State: states[i.State.Name], Address: i.PrivateIP,
		Created: parseTime(i.Launched), Spot: i.Lifecycle == "spot", Tags: make(map[string]string, len(i.Tags)),
	}
	if m.State == "" {
		m.State = cloud.Pending // a state that is new to us is not yet Running
	}
	if public {
		m.Address = i.PublicIP
	}
	for _, t := range i.Tags {
		m.Tags[t.Key] = t.Value
	}
	delete(m.Tags, nameTag)
	if i.Reason.Code != "" && m.State != cloud.Running && m.State != cloud.Pending {
		m.Reason = i.Reason.Code + ": " + i.Reason.Message
	}
	return m
}

// parseTime is the zero time for text that is no time.
func parseTime(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}
