package cloudfake

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// EC2Options are what a test wants of the region beside machines.
type EC2Options struct {
	Region string // empty: us-east-1
	// Subnets by zone, as RunInstances names them.
	Subnets map[string]string
	// KeysLife is how long a role's keys last; 0: six hours.
	KeysLife time.Duration
	// ExternalID is asked for by roles, and IdentityToken is what
	// AssumeRoleWithWebIdentity believes. Empty: none.
	ExternalID, IdentityToken string
	// Deny lists actions that the account may not use.
	Deny []string
}

// EC2 is the front of Amazon EC2: the Query API of a region, and what gives a
// client its keys: STS, the machine's metadata and the container's agent.
// Every request must be signed by keys that were given out and have not
// expired.
type EC2 struct {
	URL, STS, Metadata string // base URLs
	KeyID, Secret      string // of the account's user

	s *Server
	o EC2Options

	mu       sync.Mutex
	keys     map[string]ec2Key
	sessions map[string]bool       // of the metadata service
	tokens   map[string]string     // zone and client token: the form it stands for
	launched map[string]url.Values // instance: the form it was made by
	known    map[string]bool       // instances anybody has been told of
	failures map[string]string     // instances that failed to start: why
	made     int                   // keys
}

// EC2 opens the region's listeners. A server has one region at most.
func (s *Server) EC2(o EC2Options) *EC2 {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.KeysLife = cmp.Or(o.KeysLife, 6*time.Hour)
	e := &EC2{
		KeyID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", s: s, o: o,
		keys: map[string]ec2Key{}, sessions: map[string]bool{}, tokens: map[string]string{},
		launched: map[string]url.Values{}, known: map[string]bool{}, failures: map[string]string{},
	}
	e.keys[e.KeyID] = ec2Key{secret: e.Secret}
	e.URL = s.listen("ec2", e.serve, e.refuse)
	e.STS = s.listen("sts", e.serveSTS, e.refuse)
	e.Metadata = s.listen("imds", e.serveMetadata, e.refuse)
	return e
}

// Env is the environment of a client that signs as the account's user.
func (e *EC2) Env() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_EC2": e.URL, "AWS_ENDPOINT_URL_STS": e.STS, "AWS_EC2_METADATA_SERVICE_ENDPOINT": e.Metadata,
		"AWS_ACCESS_KEY_ID": e.KeyID, "AWS_SECRET_ACCESS_KEY": e.Secret, "AWS_REGION": e.o.Region, "AWS_DEFAULT_REGION": e.o.Region,
	}
}

// wireError is a refusal that only this protocol has.
type wireError struct {
	status        int
	code, message string
}

func (e *wireError) Error() string { return e.code + ": " + e.message }

func badParameter(message string) error {
	return &wireError{http.StatusBadRequest, "InvalidParameterValue", message}
}

// ec2Action serves one action. What it returns is marshalled as the answer.
type ec2Action func(e *EC2, ctx context.Context, form url.Values) (answer any, err error)

func ec2Actions() map[string]ec2Action {
	return map[string]ec2Action{
		"RunInstances":                  (*EC2).runInstances,
		"DescribeInstances":             (*EC2).describeInstances,
		"TerminateInstances":            (*EC2).terminateInstances,
		"StopInstances":                 (*EC2).stopInstances,
		"StartInstances":                (*EC2).startInstances,
		"DescribeInstanceTypes":         (*EC2).describeInstanceTypes,
		"DescribeInstanceTypeOfferings": (*EC2).describeInstanceTypeOfferings,
		"DescribeSpotPriceHistory":      (*EC2).describeSpotPriceHistory,
		"DescribeSpotInstanceRequests":  (*EC2).describeSpotInstanceRequests,
		"DescribeInstanceStatus":        (*EC2).describeInstanceStatus,
	}
}

const maxForm = 1 << 20

func (e *EC2) serve(w http.ResponseWriter, r *http.Request) error {
	form, err := e.authentic(r, "ec2")
	if err != nil {
		return e.orOwn(w, err)
	}
	name := form.Get("Action")
	e.s.count("ec2", name)
	action := ec2Actions()[name]
	switch {
	case action == nil:
		err = &wireError{http.StatusBadRequest, "InvalidAction", "The action " + name + " is not valid for this web service."}
	case slices.Contains(e.o.Deny, name):
		err = &wireError{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation."}
	case form.Get("DryRun") == "true":
		err = &wireError{http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."}
	}
	if err != nil {
		return e.orOwn(w, err)
	}
	answer, err := action(e, r.Context(), form)
	if err != nil {
		return e.orOwn(w, err)
	}
	writeXML(w, http.StatusOK, answer)
	return nil
}

// orOwn writes an error that is the protocol's own and returns any other.
func (e *EC2) orOwn(w http.ResponseWriter, err error) error {
	var own *wireError
	if !errors.As(err, &own) {
		return err
	}
	writeEC2Error(w, own)
	return nil
}

// refuse sorts the errors of the cloud behind into EC2's ("Error codes for the
// Amazon EC2 API"): those of capacity are server errors there.
func (e *EC2) refuse(w http.ResponseWriter, _ *http.Request, err *cloud.Error) {
	writeEC2Error(w, ec2Refusal(err))
}

func ec2Refusal(err *cloud.Error) *wireError {
	text := err.Err.Error()
	switch err.Kind {
	case cloud.NoCapacity:
		return &wireError{http.StatusInternalServerError, "InsufficientInstanceCapacity", "We currently do not have sufficient capacity in the Availability Zone you requested: " + text}
	case cloud.Quota:
		if err.What == "cpu" {
			return &wireError{http.StatusBadRequest, "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit allows."}
		}
		return &wireError{http.StatusBadRequest, "InstanceLimitExceeded", "You have requested more instances than your current instance limit allows."}
	case cloud.RateLimited:
		return &wireError{http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."}
	case cloud.Auth:
		return &wireError{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation."}
	case cloud.NotFound:
		return &wireError{http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID '" + err.What + "' does not exist"}
	case cloud.Invalid:
		return ec2Invalid(err)
	case cloud.Transient:
		if err.Op == cloud.OpDelete && err.What != "" {
			return &wireError{http.StatusBadRequest, "OperationNotPermitted", "The instance '" + err.What + "' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."}
		}
	}
	return &wireError{http.StatusServiceUnavailable, "Unavailable", "The server is overloaded and can't handle the request: " + text}
}

func ec2Invalid(err *cloud.Error) *wireError {
	bad := func(code, message string) *wireError { return &wireError{http.StatusBadRequest, code, message} }
	switch {
	case err.What == cloud.UsedToken:
		return bad("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
	case err.What == "user-data":
		return bad("InvalidParameterValue", "User data is limited to 16384 bytes")
	case err.What == "zone":
		return bad("InvalidParameterValue", "Invalid availability zone: "+err.Err.Error())
	case err.Op == cloud.OpStop || err.Op == cloud.OpStart:
		return bad("IncorrectInstanceState", "The instance '"+err.What+"' is not in a state from which it can be "+err.Op+"ped or started.")
	}
	return bad("InvalidParameterValue", err.Err.Error())
}

type errorXML struct {
	XMLName   xml.Name `xml:"Response"`
	Errors    []errXML `xml:"Errors>Error"`
	RequestID string   `xml:"RequestID"`
}

type errXML struct {
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

const requestID = "59dbff89-35bd-4eac-99ed-be587EXAMPLE"

func writeEC2Error(w http.ResponseWriter, e *wireError) {
	writeXML(w, e.status, errorXML{Errors: []errXML{{e.code, e.message}}, RequestID: requestID})
}

func writeXML(w http.ResponseWriter, status int, answer any) {
	body, err := xml.Marshal(answer)
	if err != nil {
		panic(err) // of types of this package
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header+string(body)) // the caller may have gone
}
