package aliyun_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
)

// documented answers each action with the file of testdata given for it, and
// keeps what was asked.
type documented struct {
	status  int
	answers map[string]string

	mu    sync.Mutex
	asked []url.Values
}

func (s *documented) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := os.ReadFile(filepath.Join("testdata", s.answers[r.Header.Get("x-acs-action")]))
	if err != nil || r.ParseForm() != nil || r.URL.RawQuery != "" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	s.mu.Lock()
	r.PostForm.Set("Action", r.Header.Get("x-acs-action"))
	s.asked = append(s.asked, r.PostForm)
	s.mu.Unlock()
	w.WriteHeader(max(s.status, http.StatusOK))
	_, _ = w.Write(text)
}

// against is a driver in front of answers, with the vendor's usual ids.
func against(t *testing.T, s *documented, change func(*aliyun.Options)) *aliyun.Driver {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o := aliyun.Options{
		Region: "cn-hangzhou", Endpoint: server.URL, Image: "m-bp1", KeyPair: "ops", RAMRole: "web", DiskType: "cloud_essd", DiskGiB: 40,
		VSwitches:      map[string]string{"cn-hangzhou-e": "vsw-e", "cn-hangzhou-b": "vsw-b"},
		SecurityGroups: []string{"sg-1", "sg-2"},
		Kinds:          []aliyun.Kind{{Type: "ecs.d1ne.xlarge"}, {Type: "ecs.g5.large", Zones: []string{"cn-hangzhou-e"}, Units: 1.5, MaxPPS: 7}},
		Credentials: aliyun.CredentialOptions{Getenv: environment{
			"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
		}.get},
		Now: func() time.Time { return start },
	}
	if change != nil {
		change(&o)
	}
	d, err := aliyun.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func order() cloud.CreateRequest {
	return cloud.CreateRequest{
		Token: "0b3b7ce49a4acf74ac62a85f7a7b678e", Type: "ecs.g5.large", Zone: "cn-hangzhou-e", Count: 2, Names: []string{"web-1-0", "web-1-1"},
		Tags: map[string]string{cloud.TagCluster: "prod", cloud.TagOrder: "web-1"}, UserData: []byte("#!/bin/sh\n"),
	}
}

func TestRunInstancesRequest(t *testing.T) {
	s := &documented{answers: map[string]string{"RunInstances": "run_instances.json"}}
	d := against(t, s, nil)
	got, err := d.Create(t.Context(), order())
	if err != nil {
		t.Fatal(err)
	}
	tags := order().Tags
	want := []cloud.Machine{
		{ID: "i-bp67acfmxazb4pd2****", Type: "ecs.g5.large", Zone: "cn-hangzhou-e", State: cloud.Pending, Created: start, Tags: tags},
		{ID: "i-bp1j9bd2ae4vqhti****", Type: "ecs.g5.large", Zone: "cn-hangzhou-e", State: cloud.Pending, Created: start, Tags: tags},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
	asked := url.Values{
		"Action": {"RunInstances"}, "RegionId": {"cn-hangzhou"}, "ZoneId": {"cn-hangzhou-e"}, "VSwitchId": {"vsw-e"},
		"ImageId": {"m-bp1"}, "InstanceType": {"ecs.g5.large"}, "InstanceChargeType": {"PostPaid"}, "IoOptimized": {"optimized"},
		"Amount": {"2"}, "MinAmount": {"1"}, "ClientToken": {"0b3b7ce49a4acf74ac62a85f7a7b678e"},
		"InstanceName": {"web-1-"}, "UniqueSuffix": {"true"}, "SpotStrategy": {"NoSpot"},
		"SecurityGroupIds.1": {"sg-1"}, "SecurityGroupIds.2": {"sg-2"}, "KeyPairName": {"ops"}, "RamRoleName": {"web"},
		"SystemDisk.Category": {"cloud_essd"}, "SystemDisk.Size": {"40"}, "UserData": {"IyEvYmluL3NoCg=="},
		"Tag.1.Key": {"spillway-cluster"}, "Tag.1.Value": {"prod"}, "Tag.2.Key": {"spillway-order"}, "Tag.2.Value": {"web-1"},
	}
	if diff := cmp.Diff([]url.Values{asked}, s.asked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestRunInstancesVariants(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*aliyun.Options)
		spoil  func(*cloud.CreateRequest)
		want   map[string]string
	}{
		"one machine has its name": {
			spoil: func(r *cloud.CreateRequest) { r.Count, r.Names = 1, []string{"web-1-0"} },
			want:  map[string]string{"InstanceName": "web-1-0", "UniqueSuffix": "", "Amount": "1"},
		},
		"names must begin with a letter": {
			spoil: func(r *cloud.CreateRequest) { r.Names = []string{"1-a", "2-b"} },
			want:  map[string]string{"InstanceName": "m-"},
		},
		"spot": {
			spoil: func(r *cloud.CreateRequest) { r.Spot = true },
			want:  map[string]string{"SpotStrategy": "SpotAsPriceGo", "SpotPriceLimit": ""},
		},
		"spot up to a price": {
			change: func(o *aliyun.Options) { o.SpotLimit = 0.25 },
			spoil:  func(r *cloud.CreateRequest) { r.Spot = true },
			want:   map[string]string{"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": "0.25"},
		},
		"template and public address": {
			change: func(o *aliyun.Options) { o.Image, o.LaunchTemplate, o.PublicMbit, o.Hardened = "", "lt-1", 5, true },
			want: map[string]string{
				"ImageId": "", "LaunchTemplateId": "lt-1", "HttpTokens": "required", "InternetMaxBandwidthOut": "5", "InternetChargeType": "PayByTraffic",
			},
		},
		"backstop": {
			change: func(o *aliyun.Options) { o.ReleaseAfter = 24 * time.Hour },
			want:   map[string]string{"AutoReleaseTime": "2026-03-03T00:00:00Z"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &documented{answers: map[string]string{"RunInstances": "run_instances.json"}}
			r := order()
			if c.spoil != nil {
				c.spoil(&r)
			}
			if _, err := against(t, s, c.change).Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if got := s.asked[0].Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestDocumentedList(t *testing.T) {
	s := &documented{answers: map[string]string{"DescribeInstances": "describe_instances.json"}}
	d := against(t, s, nil)
	tags := map[string]string{"spillway-cluster": "prod"}
	got, err := d.List(t.Context(), tags)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2017, 12, 10, 4, 4, 0, 0, time.UTC)
	want := []cloud.Machine{
		{
			ID: "i-bp67acfmxazb4p****", Type: "ecs.g5.large", Zone: "cn-hangzhou-g", State: cloud.Running,
			Address: "172.17.0.4", Created: made, Tags: map[string]string{"spillway-cluster": "prod", "TestKey": "TestValue"},
		},
		{
			ID: "i-bp1j9bd2ae4vqhti****", Type: "ecs.g5.large", Zone: "cn-hangzhou-g", State: cloud.Stopping,
			Created: made, Spot: true, Tags: tags,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
	if s.asked[0].Get("Tag.1.Key") != "spillway-cluster" || s.asked[0].Get("MaxResults") != "100" {
		t.Errorf("asked %v, want the tag as a filter and full pages", s.asked[0])
	}
	public := against(t, s, func(o *aliyun.Options) { o.PublicMbit = 5 })
	if got, err = public.List(t.Context(), nil); err != nil || got[0].Address != "121.40.0.4" {
		t.Errorf("machines with public addresses are %v (error %v), want 121.40.0.4", got, err)
	}
	if got, err = public.List(t.Context(), map[string]string{"spillway-cluster": "other"}); err != nil || len(got) != 0 {
		t.Errorf("machines with another tag: %v (error %v), want none whatever the answer has", got, err)
	}
}

func TestDocumentedOfferings(t *testing.T) {
	s := &documented{answers: map[string]string{
		"DescribeInstanceTypes": "describe_instance_types.json", "DescribeAvailableResource": "describe_available_resource.json",
		"DescribePrice": "describe_price.json",
	}}
	d := against(t, s, nil)
	got, err := d.Offerings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const gib = 1 << 30
	want := []cloud.Offering{
		{Type: "ecs.d1ne.xlarge", Zone: "cn-hangzhou-b", CPU: 4, Memory: 16 * gib, Units: 4, MaxPPS: 400000, Arch: "amd64", PriceHour: 0.3159, Available: true},
		{Type: "ecs.d1ne.xlarge", Zone: "cn-hangzhou-e", CPU: 4, Memory: 16 * gib, Units: 4, MaxPPS: 400000, Arch: "amd64", PriceHour: 0.3159, Available: true},
		{Type: "ecs.g5.large", Zone: "cn-hangzhou-e", CPU: 2, Memory: gib / 2, Units: 1.5, MaxPPS: 7, Arch: "arm64", PriceHour: 0.3159, Reason: "out of stock (WithoutStock)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("offerings (-want +got):\n%s", diff)
	}
	if _, err := d.Offerings(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, asked := range s.asked {
		calls[asked.Get("Action")]++
	}
	if want := map[string]int{"DescribeInstanceTypes": 1, "DescribeAvailableResource": 2, "DescribePrice": 2}; !maps.Equal(calls, want) {
		t.Errorf("two looks took %v, want %v: sizes and prices are remembered, stock is not", calls, want)
	}
}

func TestDocumentedRefusal(t *testing.T) {
	s := &documented{status: http.StatusForbidden, answers: map[string]string{"RunInstances": "no_stock.json"}}
	_, err := against(t, s, nil).Create(t.Context(), order())
	wantKind(t, "Create without stock", err, cloud.NoCapacity)
	for _, part := range []string{"OperationDenied.NoStock", "out of stock in the specified zone", "04F0F334"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not tell %q", err, part)
		}
	}
}

func TestUnknownTypeIsToldOf(t *testing.T) {
	s := &documented{answers: map[string]string{"DescribeInstanceTypes": "describe_instance_types.json"}}
	d := against(t, s, func(o *aliyun.Options) { o.Kinds = append(o.Kinds, aliyun.Kind{Type: "ecs.typo"}) })
	_, err := d.Offerings(t.Context())
	wantKind(t, "a type that ECS does not know", err, cloud.Invalid)
}

func TestUnreadableAnswers(t *testing.T) {
	for _, file := range []string{"describe_price.json", "../sign_test.go"} {
		s := &documented{answers: map[string]string{"RunInstances": file, "DescribeAvailableResource": "../sign_test.go", "DescribeInstanceTypes": "../sign_test.go"}}
		d := against(t, s, nil)
		_, err := d.Create(t.Context(), order())
		wantKind(t, "RunInstances answered by "+file, err, cloud.Ambiguous)
		_, err = d.Offerings(t.Context())
		wantKind(t, "a read answered by "+file, err, cloud.Transient)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	var kept []string
	for name, spoil := range map[string]func(*aliyun.Options){
		"no region":           func(o *aliyun.Options) { o.Region = "" },
		"region as a host":    func(o *aliyun.Options) { o.Region = "cn-x.evil.example/" },
		"no image":            func(o *aliyun.Options) { o.Image = "" },
		"no vSwitch":          func(o *aliyun.Options) { o.VSwitches = nil },
		"no kind":             func(o *aliyun.Options) { o.Kinds = nil },
		"zone without switch": func(o *aliyun.Options) { o.Kinds[0].Zones = []string{"z"} },
		"backstop too short":  func(o *aliyun.Options) { o.ReleaseAfter = time.Hour },
	} {
		o := aliyun.Options{
			Region: "cn-hangzhou", Image: "m-1", VSwitches: map[string]string{"a": "vsw-a"}, Kinds: []aliyun.Kind{{Type: "t"}},
		}
		if _, err := aliyun.New(o); err != nil {
			t.Fatalf("good options: %v", err)
		}
		spoil(&o)
		if _, err := aliyun.New(o); err == nil {
			kept = append(kept, name)
		}
	}
	if slices.Sort(kept); len(kept) > 0 {
		t.Errorf("no error for %v", kept)
	}
}
