package cloudfake

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"spillway/scaler/cloud"
)

// What gives clients their keys: STS, the machine's metadata service (version
// 2: a session first), and the agent beside a container.

const (
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
	// RoleName is the role of the machine and the container.
	RoleName = "spillway-fake"
	// ContainerPath is where the container's agent answers on Metadata, and
	// ContainerToken what it wants to see.
	ContainerPath  = "/v2/credentials/0f9b3a2e"
	ContainerToken = "token-of-the-container"
)

type stsXML struct {
	XMLName xml.Name
	Xmlns   string `xml:"xmlns,attr"`
	Result  stsResult
}

type stsResult struct {
	XMLName     xml.Name
	Credentials stsKeysXML `xml:"Credentials"`
}

type stsKeysXML struct {
	ID         string `xml:"AccessKeyId"`
	Secret     string `xml:"SecretAccessKey"`
	Session    string `xml:"SessionToken"`
	Expiration string `xml:"Expiration"`
}

func (e *EC2) serveSTS(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return err
	}
	form, err := readForm(r, body)
	if err != nil {
		return e.orSTS(w, err)
	}
	action := form.Get("Action")
	e.s.count("sts", action)
	switch action {
	case "AssumeRole":
		if err := e.verify(r, body, "sts"); err != nil {
			return e.orSTS(w, err)
		}
		if e.o.ExternalID != "" && form.Get("ExternalId") != e.o.ExternalID {
			return e.orSTS(w, &wireError{http.StatusForbidden, "AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: " + form.Get("RoleArn")})
		}
	case "AssumeRoleWithWebIdentity":
		if e.o.IdentityToken == "" || form.Get("WebIdentityToken") != e.o.IdentityToken {
			return e.orSTS(w, &wireError{http.StatusBadRequest, "InvalidIdentityToken", "The web identity token is not valid"})
		}
	default:
		return e.orSTS(w, &wireError{http.StatusBadRequest, "InvalidAction", "Could not find operation " + action})
	}
	return e.orSTS(w, e.assumed(w, form))
}

func (e *EC2) assumed(w http.ResponseWriter, form url.Values) error {
	if !strings.HasPrefix(form.Get("RoleArn"), "arn:aws") || form.Get("RoleSessionName") == "" {
		return &wireError{http.StatusBadRequest, "ValidationError", "RoleArn or RoleSessionName is invalid"}
	}
	if n, err := strconv.Atoi(form.Get("DurationSeconds")); err != nil || n < 900 || n > 3600 {
		return &wireError{http.StatusBadRequest, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}
	}
	id, k := e.give()
	action := form.Get("Action")
	writeXML(w, http.StatusOK, stsXML{XMLName: nameOf(action + "Response"), Xmlns: stsNamespace, Result: stsResult{
		XMLName: nameOf(action + "Result"), Credentials: stsKeysXML{id, k.secret, k.session, ec2Time(k.expires)},
	}})
	return nil
}

type stsErrorXML struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Xmlns     string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// orSTS writes errors in the shape of STS, which is not that of EC2.
func (e *EC2) orSTS(w http.ResponseWriter, err error) error {
	own, ok := err.(*wireError)
	if !ok {
		return err
	}
	writeXML(w, own.status, stsErrorXML{Xmlns: stsNamespace, Type: "Sender", Code: own.code, Message: own.message, RequestID: requestID})
	return nil
}

func (e *EC2) serveMetadata(w http.ResponseWriter, r *http.Request) error {
	e.s.count("imds", r.Method+" "+r.URL.Path)
	const role = "/latest/meta-data/iam/security-credentials/"
	switch {
	case r.URL.Path == ContainerPath && r.Header.Get("Authorization") == ContainerToken:
		return e.writeKeys(w, "")
	case r.URL.Path == "/latest/api/token" && r.Method == http.MethodPut:
		return e.startSession(w, r)
	case !e.inSession(r.Header.Get("X-Aws-Ec2-Metadata-Token")):
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case r.URL.Path == role:
		_, _ = io.WriteString(w, RoleName)
	case r.URL.Path == role+RoleName:
		return e.writeKeys(w, `"Code":"Success","Type":"AWS-HMAC",`)
	default:
		http.NotFound(w, r)
	}
	return nil
}

func (e *EC2) startSession(w http.ResponseWriter, r *http.Request) error {
	n, err := strconv.Atoi(r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
	if err != nil || n < 1 || n > 21600 {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return nil
	}
	token := e.unique()
	e.mu.Lock()
	e.sessions[token] = true
	e.mu.Unlock()
	_, _ = io.WriteString(w, token)
	return nil
}

func (e *EC2) inSession(token string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[token]
}

func (e *EC2) writeKeys(w http.ResponseWriter, head string) error {
	id, k := e.give()
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprintf(w, `{%s"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
		head, id, k.secret, k.session, k.expires.UTC().Format("2006-01-02T15:04:05Z"))
	if err != nil {
		return &cloud.Error{Kind: cloud.Ambiguous, Err: err}
	}
	return nil
}
