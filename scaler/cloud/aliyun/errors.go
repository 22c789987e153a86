package aliyun

import (
	"net/http"
	"strings"

	"spillway/scaler/cloud"
)

// meaning is what an error code is to a caller.
type meaning struct {
	code string // itself, and all that begin with it and a dot
	kind cloud.Kind
	what string
}

// meanings are the documented codes of the calls we make ("Error codes" of
// ECS, STS and the common ones), the first that fits. IdempotentProcessing is
// doubt: the first request of that token is under way still.
func meanings() []meaning {
	return []meaning{
		{"OperationDenied.NoStock", cloud.NoCapacity, "stock"},
		{"OperationDenied.ZoneNotAllowed", cloud.NoCapacity, "zone"},
		{"InvalidResourceType.NotSupported", cloud.NoCapacity, "type"},
		{"Zone.NotOnSale", cloud.NoCapacity, "zone"},
		{"Zone.NotOpen", cloud.NoCapacity, "zone"},

		{"QuotaExceed", cloud.Quota, ""},
		{"QuotaExceeded", cloud.Quota, ""},
		{"InvalidAccountStatus.NotEnoughBalance", cloud.Quota, "balance"},
		{"Account.Arrearage", cloud.Quota, "balance"},

		{"Throttling", cloud.RateLimited, ""},

		{"InvalidAccessKeyId", cloud.Auth, "access key id"},
		{"SignatureDoesNotMatch", cloud.Auth, "signature"},
		{"IncompleteSignature", cloud.Auth, "signature"},
		{"InvalidTimeStamp", cloud.Auth, "clock"},
		{"InvalidTimestamp", cloud.Auth, "clock"},
		{"InvalidSecurityToken", cloud.Auth, "security token"},
		{"MissingSecurityToken", cloud.Auth, "security token"},
		{"EntityNotExist.Role", cloud.Auth, "role"},
		{"NoPermission", cloud.Auth, "permission"},
		{"Forbidden", cloud.Auth, "permission"},
		{"UnauthorizedOperation", cloud.Auth, "permission"},
		{"RealNameAuthenticationError", cloud.Auth, "account"},
		{"UserNotInTheWhiteList", cloud.Auth, "account"},
		{"SignatureNonceUsed", cloud.Transient, "nonce"},

		{"IdempotentParameterMismatch", cloud.Invalid, cloud.UsedToken},
		{"IdempotenceParamNotMatch", cloud.Invalid, cloud.UsedToken},
		{"IdempotentProcessing", cloud.Ambiguous, cloud.UsedToken},
		{"LastTokenProcessing", cloud.Ambiguous, cloud.UsedToken},

		{"InvalidInstanceId.NotFound", cloud.NotFound, ""},
		{"InvalidInstanceId.Malformed", cloud.NotFound, ""},
		{"IncorrectInstanceStatus", cloud.Transient, statusWrong},
		{"InstanceNotReady", cloud.Transient, statusWrong},
		{"OperationConflict", cloud.Transient, statusWrong},
		{"InvalidOperation.DeletionProtection", cloud.Invalid, "deletion protection"},

		{"InvalidZoneId", cloud.Invalid, "zone"},
		{"InvalidInstanceType", cloud.Invalid, "type"},
		{"InvalidImageId", cloud.Invalid, "image"},
		{"InvalidUserData", cloud.Invalid, "user-data"},

		{"ServiceUnavailable", cloud.Transient, ""},
	}
}

// statusWrong is the What of a call that a machine's state forbids.
const statusWrong = "status"

// sorted gives an error code its kind. What is not known is the caller's fault
// below 500. Above, InternalError and its like may have done something.
func sorted(op string, status int, code string) *cloud.Error {
	e := &cloud.Error{Op: op}
	for _, m := range meanings() {
		if code == m.code || strings.HasPrefix(code, m.code+".") {
			e.Kind, e.What = m.kind, m.what
			if e.Kind == cloud.Quota && e.What == "" {
				e.What = strings.TrimPrefix(code, m.code+".")
			}
			return known(e)
		}
	}
	switch {
	case status == http.StatusTooManyRequests:
		e.Kind = cloud.RateLimited
	case strings.Contains(code, "IpNotEnough"):
		e.Kind, e.What = cloud.Quota, "addresses of the vSwitch"
	case status == http.StatusServiceUnavailable:
		e.Kind = cloud.Transient
	case status >= http.StatusInternalServerError || status < http.StatusBadRequest:
		e.Kind = cloud.Ambiguous
	default:
		e.Kind, e.What = cloud.Invalid, code
	}
	return known(e)
}

// known: a read is never in doubt.
func known(e *cloud.Error) *cloud.Error {
	c := cloud.Call{Op: e.Op}
	if e.Kind == cloud.Ambiguous && !c.Writes() {
		e.Kind = cloud.Transient
	}
	return e
}
