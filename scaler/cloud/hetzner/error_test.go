package hetzner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/hetzner"
)

// answering is a driver whose cloud gives one answer to everything.
func answering(t *testing.T, h http.HandlerFunc) *hetzner.Driver {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	d, err := hetzner.New(hetzner.Options{Endpoint: s.URL, Token: "t", Image: "debian-13", Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestErrorCodes has answers as "Errors" documents them.
func TestErrorCodes(t *testing.T) {
	for _, c := range []struct {
		status         int
		body           string
		create, delete cloud.Kind
		what           string // of create
	}{
		{412, `{"error":{"code":"resource_unavailable","message":"error during placement","details":null}}`, cloud.NoCapacity, cloud.NoCapacity, "cx22 in fsn1"},
		{422, `{"error":{"code":"placement_error","message":"error during placement"}}`, cloud.NoCapacity, cloud.NoCapacity, "cx22 in fsn1"},
		{403, `{"error":{"code":"resource_limit_exceeded","message":"server limit exceeded","details":{"limits":[{"name":"project_limit"}]}}}`, cloud.Quota, cloud.Quota, "resource_limit_exceeded"},
		{429, `{"error":{"code":"rate_limit_exceeded","message":"limit of 3600 requests per hour reached"}}`, cloud.RateLimited, cloud.RateLimited, "cx22 in fsn1"},
		{401, `{"error":{"code":"unauthorized","message":"unable to authenticate"}}`, cloud.Auth, cloud.Auth, "unauthorized"},
		{403, `{"error":{"code":"forbidden","message":"insufficient permissions for this request"}}`, cloud.Auth, cloud.Auth, "forbidden"},
		{403, `{"error":{"code":"token_readonly","message":"token is only allowed to perform GET requests"}}`, cloud.Auth, cloud.Auth, "token_readonly"},
		{423, `{"error":{"code":"locked","message":"item is locked"}}`, cloud.Transient, cloud.Transient, "cx22 in fsn1"},
		{423, `{"error":{"code":"protected","message":"server is protected"}}`, cloud.Transient, cloud.Transient, "cx22 in fsn1"},
		{409, `{"error":{"code":"conflict","message":"the resource has changed during the request, please retry"}}`, cloud.Transient, cloud.Transient, "cx22 in fsn1"},
		{503, `{"error":{"code":"maintenance","message":"maintenance"}}`, cloud.Transient, cloud.Transient, "cx22 in fsn1"},
		{503, `upstream connect error`, cloud.Transient, cloud.Transient, "cx22 in fsn1"},
		{422, `{"error":{"code":"invalid_input","message":"invalid input in field 'image'","details":{"fields":[{"name":"image","messages":["not found"]}]}}}`, cloud.Invalid, cloud.Invalid, "image"},
		{404, `{"error":{"code":"not_found","message":"image not found"}}`, cloud.Invalid, cloud.NotFound, "not_found"},
		{422, `{"error":{"code":"a_code_of_tomorrow","message":"?"}}`, cloud.Invalid, cloud.Invalid, "a_code_of_tomorrow"},
		{500, `{"error":{"code":"server_error","message":"internal server error"}}`, cloud.Ambiguous, cloud.Ambiguous, "cx22 in fsn1"},
		{504, `{"error":{"code":"timeout","message":"the request could not be answered in time"}}`, cloud.Ambiguous, cloud.Ambiguous, "cx22 in fsn1"},
		{502, `<html>bad gateway</html>`, cloud.Ambiguous, cloud.Ambiguous, "cx22 in fsn1"},
		{201, `{"server":`, cloud.Ambiguous, cloud.Ambiguous, "cx22 in fsn1"},
		{201, `{}`, cloud.Ambiguous, cloud.Transient, ""},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			d := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			r := order("web-1")
			r.Type = "cx22"
			_, err := d.Create(t.Context(), r)
			var typed *cloud.Error
			if !errors.As(err, &typed) || typed.Kind != c.create || typed.What != c.what {
				t.Errorf("Create: error %v, want %v (%s)", err, c.create, c.what)
			}
			if err := d.Delete(t.Context(), "7"); err != nil && cloud.KindOf(err) != c.delete {
				t.Errorf("Delete: error %v, want %v", err, c.delete)
			}
		})
	}
}

// TestLimitTellsWhenTheNextRequestIs: all 3,600 are back after an hour, so one
// is after a second.
func TestLimitTellsWhenTheNextRequestIs(t *testing.T) {
	for _, c := range []struct {
		limit, remaining string
		reset            time.Time
		retry            string
		want             time.Duration
	}{
		{"3600", "0", start.Add(time.Hour), "", time.Second},
		{"360", "0", start.Add(time.Hour), "", 10 * time.Second},
		{"360", "0", start.Add(time.Hour), "42", 42 * time.Second},
		{"", "", time.Time{}, "", time.Second},
		{"3600", "0", start.Add(-time.Hour), "", time.Second},
	} {
		d := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("RateLimit-Limit", c.limit)
			h.Set("RateLimit-Remaining", c.remaining)
			h.Set("RateLimit-Reset", fmt.Sprint(c.reset.Unix()))
			h.Set("Retry-After", c.retry)
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":{"code":"rate_limit_exceeded","message":"slow down"}}`)
		})
		_, err := d.List(t.Context(), nil)
		var typed *cloud.Error
		if !errors.As(err, &typed) || typed.Kind != cloud.RateLimited || typed.After != c.want {
			t.Errorf("limit %+v: error %v, want RateLimited after %v", c, err, c.want)
		}
	}
}

func TestWhatCannotHaveArrivedIsTransient(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	d, err := hetzner.New(hetzner.Options{Endpoint: s.URL, Token: "t", Image: "debian-13"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(t.Context(), order("web-1")); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("Create without a connection: error %v, want Transient", err)
	}
}

func TestWhatMayHaveArrivedIsAmbiguous(t *testing.T) {
	d := answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := d.Create(t.Context(), order("web-1")); cloud.KindOf(err) != cloud.Ambiguous {
		t.Errorf("Create whose connection broke: error %v, want Ambiguous", err)
	}
	if err := d.Delete(t.Context(), "7"); cloud.KindOf(err) != cloud.Ambiguous {
		t.Errorf("Delete whose connection broke: error %v, want Ambiguous", err)
	}
	if _, err := d.List(t.Context(), nil); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("List whose connection broke: error %v, want Transient", err)
	}
}

// TestDownIsTransient: ten minutes of 503.
func TestDownIsTransient(t *testing.T) {
	p := open(t)
	p.fake.Down(10 * time.Minute)
	if _, err := p.driver.Create(context.Background(), order("web-1")); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("Create while the API is down: error %v, want Transient", err)
	}
	p.clock.Advance(11 * time.Minute)
	if _, err := p.driver.Create(context.Background(), order("web-1")); err != nil {
		t.Errorf("Create after it: %v", err)
	}
}
