package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	"spillway/scaler/api"
)

// get reads JSON; nil takes any 200.
func (w *world) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("cannot read the answer of %q: %w", url, err)
	case resp.StatusCode != http.StatusOK:
		return &statusError{url, resp.StatusCode, string(body[:min(len(body), 200)])}
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("cannot read the answer of %q: %w", url, err)
	}
	return nil
}

// statusError is an answer that is not 200.
type statusError struct {
	url  string
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("%q answers %d: %s", e.url, e.code, e.body) }

func isStatus(err error, code int) bool {
	var e *statusError
	return errors.As(err, &e) && e.code == code
}

// do sends a request that has no body.
func (w *world) do(ctx context.Context, method, url string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%q answers %d", url, resp.StatusCode)
	}
	return nil
}

// look is what the scaler and the gateway show now.
func (w *world) look(ctx context.Context, began time.Time) (moment, api.Status, error) {
	var s api.Status
	if err := w.get(ctx, "http://"+w.at.Scaler+"/api/v1/status", &s); err != nil {
		return moment{}, s, err
	}
	m := moment{at: time.Since(began).Seconds()}
	for _, a := range s.Apps {
		m.wanted += a.Want
		m.booting += a.Booting
		m.ready += a.Ready
	}
	var states []string
	for _, p := range s.Pools {
		for state, n := range p.States {
			if p.Name == "rented" && state != "gone" {
				m.rented += n
			}
			states = append(states, fmt.Sprintf("%s %s %d", p.Name, state, n))
		}
	}
	sort.Strings(states)
	m.states = strings.Join(states, ", ")
	n, err := w.inTraffic(ctx)
	m.traffic = n
	return m, s, err
}

// inTraffic is how many servers the gateway sends requests to.
func (w *world) inTraffic(ctx context.Context) (n int, err error) {
	var answer struct {
		Upstreams map[string]struct {
			Servers map[string]struct {
				Serving bool `json:"serving"`
			} `json:"servers"`
		} `json:"upstreams"`
	}
	if err := w.get(ctx, "http://"+w.at.Admin+"/api/v1/signals?upstream=web", &answer); err != nil {
		return 0, err
	}
	for _, s := range answer.Upstreams["web"].Servers {
		if s.Serving {
			n++
		}
	}
	return n, nil
}
