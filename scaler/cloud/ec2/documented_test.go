package ec2

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
)

// The answers in testdata have the shape of the examples of the API Reference.

func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// driverOf answers every call with one example, and notes what was asked.
func driverOf(t *testing.T, status int, body []byte, change func(*Options)) (*Driver, *url.Values) {
	t.Helper()
	asked := &url.Values{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		*asked = r.PostForm
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	env := map[string]string{"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	o := Options{
		Region: "us-east-1", Endpoint: server.URL, Getenv: func(name string) string { return env[name] },
		Kinds: []Kind{{Type: "m5.large", PriceHour: 0.1}, {Type: "m5.large", PriceHour: 0.1, Spot: true}}, Image: "ami-0abcdef1234567890",
	}
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d, asked
}

func ask(spot bool, names ...string) cloud.CreateRequest {
	return cloud.CreateRequest{
		Token: "b0c1d2e3f4a5968778695a4b3c2d1e0f", Type: "m5.large", Zone: "us-east-1b", Count: len(names), Names: names, Spot: spot,
		Tags: map[string]string{cloud.TagCluster: "prod", cloud.TagOrder: "web-1"}, UserData: []byte("#!/bin/sh\n"),
	}
}

func TestReadsRunInstances(t *testing.T) {
	d, _ := driverOf(t, http.StatusOK, example(t, "run-instances.xml"), nil)
	made, err := d.Create(t.Context(), ask(false, "web-1-0"))
	want := []cloud.Machine{{
		ID: "i-1234567890abcdef0", Type: "m5.large", Zone: "us-east-1b", State: cloud.Pending, Address: "10.0.0.12",
		Created: time.Date(2026, 3, 1, 12, 0, 2, 0, time.UTC), Tags: map[string]string{cloud.TagCluster: "prod"},
	}}
	if diff := cmp.Diff(want, made); err != nil || diff != "" {
		t.Errorf("Create: %v\n%s", err, diff)
	}
}

func TestReadsDescribeInstances(t *testing.T) {
	d, asked := driverOf(t, http.StatusOK, example(t, "describe-instances.xml"), func(o *Options) { o.PublicAddress = true })
	found, err := d.List(t.Context(), nil)
	want := []cloud.Machine{
		{
			ID: "i-1234567890abcdef0", Type: "t2.micro", Zone: "eu-west-1c", State: cloud.Running, Address: "54.194.252.215",
			Created: time.Date(2018, 5, 8, 16, 46, 19, 0, time.UTC), Tags: map[string]string{},
		},
		{
			ID: "i-0598c7d356eba48d7", Type: "c5.xlarge", Zone: "eu-west-1a", State: cloud.Deleted, Spot: true,
			Created: time.Date(2018, 5, 8, 16, 40, 0, 0, time.UTC), Tags: map[string]string{},
			Reason: "Server.SpotInstanceTermination: Server.SpotInstanceTermination: Spot instance termination",
		},
	}
	if diff := cmp.Diff(want, found); err != nil || diff != "" {
		t.Errorf("List: %v\n%s", err, diff)
	}
	if asked.Has("NextToken") || asked.Has("Filter.1.Name") {
		t.Errorf("asked %v", *asked)
	}
}

func TestFiltersAreLiteral(t *testing.T) {
	d, asked := driverOf(t, http.StatusOK, example(t, "describe-instances.xml"), nil)
	found, err := d.List(t.Context(), map[string]string{"b": `x*?\`, "a": "1"})
	if err != nil || len(found) != 0 {
		t.Errorf("List: %v, %v; want none: the answer's machines lack the tags", found, err)
	}
	want := url.Values{
		"Action": {"DescribeInstances"}, "Version": {"2016-11-15"}, "MaxResults": {"1000"},
		"Filter.1.Name": {"tag:a"}, "Filter.1.Value.1": {"1"}, "Filter.2.Name": {"tag:b"}, "Filter.2.Value.1": {`x\*\?\\`},
	}
	if diff := cmp.Diff(want, *asked); diff != "" {
		t.Error(diff)
	}
}

func TestTerminatedBeforeIsNotFound(t *testing.T) {
	d, asked := driverOf(t, http.StatusOK, example(t, "terminate-instances.xml"), nil)
	if err := d.Delete(t.Context(), "i-1234567890abcdef0"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("Delete: %v", err)
	}
	if asked.Get("InstanceId.1") != "i-1234567890abcdef0" {
		t.Errorf("asked %v", *asked)
	}
}

func TestReadsErrors(t *testing.T) {
	d, _ := driverOf(t, http.StatusBadRequest, example(t, "error.xml"), nil)
	err := d.Stop(t.Context(), "i-1a2b3c4d")
	const want = "cannot stop machines: not_found (i-1a2b3c4d): InvalidInstanceID.NotFound: The instance ID 'i-1a2b3c4d' does not exist (HTTP 400, request ea966190-f9aa-478e-9ede-example)"
	if err == nil || err.Error() != want {
		t.Errorf("Stop: %v, want %s", err, want)
	}
}

// What was made a moment ago and is not found may not be known yet.
func TestNotFoundLagsBehind(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d, _ := driverOf(t, http.StatusBadRequest, example(t, "error.xml"), func(o *Options) { o.Now = func() time.Time { return now } })
	d.recent.add("i-1a2b3c4d")
	if err := d.Delete(t.Context(), "i-1a2b3c4d"); cloud.KindOf(err) != cloud.Transient {
		t.Errorf("Delete of a machine that was just made: %v, want transient", err)
	}
	now = now.Add(defaultListLag)
	if err := d.Delete(t.Context(), "i-1a2b3c4d"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("Delete later: %v, want not found", err)
	}
}

func TestWritesRunInstances(t *testing.T) {
	common := url.Values{
		"Action": {"RunInstances"}, "Version": {"2016-11-15"}, "ClientToken": {"b0c1d2e3f4a5968778695a4b3c2d1e0f"},
		"InstanceType": {"m5.large"}, "MinCount": {"1"}, "InstanceInitiatedShutdownBehavior": {"terminate"}, "UserData": {"IyEvYmluL3NoCg=="},
		"TagSpecification.1.ResourceType": {"instance"}, "TagSpecification.1.Tag.1.Key": {"Name"},
		"TagSpecification.1.Tag.2.Key": {"spillway-cluster"}, "TagSpecification.1.Tag.2.Value": {"prod"},
		"TagSpecification.1.Tag.3.Key": {"spillway-order"}, "TagSpecification.1.Tag.3.Value": {"web-1"},
		"TagSpecification.2.ResourceType": {"volume"}, "TagSpecification.2.Tag.1.Key": {"Name"},
		"TagSpecification.2.Tag.2.Key": {"spillway-cluster"}, "TagSpecification.2.Tag.2.Value": {"prod"},
		"TagSpecification.2.Tag.3.Key": {"spillway-order"}, "TagSpecification.2.Tag.3.Value": {"web-1"},
	}
	for _, c := range []struct {
		name    string
		request cloud.CreateRequest
		change  func(*Options)
		more    map[string]string
	}{
		{"a zone and no more", ask(false, "web-1-0"), nil, map[string]string{
			"MaxCount": "1", "ImageId": "ami-0abcdef1234567890", "Placement.AvailabilityZone": "us-east-1b",
			"TagSpecification.1.Tag.1.Value": "web-1-0", "TagSpecification.2.Tag.1.Value": "web-1-0",
		}},
		{"a subnet, groups, key and role", ask(false, "web-1-0", "web-1-1"), func(o *Options) {
			o.Subnets = map[string]string{"us-east-1b": "subnet-0b"}
			o.SecurityGroups, o.KeyName, o.InstanceProfile = []string{"sg-1", "sg-2"}, "ops", "web"
		}, map[string]string{
			"MaxCount": "2", "ImageId": "ami-0abcdef1234567890", "SubnetId": "subnet-0b", "SecurityGroupId.1": "sg-1", "SecurityGroupId.2": "sg-2",
			"KeyName": "ops", "IamInstanceProfile.Name": "web",
			"TagSpecification.1.Tag.1.Value": "web-1", "TagSpecification.2.Tag.1.Value": "web-1",
		}},
		{"a launch template and a public address", ask(false, "web-1-0"), func(o *Options) {
			o.Image, o.LaunchTemplate, o.LaunchTemplateVersion = "", "lt-0abcd290751193123", "3"
			o.Subnets, o.PublicAddress = map[string]string{"us-east-1b": "subnet-0b"}, true
			o.SecurityGroups, o.InstanceProfile = []string{"sg-1"}, "arn:aws:iam::123456789012:instance-profile/web"
		}, map[string]string{
			"MaxCount": "1", "LaunchTemplate.LaunchTemplateId": "lt-0abcd290751193123", "LaunchTemplate.Version": "3",
			"NetworkInterface.1.DeviceIndex": "0", "NetworkInterface.1.SubnetId": "subnet-0b", "NetworkInterface.1.SecurityGroupId.1": "sg-1",
			"NetworkInterface.1.AssociatePublicIpAddress": "true", "IamInstanceProfile.Arn": "arn:aws:iam::123456789012:instance-profile/web",
			"TagSpecification.1.Tag.1.Value": "web-1-0", "TagSpecification.2.Tag.1.Value": "web-1-0",
		}},
		{"spot, by a template's name", ask(true, "web-1-0"), func(o *Options) { o.Image, o.LaunchTemplate = "", "web" }, map[string]string{
			"MaxCount": "1", "LaunchTemplate.LaunchTemplateName": "web", "Placement.AvailabilityZone": "us-east-1b",
			"InstanceMarketOptions.MarketType": "spot", "InstanceMarketOptions.SpotOptions.SpotInstanceType": "one-time",
			"InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior": "terminate",
			"TagSpecification.1.Tag.1.Value":                                 "web-1-0", "TagSpecification.2.Tag.1.Value": "web-1-0",
			"TagSpecification.3.ResourceType": "spot-instances-request", "TagSpecification.3.Tag.1.Key": "Name", "TagSpecification.3.Tag.1.Value": "web-1-0",
			"TagSpecification.3.Tag.2.Key": "spillway-cluster", "TagSpecification.3.Tag.2.Value": "prod",
			"TagSpecification.3.Tag.3.Key": "spillway-order", "TagSpecification.3.Tag.3.Value": "web-1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, asked := driverOf(t, http.StatusOK, example(t, "run-instances.xml"), c.change)
			for range 2 { // an order is asked for alike each time
				if _, err := d.Create(t.Context(), c.request); err != nil {
					t.Fatal(err)
				}
				want := url.Values{}
				for k, v := range common {
					want[k] = v
				}
				for k, v := range c.more {
					want.Set(k, v)
				}
				if diff := cmp.Diff(want, *asked); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Region: "us-east-1", Image: "ami-1", Kinds: []Kind{{Type: "t", PriceHour: 1}}}
	for name, spoil := range map[string]func(*Options){
		"no region":              func(o *Options) { o.Region = "" },
		"nothing to launch":      func(o *Options) { o.Image = "" },
		"no kinds":               func(o *Options) { o.Kinds = nil },
		"a kind without a price": func(o *Options) { o.Kinds = []Kind{{Type: "t"}} },
		"a zone without subnet": func(o *Options) {
			o.Subnets, o.Kinds = map[string]string{"a": "subnet-1"}, []Kind{{Type: "t", PriceHour: 1, Zones: []string{"b"}}}
		},
		"an endpoint that is none": func(o *Options) { o.Endpoint = "ec2" },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	d, err := New(good)
	if err != nil || d.api.endpoint.String() != "https://ec2.us-east-1.amazonaws.com/" {
		t.Errorf("%v, %v", d, err)
	}
	if got := serviceURL("sts", "cn-north-1"); got != "https://sts.cn-north-1.amazonaws.com.cn/" {
		t.Error(got)
	}
}
