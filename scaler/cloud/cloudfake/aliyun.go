package cloudfake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// The account that Aliyun plays.
const (
	AliyunRegion    = "cn-hangzhou"
	AliyunKeyID     = "LTAI5tSpillwayFakeKeyId"
	AliyunKeySecret = "fake-access-key-secret"
	// AliyunRole is the RAM role of the machine that the metadata service is
	// asked from.
	AliyunRole = "spillway-scaler"
)

// Aliyun opens the ECS API of Alibaba Cloud (2014-05-26), with AssumeRole of
// STS and the metadata service of a machine beside it, and tells its URL. It
// verifies signatures of version 3 (ACS3-HMAC-SHA256) and of version 1.0
// (HMAC-SHA1), as older SDKs send.
func (s *Server) Aliyun() string {
	a := &aliyun{
		s: s, tokens: map[string]string{}, lists: map[string][]aliyunInstance{}, releases: map[string]time.Time{},
		nonces: map[string]bool{}, keys: map[string]aliyunKey{AliyunKeyID: {secret: AliyunKeySecret}},
	}
	return s.listen("aliyun", a.serve, a.refuse)
}

// aliyun is what the protocol alone knows.
type aliyun struct {
	s *Server

	mu       sync.Mutex
	serial   int
	tokens   map[string]string           // request by client token
	lists    map[string][]aliyunInstance // what is left of a list, by page token
	releases map[string]time.Time        // AutoReleaseTime by machine
	nonces   map[string]bool
	keys     map[string]aliyunKey
}

// aliyunFault is a refusal in the cloud's own words.
type aliyunFault struct {
	status        int
	code, message string
	after         time.Duration
}

func (f *aliyunFault) Error() string { return f.code + ": " + f.message }

// aliyunCall is one action. Its answer becomes JSON.
type aliyunCall func(ctx context.Context, p url.Values) (any, error)

func (a *aliyun) actions() map[string]aliyunCall {
	return map[string]aliyunCall{
		"RunInstances":                  a.runInstances,
		"DescribeInstances":             a.describeInstances,
		"DescribeInstanceTypes":         a.describeInstanceTypes,
		"DescribeAvailableResource":     a.describeAvailableResource,
		"DescribePrice":                 a.describePrice,
		"StartInstances":                a.startInstances,
		"StopInstances":                 a.stopInstances,
		"DeleteInstances":               a.deleteInstances,
		"ModifyInstanceAutoReleaseTime": a.modifyAutoReleaseTime,
		"AssumeRole":                    a.assumeRole,
	}
}

// maxAliyunRequest is more than any request has.
const maxAliyunRequest = 1 << 20

func (a *aliyun) serve(w http.ResponseWriter, r *http.Request) error {
	if strings.HasPrefix(r.URL.Path, "/latest/") {
		return a.metadata(w, r)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAliyunRequest))
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := r.ParseForm(); err != nil {
		return &cloud.Error{Kind: cloud.Invalid, Err: err}
	}
	action := r.Header.Get("x-acs-action")
	if action == "" {
		action = r.Form.Get("Action")
	}
	a.s.count("aliyun", action)
	answer, err := a.do(r, body, action)
	if err == nil {
		a.write(w, http.StatusOK, answer)
		return nil
	}
	var f *aliyunFault
	var typed *cloud.Error
	switch {
	case errors.As(err, &f):
	case errors.As(err, &typed) && typed.Kind != cloud.Ambiguous:
		f = aliyunFaultOf(action, typed)
	default:
		return err
	}
	a.writeFault(w, f)
	return nil
}

func (a *aliyun) do(r *http.Request, body []byte, action string) (any, error) {
	if err := a.authenticate(r, body); err != nil {
		return nil, err
	}
	call := a.actions()[action]
	if call == nil {
		return nil, &aliyunFault{status: http.StatusNotFound, code: "InvalidAction.NotFound", message: "The specified action is not found: " + action}
	}
	if err := a.releaseDue(r.Context()); err != nil {
		return nil, err
	}
	return call(r.Context(), r.Form)
}

// releaseDue ends machines whose AutoReleaseTime has come.
func (a *aliyun) releaseDue(ctx context.Context) error {
	a.mu.Lock()
	due := []string{}
	for id, at := range a.releases {
		if !a.s.now().Before(at) {
			due = append(due, id)
			delete(a.releases, id)
		}
	}
	a.mu.Unlock()
	slices.Sort(due)
	for _, id := range due {
		if err := a.s.d.Delete(ctx, id); err != nil && cloud.KindOf(err) != cloud.NotFound {
			return err
		}
	}
	return nil
}

// write adds the id of the request to an answer.
func (a *aliyun) write(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err) // ours are plain data
	}
	id := fmt.Sprintf(`{"RequestId":"%s"`, a.requestID())
	if len(text) > len("{}") {
		id += ","
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, id+string(text[1:]))
}

func (a *aliyun) requestID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	return fmt.Sprintf("473469C7-AA6F-4DC5-B3DB-%012X", a.serial)
}

func (a *aliyun) refuse(w http.ResponseWriter, _ *http.Request, err *cloud.Error) {
	a.writeFault(w, aliyunFaultOf("", err))
}

func (a *aliyun) writeFault(w http.ResponseWriter, f *aliyunFault) {
	if f.after > 0 {
		seconds := int((f.after + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		w.Header().Set("x-ratelimit-user-api", fmt.Sprintf("Remain:0,Limit:60,Time:60,TimeLeft:%d", f.after.Milliseconds()))
	}
	a.write(w, f.status, struct{ HostId, Code, Message, Recommend string }{
		"ecs." + AliyunRegion + ".aliyuncs.com", f.code, f.message, "https://api.aliyun.com/troubleshoot?q=" + f.code,
	})
}

// aliyunFaultOf puts an error of the cloud behind into the words of ECS.
func aliyunFaultOf(action string, e *cloud.Error) *aliyunFault {
	f := &aliyunFault{message: e.Error(), after: e.After}
	switch e.Kind {
	case cloud.RateLimited:
		f.status, f.code = http.StatusBadRequest, "Throttling.User"
	case cloud.NoCapacity:
		f.status, f.code = http.StatusForbidden, "OperationDenied.NoStock"
	case cloud.Quota:
		f.status, f.code = http.StatusForbidden, "QuotaExceed.ElasticQuota"
	case cloud.Auth:
		f.status, f.code = http.StatusForbidden, "Forbidden.RAM"
	case cloud.NotFound:
		f.status, f.code = http.StatusNotFound, "InvalidInstanceId.NotFound"
	case cloud.Invalid:
		f.status, f.code = http.StatusBadRequest, aliyunInvalid(action, e.What)
	default:
		f.status, f.code = http.StatusServiceUnavailable, "ServiceUnavailable"
		if action == "DeleteInstances" && e.What != "" {
			f.status, f.code = http.StatusForbidden, "IncorrectInstanceStatus.Initializing"
		}
	}
	return f
}

func aliyunInvalid(action, what string) string {
	if action == "StopInstances" || action == "StartInstances" {
		return "IncorrectInstanceStatus"
	}
	codes := map[string]string{
		cloud.UsedToken: "IdempotentParameterMismatch",
		"zone":          "InvalidZoneId.NotFound",
		"type":          "InvalidInstanceType.ValueNotSupported",
		"user-data":     "InvalidUserData.SizeExceeded",
	}
	if code := codes[what]; code != "" {
		return code
	}
	return "InvalidParameter"
}

// aliyunTags reads Tag.N.Key and Tag.N.Value.
func aliyunTags(p url.Values) map[string]string {
	tags := map[string]string{}
	for n := 1; p.Has(fmt.Sprintf("Tag.%d.Key", n)); n++ {
		tags[p.Get(fmt.Sprintf("Tag.%d.Key", n))] = p.Get(fmt.Sprintf("Tag.%d.Value", n))
	}
	return tags
}

// aliyunList reads NAME.1, NAME.2 and so on.
func aliyunList(p url.Values, name string) (all []string) {
	for n := 1; p.Has(fmt.Sprintf("%s.%d", name, n)); n++ {
		all = append(all, p.Get(fmt.Sprintf("%s.%d", name, n)))
	}
	return all
}

func aliyunMissing(p url.Values, names ...string) error {
	for _, name := range names {
		if p.Get(name) == "" {
			return &aliyunFault{status: http.StatusBadRequest, code: "MissingParameter", message: "The input parameter " + name + " that is mandatory for processing this request is not supplied."}
		}
	}
	return nil
}

// aliyunCanonical is a request without what differs from one sending to the
// next.
func aliyunCanonical(p url.Values) string {
	q := maps.Clone(p)
	for _, name := range []string{"Signature", "SignatureNonce", "Timestamp", "AccessKeyId", "SecurityToken", "SignatureMethod", "SignatureVersion", "SignatureType"} {
		q.Del(name)
	}
	return q.Encode()
}
