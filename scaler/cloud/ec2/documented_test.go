package ec2

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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

func TestReadsKeys(t *testing.T) {
	var a stsAnswer
	if err := xml.Unmarshal(example(t, "assume-role.xml"), &a); err != nil {
		t.Fatal(err)
	}
	k, err := a.Role.keys()
	if err != nil || k.id != "ASIAIOSFODNN7EXAMPLE" || !strings.HasPrefix(k.session.reveal(), "AQoDYXdz") || k.expires.Hour() != 13 {
		t.Errorf("of a role: %v, %v", k, err)
	}
	k, err = parseKeys(example(t, "instance-role.json"))
	if err != nil || k.secret.reveal() != "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" || k.session.reveal() != "token" || k.expires.Hour() != 18 {
		t.Errorf("of a machine: %v, %v", k, err)
	}
	for _, bad := range []string{"", "{", `{"Code":"Failed"}`, `{"Code":"Success","AccessKeyId":"a","SecretAccessKey":"b"}`} {
		if k, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("parseKeys(%q): %v, want an error", bad, k)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	k := keys{id: "AKIAIOSFODNN7EXAMPLE", secret: hide("hidden-1"), session: hide("hidden-2")}
	text, err := json.Marshal(map[string]any{"secret": k.secret})
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{have: k}
	shown := fmt.Sprintf("%v %+v %#v %s %q %s %v %#v", k, k, k, k.secret, k.session, text, v, &v.have)
	if strings.Contains(shown, "hidden") {
		t.Errorf("shown: %s", shown)
	}
}

func TestProfilesAreRead(t *testing.T) {
	p := profiles{}
	config := "# ours\n[default]\nregion = eu-central-1 ; a comment\n[profile ops]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile = default\n" +
		"s3 =\n  max_concurrent_requests = 20\n[services mine]\nec2 =\n  endpoint_url = x\n[ops]\nrole_arn = ignored\n"
	if err := p.parse(config, true); err != nil {
		t.Fatal(err)
	}
	credentials := "[default]\nAWS_ACCESS_KEY_ID = AKIA1\naws_secret_access_key = a#b;c=d\n[ops]\nexternal_id=7\n"
	if err := p.parse(credentials, false); err != nil {
		t.Fatal(err)
	}
	want := profiles{
		"default": {"region": "eu-central-1", "aws_access_key_id": "AKIA1", "aws_secret_access_key": "a#b;c=d"},
		"ops":     {"role_arn": "arn:aws:iam::1:role/x", "source_profile": "default", "s3": "", "external_id": "7"},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	err := profiles{}.parse("[default]\nmy-secret-without-a-name\n", false)
	if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "my-secret") {
		t.Errorf("error %v, want one that names the line and does not show it", err)
	}
}

func FuzzProfiles(f *testing.F) {
	f.Add("[default]\naws_access_key_id = a\n", false)
	f.Add("[profile x]\n a = b\n[\n]\n=\n", true)
	f.Fuzz(func(t *testing.T, text string, config bool) {
		p := profiles{}
		if p.parse(text, config) != nil {
			return
		}
		for name, settings := range p {
			if name == "" || settings == nil {
				t.Errorf("profile %q: %v", name, settings)
			}
		}
	})
}

func FuzzAnswers(f *testing.F) {
	for _, name := range []string{"run-instances.xml", "describe-instances.xml", "terminate-instances.xml", "error.xml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, 200)
		f.Add(text, 400)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		e := parseError(&http.Response{StatusCode: status, Header: http.Header{}}, body)
		if k := kindOf(cloud.OpCreate, e); k == cloud.Transient && codes[e.Code] != cloud.Transient {
			t.Errorf("a Create that may have bought is called transient: %v", e)
		}
		var a instancesAnswer
		if xml.Unmarshal(body, &a) != nil {
			return
		}
		for _, r := range a.Reservations {
			for i := range r.Instances {
				if m := r.Instances[i].machine(false); m.State == "" {
					t.Errorf("a machine without a state: %+v", m)
				}
			}
		}
	})
}

func TestErrorsAreSorted(t *testing.T) {
	const bad, denied, broken, busy = http.StatusBadRequest, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable
	for _, c := range []struct {
		status int
		code   string
		op     string
		want   cloud.Kind
		what   string
	}{
		{broken, "InsufficientInstanceCapacity", cloud.OpCreate, cloud.NoCapacity, "m5.large in us-east-1b"},
		{broken, "InsufficientInstanceCapacity", cloud.OpStart, cloud.NoCapacity, "m5.large in us-east-1b"},
		{broken, "InsufficientHostCapacity", cloud.OpCreate, cloud.NoCapacity, "m5.large in us-east-1b"},
		{bad, "SpotMaxPriceTooLow", cloud.OpCreate, cloud.NoCapacity, "m5.large in us-east-1b"},
		{bad, "Unsupported", cloud.OpCreate, cloud.NoCapacity, "m5.large in us-east-1b"},
		{bad, "InsufficientFreeAddressesInSubnet", cloud.OpCreate, cloud.NoCapacity, "m5.large in us-east-1b"},
		{bad, "InstanceLimitExceeded", cloud.OpCreate, cloud.Quota, "InstanceLimitExceeded"},
		{bad, "VcpuLimitExceeded", cloud.OpCreate, cloud.Quota, "VcpuLimitExceeded"},
		{bad, "MaxSpotInstanceCountExceeded", cloud.OpCreate, cloud.Quota, "MaxSpotInstanceCountExceeded"},
		{bad, "VolumeLimitExceeded", cloud.OpCreate, cloud.Quota, "VolumeLimitExceeded"},
		{busy, "RequestLimitExceeded", cloud.OpCreate, cloud.RateLimited, "m5.large in us-east-1b"},
		{bad, "Throttling", cloud.OpList, cloud.RateLimited, "m5.large in us-east-1b"},
		{http.StatusTooManyRequests, "", cloud.OpCreate, cloud.RateLimited, "m5.large in us-east-1b"},
		{bad, "IdempotentParameterMismatch", cloud.OpCreate, cloud.Invalid, cloud.UsedToken},
		{bad, "IdempotentInstanceTerminated", cloud.OpCreate, cloud.Invalid, cloud.UsedToken},
		{bad, "InvalidInstanceID.NotFound", cloud.OpDelete, cloud.NotFound, "m5.large in us-east-1b"},
		{bad, "InvalidInstanceID.Malformed", cloud.OpDelete, cloud.NotFound, "m5.large in us-east-1b"},
		{denied, "UnauthorizedOperation", cloud.OpCreate, cloud.Auth, "UnauthorizedOperation"},
		{http.StatusUnauthorized, "AuthFailure", cloud.OpList, cloud.Auth, "AuthFailure"},
		{denied, "SignatureDoesNotMatch", cloud.OpList, cloud.Auth, "SignatureDoesNotMatch"},
		{bad, "OptInRequired", cloud.OpCreate, cloud.Auth, "OptInRequired"},
		{bad, "InvalidParameterValue", cloud.OpCreate, cloud.Invalid, "InvalidParameterValue"},
		{bad, "InvalidAMIID.NotFound", cloud.OpCreate, cloud.Invalid, "InvalidAMIID.NotFound"},
		{bad, "InvalidSubnetID.NotFound", cloud.OpCreate, cloud.Invalid, "InvalidSubnetID.NotFound"},
		{bad, "IncorrectInstanceState", cloud.OpStop, cloud.Transient, "m5.large in us-east-1b"},
		{bad, "OperationNotPermitted", cloud.OpDelete, cloud.Transient, "m5.large in us-east-1b"},
		{bad, "UnsupportedOperation", cloud.OpStop, cloud.Invalid, "UnsupportedOperation"},
		{http.StatusPreconditionFailed, "DryRunOperation", cloud.OpCreate, cloud.DryRun, "m5.large in us-east-1b"},
		{busy, "Unavailable", cloud.OpCreate, cloud.Transient, "m5.large in us-east-1b"},
		// These may come after the work was done.
		{broken, "InternalError", cloud.OpCreate, cloud.Ambiguous, "m5.large in us-east-1b"},
		{busy, "ServiceUnavailable", cloud.OpCreate, cloud.Ambiguous, "m5.large in us-east-1b"},
		{http.StatusBadGateway, "", cloud.OpCreate, cloud.Ambiguous, "m5.large in us-east-1b"},
		{bad, "", cloud.OpCreate, cloud.Ambiguous, "m5.large in us-east-1b"},
		{broken, "InternalError", cloud.OpList, cloud.Transient, "m5.large in us-east-1b"},
	} {
		body := fmt.Sprintf("<Response><Errors><Error><Code>%s</Code><Message>why</Message></Error></Errors><RequestID>7</RequestID></Response>", c.code)
		e := parseError(&http.Response{StatusCode: c.status, Header: http.Header{}}, []byte(body))
		var typedErr *cloud.Error
		err := typed(c.op, "m5.large in us-east-1b", e)
		if !asError(err, &typedErr) || typedErr.Kind != c.want || typedErr.What != c.what {
			t.Errorf("%d %q of %s: %v, want %v of %q", c.status, c.code, c.op, err, c.want, c.what)
		}
		if (typedErr.After > 0) != (c.want == cloud.RateLimited) {
			t.Errorf("%d %q: to wait for %v", c.status, c.code, typedErr.After)
		}
	}
}

func asError(err error, to **cloud.Error) bool {
	e, ok := err.(*cloud.Error)
	*to = e
	return ok
}

func TestRetryAfterIsHeard(t *testing.T) {
	e := parseError(&http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"7"}}},
		[]byte("<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>"))
	var typedErr *cloud.Error
	if !asError(typed(cloud.OpList, "", e), &typedErr) || typedErr.After != 7*time.Second {
		t.Errorf("%v", typedErr)
	}
}

// A connection that is refused has bought nothing; one that breaks after the
// request may have.
func TestDoubtBeginsWithTheRequest(t *testing.T) {
	d, _ := driverOf(t, http.StatusOK, nil, func(o *Options) { o.Endpoint = "http://127.0.0.1:1/" })
	if _, err := d.Create(t.Context(), ask(false, "a")); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("nobody listens: %v, want transient", err)
	}
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	d, _ = driverOf(t, http.StatusOK, nil, func(o *Options) { o.Endpoint = cut.URL })
	if _, err := d.Create(t.Context(), ask(false, "a")); cloud.KindOf(err) != cloud.Ambiguous {
		t.Errorf("the connection is cut: %v, want ambiguous", err)
	}
	if _, err := d.List(t.Context(), nil); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("the connection of a list is cut: %v, want transient", err)
	}
	for _, nonsense := range []string{"", "<html>", "<RunInstancesResponse/>"} {
		d, _ = driverOf(t, http.StatusOK, []byte(nonsense), nil)
		if _, err := d.Create(t.Context(), ask(false, "a")); cloud.KindOf(err) != cloud.Ambiguous {
			t.Errorf("answer %q: %v, want ambiguous", nonsense, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Create(ctx, ask(false, "a")); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("the context has ended: %v, want transient", err)
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
