package cloudfake_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// region is the fake with a client of its own, which can do wrong.
type region struct {
	*testing.T
	clock *sim.Clock
	wire  *cloudfake.EC2
	keys  aws.Credentials
	at    time.Time // that it signs by
	name  string    // of the region it signs for

	service string
	spoil   func(*http.Request) // after the signature
}

func newRegion(t *testing.T, o cloudfake.Options) *region {
	t.Helper()
	clock := sim.NewClock(start)
	o.Now = clock.Now
	server := cloudfake.New(t, sim.New(sim.EC2(), sim.Options{Clock: clock.Still(), Seed: 1}), o)
	wire := server.EC2(cloudfake.EC2Options{})
	return &region{
		T: t, clock: clock, wire: wire, keys: aws.Credentials{AccessKeyID: wire.KeyID, SecretAccessKey: wire.Secret},
		at: start, name: "us-east-1", service: "ec2",
	}
}

// call returns the code of the refusal, empty for none, and the answer.
func (r *region) call(form url.Values) (code, body string) {
	r.Helper()
	form.Set("Version", "2016-11-15")
	text := form.Encode()
	q, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.wire.URL+"/", strings.NewReader(text))
	if err != nil {
		r.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(text))
	if err := v4.NewSigner().SignHTTP(context.Background(), r.keys, q, hex.EncodeToString(sum[:]), r.service, r.name, r.at); err != nil {
		r.Fatal(err)
	}
	if r.spoil != nil {
		r.spoil(q)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return "no answer", err.Error()
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	var e struct {
		Code string `xml:"Errors>Error>Code"`
	}
	if err := xml.Unmarshal(all, &e); err != nil {
		r.Fatalf("answer %q: %v", all, err)
	}
	if (e.Code == "") != (resp.StatusCode == http.StatusOK) {
		r.Errorf("status %d with code %q", resp.StatusCode, e.Code)
	}
	return e.Code, string(all)
}

func (r *region) want(code string, form url.Values) string {
	r.Helper()
	got, body := r.call(form)
	if got != code {
		r.Errorf("%v: refused with %q, want %q", form, got, code)
	}
	return body
}

func TestSignaturesAreVerified(t *testing.T) {
	describe := func() url.Values { return url.Values{"Action": {"DescribeInstances"}} }
	for _, c := range []struct {
		name  string
		wrong func(*region)
		want  string
	}{
		{"right", func(*region) {}, ""},
		{"another secret", func(r *region) { r.keys.SecretAccessKey = "x" }, "SignatureDoesNotMatch"},
		{"an unknown key", func(r *region) { r.keys.AccessKeyID = "AKIAX" }, "AuthFailure"},
		{"a session nobody gave", func(r *region) { r.keys.SessionToken = "x" }, "AuthFailure"},
		{"another region", func(r *region) { r.name = "eu-west-1" }, "SignatureDoesNotMatch"},
		{"another service", func(r *region) { r.service = "s3" }, "SignatureDoesNotMatch"},
		{"too old", func(r *region) { r.at = start.Add(-6 * time.Minute) }, "RequestExpired"},
		{"ahead", func(r *region) { r.at = start.Add(6 * time.Minute) }, "RequestExpired"},
		{"no signature", func(r *region) { r.spoil = func(q *http.Request) { q.Header.Del("Authorization") } }, "AuthFailure"},
		{"another scheme", func(r *region) { r.spoil = func(q *http.Request) { q.Header.Set("Authorization", "Basic eDp5") } }, "AuthFailure"},
		{"a date that was changed", func(r *region) {
			r.spoil = func(q *http.Request) { q.Header.Set("X-Amz-Date", "20260301T120001Z") }
		}, "SignatureDoesNotMatch"},
		{"a date that is none", func(r *region) { r.spoil = func(q *http.Request) { q.Header.Set("X-Amz-Date", "today") } }, "IncompleteSignature"},
		{"a header that was changed", func(r *region) {
			r.spoil = func(q *http.Request) {
				q.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=x")
			}
		}, "SignatureDoesNotMatch"},
		{"a body that was changed", func(r *region) {
			r.spoil = func(q *http.Request) {
				text := "Action=DescribeInstances&Version=2016-11-16"
				q.Body, q.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
			}
		}, "SignatureDoesNotMatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegion(t, cloudfake.Options{})
			c.wrong(r)
			r.want(c.want, describe())
		})
	}
}

func launch(token string, more ...string) url.Values {
	form := url.Values{
		"Action": {"RunInstances"}, "ImageId": {"ami-1"}, "InstanceType": {"small"}, "MinCount": {"1"}, "MaxCount": {"2"},
		"Placement.AvailabilityZone": {"a"}, "ClientToken": {token},
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func TestRequestsThatAreWrong(t *testing.T) {
	r := newRegion(t, cloudfake.Options{})
	r.want("", launch("t"))
	r.want("", launch("t"))
	r.want("", launch("t", "Placement.AvailabilityZone", "b")) // a token is worth its zone
	r.want("IdempotentParameterMismatch", launch("t", "ImageId", "ami-2"))
	r.want("IdempotentParameterMismatch", launch("t", "MaxCount", "3"))
	r.want("MissingParameter", launch("u", "ImageId", ""))
	r.want("InvalidParameterValue", launch("u", "MinCount", "0"))
	r.want("InvalidParameterValue", launch("u", "MaxCount", "none"))
	r.want("InvalidParameterValue", launch("u", "InstanceType", "none"))
	r.want("InvalidParameterValue", launch("u", "Placement.AvailabilityZone", "z"))
	r.want("InvalidParameterValue", launch(strings.Repeat("u", 65)))
	r.want("InvalidSubnetID.NotFound", launch("u", "SubnetId", "subnet-1"))
	r.want("InvalidUserData.Malformed", launch("u", "UserData", "%"))
	r.want("DryRunOperation", launch("u", "DryRun", "true"))
	r.want("InvalidAction", url.Values{"Action": {"RunEverything"}})
	r.want("InvalidInstanceID.NotFound", url.Values{"Action": {"StopInstances"}, "InstanceId.1": {"i-0123456789abcdef0"}})
	r.want("InvalidInstanceID.Malformed", url.Values{"Action": {"StopInstances"}, "InstanceId.1": {"web"}})
	r.want("InvalidParameterValue", url.Values{"Action": {"DescribeInstances"}, "Filter.1.Name": {"color"}})
	r.want("InvalidInstanceType", url.Values{"Action": {"DescribeInstanceTypes"}, "InstanceType.1": {"none"}})
}

func TestLostAnswersAreLost(t *testing.T) {
	r := newRegion(t, cloudfake.Options{Faults: []cloud.Fault{
		{Kind: cloud.FaultLoseAnswer, Op: cloud.OpCreate}, {Kind: cloud.FaultRefuse, Op: cloud.OpDelete, Err: cloud.RateLimited},
	}})
	if code, _ := r.call(launch("t")); code != "no answer" {
		t.Errorf("code %q, want no answer", code)
	}
	if body := r.want("", launch("t")); strings.Count(body, "<instanceId>") != 2 {
		t.Errorf("again: %s", body)
	}
	r.want("RequestLimitExceeded", url.Values{"Action": {"TerminateInstances"}, "InstanceId.1": {"i-0123456789abcdef0"}})
}

func TestFiltersAndPages(t *testing.T) {
	r := newRegion(t, cloudfake.Options{PageSize: 3})
	for _, tag := range []string{"a*b", "axb", "other"} {
		r.want("", launch("t-"+tag, "TagSpecification.1.ResourceType", "volume", "TagSpecification.1.Tag.1.Key", "no",
			"TagSpecification.2.ResourceType", "instance", "TagSpecification.2.Tag.1.Key", "k", "TagSpecification.2.Tag.1.Value", tag))
	}
	r.clock.Advance(sim.EC2().ListLag)
	count := func(more ...string) (n, pages int) {
		form := url.Values{"Action": {"DescribeInstances"}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		for {
			body := r.want("", form)
			var a struct {
				IDs  []string `xml:"reservationSet>item>instancesSet>item>instanceId"`
				Next string   `xml:"nextToken"`
			}
			if err := xml.Unmarshal([]byte(body), &a); err != nil {
				t.Fatal(err)
			}
			n, pages = n+len(a.IDs), pages+1
			if a.Next == "" {
				return n, pages
			}
			form.Set("NextToken", a.Next)
		}
	}
	for _, c := range []struct {
		filter      []string
		want, pages int
	}{
		{nil, 6, 2},
		{[]string{"MaxResults", "2"}, 6, 3},
		{[]string{"Filter.1.Name", "tag:k", "Filter.1.Value.1", "a*b"}, 4, 2},
		{[]string{"Filter.1.Name", "tag:k", "Filter.1.Value.1", "a?b"}, 4, 2},
		{[]string{"Filter.1.Name", "tag:k", "Filter.1.Value.1", `a\*b`}, 2, 1},
		{[]string{"Filter.1.Name", "tag:k", "Filter.1.Value.1", "a"}, 0, 1},
		{[]string{"Filter.1.Name", "tag:k", "Filter.1.Value.1", "other", "Filter.1.Value.2", "axb"}, 4, 2},
		{[]string{"Filter.1.Name", "tag:k", "Filter.1.Value.1", "*", "Filter.2.Name", "instance-state-name", "Filter.2.Value.1", "stopped"}, 0, 1},
		{[]string{"Filter.1.Name", "tag:no", "Filter.1.Value.1", ""}, 0, 1},
		{[]string{"Filter.1.Name", "tag-key", "Filter.1.Value.1", "k"}, 6, 2},
	} {
		if n, pages := count(c.filter...); n != c.want || pages != c.pages {
			t.Errorf("%v: %d instances on %d pages, want %d on %d", c.filter, n, pages, c.want, c.pages)
		}
	}
}
