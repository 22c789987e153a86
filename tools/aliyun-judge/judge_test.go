// Package judge lets Alibaba Cloud's own SDK use the fake of the ECS API that
// package scaler/cloud/cloudfake has: what the SDK signs must be accepted, and
// what it parses must be what was meant. It is a module of its own, so that
// nothing of the SDK gets into spillway.
//
// Package scaler/cloud/aliyun runs it (TestTheVendorsSDK); SPILLWAY_ALIYUN is
// where the fake listens.
package judge

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
)

func config() *sdk.Config { return sdk.NewConfig().WithAutoRetry(false).WithTimeout(20 * time.Second) }

func key(suffix string) auth.Credential {
	return credentials.NewAccessKeyCredential(os.Getenv("SPILLWAY_ALIYUN_KEY_ID"), os.Getenv("SPILLWAY_ALIYUN_KEY_SECRET")+suffix)
}

func client(t *testing.T, c auth.Credential) *ecs.Client {
	t.Helper()
	e, err := ecs.NewClientWithOptions(region(), config(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func region() string { return os.Getenv("SPILLWAY_ALIYUN_REGION") }

// to sends a request to the fake.
func to(r *requests.RpcRequest) {
	r.Scheme = "HTTP"
	r.Domain = strings.TrimPrefix(os.Getenv("SPILLWAY_ALIYUN"), "http://")
}

// wantCode checks that an error has a code of the vendor's.
func wantCode(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	e, ok := err.(errors.Error)
	if !ok || e.ErrorCode() != code || e.HttpStatus() != status {
		t.Errorf("%s: error %v, want %d %s", what, err, status, code)
	}
}

func runRequest() *ecs.RunInstancesRequest {
	r := ecs.CreateRunInstancesRequest()
	to(r.RpcRequest)
	r.ImageId, r.InstanceType, r.ZoneId, r.VSwitchId, r.SecurityGroupId = "m-1", "small", "h", "vsw-h", "sg-1"
	r.Amount, r.MinAmount, r.UniqueSuffix = requests.NewInteger(3), requests.NewInteger(1), requests.NewBoolean(true)
	r.InstanceName, r.ClientToken = "judge *~+/", "token-1"
	r.UserData = base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\necho 中文\n"))
	r.Tag = &[]ecs.RunInstancesTag{{Key: "spillway-cluster", Value: "judge"}, {Key: "odd", Value: "a b&c=d*~中"}}
	return r
}

func run(t *testing.T, c *ecs.Client) []string {
	t.Helper()
	a, err := c.RunInstances(runRequest())
	if err != nil {
		t.Fatalf("RunInstances: %v", err)
	}
	ids := a.InstanceIdSets.InstanceIdSet
	if len(ids) != 3 || a.RequestId == "" {
		t.Fatalf("RunInstances made %v (request %q), want 3", ids, a.RequestId)
	}
	slices.Sort(ids)
	return ids
}

// describe reads all pages, two instances each.
func describe(t *testing.T, c *ecs.Client) (all []ecs.Instance, pages int) {
	t.Helper()
	r := ecs.CreateDescribeInstancesRequest()
	to(r.RpcRequest)
	r.MaxResults = requests.NewInteger(2)
	r.Tag = &[]ecs.DescribeInstancesTag{{Key: "spillway-cluster", Value: "judge"}}
	for {
		a, err := c.DescribeInstances(r)
		if err != nil {
			t.Fatalf("DescribeInstances: %v", err)
		}
		pages++
		all = append(all, a.Instances.Instance...)
		if a.NextToken == "" {
			return all, pages
		}
		r.NextToken = a.NextToken
	}
}

func wantStatus(t *testing.T, c *ecs.Client, id, want string) {
	t.Helper()
	all, _ := describe(t, c)
	i := slices.IndexFunc(all, func(i ecs.Instance) bool { return i.InstanceId == id })
	if i < 0 || all[i].Status != want {
		t.Errorf("instance %s is not %s: %+v", id, want, all)
	}
}

func TestLifeOfInstances(t *testing.T) {
	c := client(t, key(""))
	ids := run(t, c)
	if again := run(t, c); !slices.Equal(ids, again) {
		t.Errorf("one token gave %v, then %v", ids, again)
	}
	other := runRequest()
	other.Amount = requests.NewInteger(2)
	_, err := c.RunInstances(other)
	wantCode(t, "a used token", err, 400, "IdempotentParameterMismatch")

	all, pages := describe(t, c)
	if pages != 2 || len(all) != 3 {
		t.Fatalf("%d instances on %d pages, want 3 on 2", len(all), pages)
	}
	for _, i := range all {
		checkInstance(t, &i, ids)
	}
	stopAndStart(t, c, ids[0])
	remove(t, c, ids)
}

func checkInstance(t *testing.T, i *ecs.Instance, ids []string) {
	t.Helper()
	tags := map[string]string{}
	for _, tag := range i.Tags.Tag {
		tags[tag.TagKey] = tag.TagValue
	}
	switch {
	case !slices.Contains(ids, i.InstanceId) || i.InstanceType != "small" || i.ZoneId != "h" || i.RegionId != region():
		t.Errorf("an instance that was not asked for: %+v", i)
	case i.Status != "Running" || i.SpotStrategy != "NoSpot" || i.InstanceChargeType != "PostPaid":
		t.Errorf("instance %s is %s, %s, %s", i.InstanceId, i.Status, i.SpotStrategy, i.InstanceChargeType)
	case len(i.VpcAttributes.PrivateIpAddress.IpAddress) != 1 || !strings.HasPrefix(i.InstanceName, "judge *~+/00"):
		t.Errorf("instance %s is named %q and has addresses %v", i.InstanceId, i.InstanceName, i.VpcAttributes.PrivateIpAddress.IpAddress)
	case tags["spillway-cluster"] != "judge" || tags["odd"] != "a b&c=d*~中":
		t.Errorf("instance %s has tags %v", i.InstanceId, tags)
	}
	if _, err := time.Parse("2006-01-02T15:04Z", i.CreationTime); err != nil {
		t.Errorf("instance %s was made at %q", i.InstanceId, i.CreationTime)
	}
}

func stopAndStart(t *testing.T, c *ecs.Client, id string) {
	t.Helper()
	stop := ecs.CreateStopInstancesRequest()
	to(stop.RpcRequest)
	stop.InstanceId, stop.StoppedMode = &[]string{id}, "StopCharging"
	stopped, err := c.StopInstances(stop)
	if err != nil {
		t.Fatalf("StopInstances: %v", err)
	}
	if r := stopped.InstanceResponses.InstanceResponse; len(r) != 1 || r[0].InstanceId != id || r[0].Code != "200" || r[0].CurrentStatus != "Stopping" {
		t.Errorf("StopInstances answered %+v", r)
	}
	wantStatus(t, c, id, "Stopped")
	_, err = c.StopInstances(stop)
	wantCode(t, "to stop what is stopped", err, 403, "IncorrectInstanceStatus")

	start := ecs.CreateStartInstancesRequest()
	to(start.RpcRequest)
	start.InstanceId = &[]string{id}
	started, err := c.StartInstances(start)
	if err != nil {
		t.Fatalf("StartInstances: %v", err)
	}
	if r := started.InstanceResponses.InstanceResponse; len(r) != 1 || r[0].PreviousStatus != "Stopped" {
		t.Errorf("StartInstances answered %+v", r)
	}
	wantStatus(t, c, id, "Running")
}

func remove(t *testing.T, c *ecs.Client, ids []string) {
	t.Helper()
	r := ecs.CreateDeleteInstancesRequest()
	to(r.RpcRequest)
	r.InstanceId = &ids
	_, err := c.DeleteInstances(r)
	wantCode(t, "to delete what runs without Force", err, 403, "IncorrectInstanceStatus")
	r.Force = requests.NewBoolean(true)
	if a, err := c.DeleteInstances(r); err != nil || a.RequestId == "" {
		t.Fatalf("DeleteInstances: %v", err)
	}
	if all, _ := describe(t, c); len(all) != 0 {
		t.Errorf("%d instances are left", len(all))
	}
	_, err = c.DeleteInstances(r)
	wantCode(t, "to delete what is gone", err, 404, "InvalidInstanceId.NotFound")
}

func TestCatalogue(t *testing.T) {
	c := client(t, key(""))
	types := ecs.CreateDescribeInstanceTypesRequest()
	to(types.RpcRequest)
	types.InstanceTypes = &[]string{"small", "medium"}
	a, err := c.DescribeInstanceTypes(types)
	if err != nil || len(a.InstanceTypes.InstanceType) != 2 {
		t.Fatalf("DescribeInstanceTypes: %+v, error %v", a, err)
	}
	if s := a.InstanceTypes.InstanceType[0]; s.InstanceTypeId != "small" || s.CpuCoreCount != 2 || s.MemorySize != 4 || s.CpuArchitecture != "X86" {
		t.Errorf("type small is %+v", s)
	}
	available := ecs.CreateDescribeAvailableResourceRequest()
	to(available.RpcRequest)
	available.DestinationResource, available.InstanceType = "InstanceType", "small"
	stock, err := c.DescribeAvailableResource(available)
	if err != nil || len(stock.AvailableZones.AvailableZone) != 2 {
		t.Fatalf("DescribeAvailableResource: %+v, error %v", stock, err)
	}
	for _, zone := range stock.AvailableZones.AvailableZone {
		r := zone.AvailableResources.AvailableResource
		if len(r) != 1 || len(r[0].SupportedResources.SupportedResource) != 1 || r[0].SupportedResources.SupportedResource[0].StatusCategory != "WithStock" {
			t.Errorf("zone %s has %+v", zone.ZoneId, r)
		}
	}
	price := ecs.CreateDescribePriceRequest()
	to(price.RpcRequest)
	price.InstanceType, price.PriceUnit = "small", "Hour"
	p, err := c.DescribePrice(price)
	if err != nil || p.PriceInfo.Price.TradePrice != 0.11 || p.PriceInfo.Price.Currency != "CNY" {
		t.Errorf("DescribePrice: %+v, error %v", p, err)
	}
}

func TestCredentials(t *testing.T) {
	r := ecs.CreateDescribeInstancesRequest()
	to(r.RpcRequest)
	_, err := client(t, key("x")).DescribeInstances(r)
	wantCode(t, "a wrong secret", err, 400, "SignatureDoesNotMatch")
	_, err = client(t, credentials.NewAccessKeyCredential("LTAI-unknown", "x")).DescribeInstances(r)
	wantCode(t, "an unknown key", err, 404, "InvalidAccessKeyId.NotFound")

	s, err := sts.NewClientWithOptions(region(), config(), key(""))
	if err != nil {
		t.Fatal(err)
	}
	assume := sts.CreateAssumeRoleRequest()
	to(assume.RpcRequest)
	assume.RoleArn, assume.RoleSessionName = "acs:ram::1234567890123456:role/machines", "judge"
	a, err := s.AssumeRole(assume)
	if err != nil {
		t.Fatalf("AssumeRole: %v", err)
	}
	role := credentials.NewStsTokenCredential(a.Credentials.AccessKeyId, a.Credentials.AccessKeySecret, a.Credentials.SecurityToken)
	if _, err := client(t, role).DescribeInstances(r); err != nil {
		t.Errorf("DescribeInstances with a role's credentials: %v", err)
	}
	forged := credentials.NewStsTokenCredential(a.Credentials.AccessKeyId, a.Credentials.AccessKeySecret, "another")
	_, err = client(t, forged).DescribeInstances(r)
	wantCode(t, "another security token", err, 400, "InvalidSecurityToken.Malformed")
}
