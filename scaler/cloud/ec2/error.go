package ec2

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// pause is the wait after a throttled call that names none: the buckets of EC2
// are refilled by two requests a second or more, and callers add to it.
const pause = time.Second

// codes sort the refusals of EC2 ("Error codes for the Amazon EC2 API"). What
// is not here is judged by its form and status (kindOf).
var codes = map[string]cloud.Kind{
	"InsufficientInstanceCapacity":         cloud.NoCapacity,
	"InsufficientCapacity":                 cloud.NoCapacity,
	"InsufficientHostCapacity":             cloud.NoCapacity,
	"InsufficientReservedInstanceCapacity": cloud.NoCapacity,
	"InsufficientVolumeCapacity":           cloud.NoCapacity,
	"InsufficientAddressCapacity":          cloud.NoCapacity,
	"InsufficientFreeAddressesInSubnet":    cloud.NoCapacity, // another zone has another subnet
	"SpotMaxPriceTooLow":                   cloud.NoCapacity,
	"UnfulfillableCapacity":                cloud.NoCapacity,
	"Unsupported":                          cloud.NoCapacity, // the type is not in this zone

	"InstanceLimitExceeded":                       cloud.Quota,
	"VcpuLimitExceeded":                           cloud.Quota,
	"MaxSpotInstanceCountExceeded":                cloud.Quota,
	"ReservedInstancesCountExceeded":              cloud.Quota,
	"AddressLimitExceeded":                        cloud.Quota,
	"PrivateIpAddressLimitExceeded":               cloud.Quota,
	"MaxIOPSLimitExceeded":                        cloud.Quota,
	"RequestLimitExceeded":                        cloud.RateLimited,
	"Throttling":                                  cloud.RateLimited,
	"ThrottlingException":                         cloud.RateLimited,
	"ThrottledException":                          cloud.RateLimited,
	"RequestThrottled":                            cloud.RateLimited,
	"RequestThrottledException":                   cloud.RateLimited,
	"EC2ThrottledException":                       cloud.RateLimited,
	"TooManyRequestsException":                    cloud.RateLimited,
	"BandwidthLimitExceeded":                      cloud.RateLimited,
	"SlowDown":                                    cloud.RateLimited,
	"AuthFailure":                                 cloud.Auth,
	"UnauthorizedOperation":                       cloud.Auth,
	"AccessDenied":                                cloud.Auth,
	"AccessDeniedException":                       cloud.Auth,
	"InvalidClientTokenId":                        cloud.Auth,
	"UnrecognizedClientException":                 cloud.Auth,
	"SignatureDoesNotMatch":                       cloud.Auth,
	"IncompleteSignature":                         cloud.Auth,
	"MissingAuthenticationToken":                  cloud.Auth,
	"ExpiredToken":                                cloud.Auth,
	"ExpiredTokenException":                       cloud.Auth,
	"RequestExpired":                              cloud.Auth, // also: this computer's clock is wrong
	"OptInRequired":                               cloud.Auth,
	"Blocked":                                     cloud.Auth,
	"PendingVerification":                         cloud.Auth,
	"InvalidInstanceID.NotFound":                  cloud.NotFound,
	"InvalidInstanceID.Malformed":                 cloud.NotFound,
	"IncorrectInstanceState":                      cloud.Transient, // stop of one that boots, start of one that stops
	"IncorrectState":                              cloud.Transient,
	"ConcurrentTagAccess":                         cloud.Transient,
	"OperationNotPermitted":                       cloud.Transient, // termination protection: until someone lifts it
	"Unavailable":                                 cloud.Transient, // "can't handle the request": it was not taken
	"DryRunOperation":                             cloud.DryRun,
	"IdempotentParameterMismatch":                 cloud.Invalid,
	"IdempotentInstanceTerminated":                cloud.Invalid,
	"InvalidParameterValue":                       cloud.Invalid,
	"InvalidParameterCombination":                 cloud.Invalid,
	"RequestResourceCountExceeded":                cloud.Invalid,
	"UnsupportedOperation":                        cloud.Invalid, // stop of a one-time spot instance
	"InvalidBlockDeviceMapping":                   cloud.Invalid,
	"UnsupportedInstanceTypeOnHost":               cloud.Invalid,
	"InvalidUserData.Malformed":                   cloud.Invalid,
	"InvalidAMIID.Unavailable":                    cloud.Invalid,
	"InvalidLaunchTemplateName.NotFoundException": cloud.Invalid,
}

// usedTokens are the codes of a client token that stands for something else:
// another request, or machines that have been given back since.
var usedTokens = map[string]bool{"IdempotentParameterMismatch": true, "IdempotentInstanceTerminated": true}

// typed makes an error of a call one of ours. what is the machine or offering
// it was about.
func typed(op, what string, err error) error {
	if err == nil {
		return nil
	}
	var refused *apiError
	if errors.As(err, &refused) {
		return refusal(op, what, refused)
	}
	var lost *lostError
	if errors.As(err, &lost) && lost.sent && writes(op) {
		return &cloud.Error{Kind: cloud.Ambiguous, Op: op, What: what, Err: err}
	}
	var none *credentialsError
	if errors.As(err, &none) && !none.passing() {
		return &cloud.Error{Kind: cloud.Auth, Op: op, Err: err}
	}
	return &cloud.Error{Kind: cloud.Transient, Op: op, What: what, Err: err}
}

func refusal(op, what string, e *apiError) error {
	kind := kindOf(op, e)
	switch {
	case usedTokens[e.Code]:
		what = cloud.UsedToken
	case kind == cloud.Quota || kind == cloud.Invalid || kind == cloud.Auth:
		what = cmp.Or(e.Code, what)
	}
	out := &cloud.Error{Kind: kind, Op: op, What: what, Err: e}
	if kind == cloud.RateLimited {
		out.After = cmp.Or(e.RetryAfter, pause)
	}
	return out
}

// kindOf judges by the code, by what its name says, and last by the status: a
// server's error may have come after the work was done.
func kindOf(op string, e *apiError) cloud.Kind {
	if kind, ok := codes[e.Code]; ok {
		return kind
	}
	switch {
	case strings.HasSuffix(e.Code, "LimitExceeded"):
		return cloud.Quota
	case e.Status == http.StatusTooManyRequests:
		return cloud.RateLimited
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return cloud.Auth
	case e.Code != "" && e.Status/100 == 4:
		return cloud.Invalid
	case writes(op):
		return cloud.Ambiguous
	}
	return cloud.Transient
}

func writes(op string) bool {
	c := cloud.Call{Op: op}
	return c.Writes()
}

func failure(kind cloud.Kind, op, what, text string) error {
	return &cloud.Error{Kind: kind, Op: op, What: what, Err: errors.New(text)}
}
