package cloudfake

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// aliyunTemporary is how STS and the metadata service write credentials.
type aliyunTemporary struct {
	AccessKeyId, AccessKeySecret, SecurityToken, Expiration string
}

// issue makes credentials that end.
func (a *aliyun) issue(life time.Duration) aliyunTemporary {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	end := a.s.now().Add(life).UTC().Truncate(time.Second)
	t := aliyunTemporary{
		AccessKeyId:     fmt.Sprintf("STS.fake%06d", a.serial),
		AccessKeySecret: fmt.Sprintf("fake-temporary-secret-%06d", a.serial),
		SecurityToken:   fmt.Sprintf("fake-security-token-%06d", a.serial),
		Expiration:      end.Format(time.RFC3339),
	}
	a.keys[t.AccessKeyId] = aliyunKey{t.AccessKeySecret, t.SecurityToken, end}
	return t
}

func (a *aliyun) assumeRole(_ context.Context, p url.Values) (any, error) {
	if err := aliyunMissing(p, "RoleArn", "RoleSessionName"); err != nil {
		return nil, err
	}
	role, session := p.Get("RoleArn"), p.Get("RoleSessionName")
	if !strings.HasPrefix(role, "acs:ram::") {
		return nil, &aliyunFault{status: http.StatusNotFound, code: "EntityNotExist.Role", message: "The role does not exist: " + role}
	}
	seconds, err := strconv.Atoi(p.Get("DurationSeconds"))
	if p.Get("DurationSeconds") == "" {
		seconds, err = 3600, nil
	}
	if err != nil || seconds < 900 || seconds > 43200 {
		return nil, &aliyunFault{status: http.StatusBadRequest, code: "InvalidParameter.DurationSeconds", message: "The duration is invalid."}
	}
	return struct {
		AssumedRoleUser struct{ Arn, AssumedRoleId string }
		Credentials     aliyunTemporary
	}{
		struct{ Arn, AssumedRoleId string }{role + "/" + session, "34458433936495****:" + session},
		a.issue(time.Duration(seconds) * time.Second),
	}, nil
}

const (
	aliyunMetadataToken = "fake-metadata-token"
	aliyunRolePath      = "/latest/meta-data/ram/security-credentials/"
	aliyunRoleLife      = 6 * time.Hour
)

// metadata is the metadata service in its hardened mode.
func (a *aliyun) metadata(w http.ResponseWriter, r *http.Request) error {
	a.s.count("aliyun", "metadata")
	if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
		if seconds, err := strconv.Atoi(r.Header.Get("X-aliyun-ecs-metadata-token-ttl-seconds")); err != nil || seconds < 1 || seconds > 21600 {
			w.WriteHeader(http.StatusBadRequest)
			return nil
		}
		_, err := io.WriteString(w, aliyunMetadataToken)
		return err
	}
	if r.Header.Get("X-aliyun-ecs-metadata-token") != aliyunMetadataToken {
		w.WriteHeader(http.StatusForbidden)
		return nil
	}
	switch r.URL.Path {
	case aliyunRolePath:
		_, err := io.WriteString(w, AliyunRole)
		return err
	case aliyunRolePath + AliyunRole:
		a.write(w, http.StatusOK, struct {
			aliyunTemporary
			LastUpdated, Code string
		}{a.issue(aliyunRoleLife), a.s.now().UTC().Format(time.RFC3339), "Success"})
		return nil
	}
	w.WriteHeader(http.StatusNotFound)
	return nil
}
