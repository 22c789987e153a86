package aliyun

import (
	"net/http"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

// The codes are those of the vendor's pages on RunInstances, StartInstances,
// DeleteInstances, AssumeRole and of "Common error codes".
func TestErrorCodes(t *testing.T) {
	for _, c := range []struct {
		op     string
		status int
		code   string
		kind   cloud.Kind
		what   string
	}{
		{cloud.OpCreate, 403, "OperationDenied.NoStock", cloud.NoCapacity, "stock"},
		{cloud.OpStart, 403, "OperationDenied.NoStock", cloud.NoCapacity, "stock"},
		{cloud.OpCreate, 403, "InvalidResourceType.NotSupported", cloud.NoCapacity, "type"},
		{cloud.OpCreate, 403, "Zone.NotOnSale", cloud.NoCapacity, "zone"},
		{cloud.OpCreate, 403, "QuotaExceed.ElasticQuota", cloud.Quota, "ElasticQuota"},
		{cloud.OpCreate, 403, "QuotaExceed.PostPaidDiskCapacity", cloud.Quota, "PostPaidDiskCapacity"},
		{cloud.OpCreate, 403, "QuotaExceeded", cloud.Quota, "QuotaExceeded"},
		{cloud.OpCreate, 403, "InvalidAccountStatus.NotEnoughBalance", cloud.Quota, "balance"},
		{cloud.OpCreate, 403, "InvalidVSwitchId.IpNotEnough", cloud.Quota, "addresses of the vSwitch"},
		{cloud.OpCreate, 400, "Throttling", cloud.RateLimited, ""},
		{cloud.OpCreate, 400, "Throttling.User", cloud.RateLimited, ""},
		{cloud.OpList, 400, "Throttling.Api", cloud.RateLimited, ""},
		{cloud.OpList, 429, "TooManyRequests", cloud.RateLimited, ""},
		{cloud.OpList, 404, "InvalidAccessKeyId.NotFound", cloud.Auth, "access key id"},
		{cloud.OpList, 400, "InvalidAccessKeyId.Inactive", cloud.Auth, "access key id"},
		{cloud.OpList, 400, "SignatureDoesNotMatch", cloud.Auth, "signature"},
		{cloud.OpList, 400, "InvalidTimeStamp.Expired", cloud.Auth, "clock"},
		{cloud.OpList, 400, "InvalidSecurityToken.Expired", cloud.Auth, "security token"},
		{cloud.OpCreate, 403, "Forbidden.RAM", cloud.Auth, "permission"},
		{cloud.OpList, 403, "NoPermission", cloud.Auth, "permission"},
		{cloud.OpCreate, 400, "SignatureNonceUsed", cloud.Transient, "nonce"},
		{cloud.OpCreate, 400, "IdempotentParameterMismatch", cloud.Invalid, cloud.UsedToken},
		{cloud.OpCreate, 403, "IdempotentProcessing", cloud.Ambiguous, cloud.UsedToken},
		{cloud.OpDelete, 404, "InvalidInstanceId.NotFound", cloud.NotFound, ""},
		{cloud.OpDelete, 403, "IncorrectInstanceStatus", cloud.Transient, "status"},
		{cloud.OpDelete, 403, "IncorrectInstanceStatus.Initializing", cloud.Transient, "status"},
		{cloud.OpDelete, 403, "InvalidOperation.DeletionProtection", cloud.Invalid, "deletion protection"},
		{cloud.OpCreate, 404, "InvalidZoneId.NotFound", cloud.Invalid, "zone"},
		{cloud.OpCreate, 403, "InvalidInstanceType.ValueNotSupported", cloud.Invalid, "type"},
		{cloud.OpCreate, 404, "InvalidImageId.NotFound", cloud.Invalid, "image"},
		{cloud.OpCreate, 400, "InvalidUserData.SizeExceeded", cloud.Invalid, "user-data"},
		{cloud.OpCreate, 400, "MissingParameter", cloud.Invalid, "MissingParameter"},
		{cloud.OpCreate, 403, "OperationDenied", cloud.Invalid, "OperationDenied"},
		{cloud.OpCreate, 503, "ServiceUnavailable", cloud.Transient, ""},
		{cloud.OpList, 503, "ServiceUnavailable", cloud.Transient, ""},
		{cloud.OpCreate, 500, "InternalError", cloud.Ambiguous, ""},
		{cloud.OpDelete, 500, "InternalError", cloud.Ambiguous, ""},
		{cloud.OpList, 500, "InternalError", cloud.Transient, ""},
		{cloud.OpCreate, 504, "HTTP 504", cloud.Ambiguous, ""},
		{cloud.OpCreate, 307, "HTTP 307", cloud.Ambiguous, ""},
		{cloud.OpCreate, 503, "HTTP 503", cloud.Transient, ""},
		// A longer word is another code.
		{cloud.OpCreate, 400, "ThrottlingX", cloud.Invalid, "ThrottlingX"},
	} {
		got := sorted(c.op, c.status, c.code)
		if got.Kind != c.kind || got.What != c.what || got.Op != c.op {
			t.Errorf("%s: %d %s is %v (%s), want %v (%s)", c.op, c.status, c.code, got.Kind, got.What, c.kind, c.what)
		}
	}
}

func TestPauseOfThrottledCalls(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"", "", usualPause},
		{"Retry-After", "12", 12 * time.Second},
		{"Retry-After", "soon", usualPause},
		{"x-ratelimit-user-api", "Remain:0,Limit:60,Time:60,TimeLeft:1500", 1500 * time.Millisecond},
		{"x-ratelimit-user", "Remain:0, TimeLeft:40000", 40 * time.Second},
		{"x-ratelimit-user", "TimeLeft:-1", usualPause},
		{"x-ratelimit-user", "TimeLeft:999999999999", time.Hour},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		if got := pause(h); got != c.want {
			t.Errorf("%s: %s is a pause of %v, want %v", c.name, c.value, got, c.want)
		}
	}
}
