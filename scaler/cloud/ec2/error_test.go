package ec2

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

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
