package openstack

import (
	"context"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"spillway/scaler/cloud"
)

// session logs in with the first call and again when that has failed.
type session struct {
	account account
	http    http.Client
	turn    chan struct{} // one logs in, the others wait
	compute *gophercloud.ServiceClient
}

func newSession(a account, h http.Client) *session {
	return &session{account: a, http: h, turn: make(chan struct{}, 1)}
}

// nova is the client of the compute service. Nothing is bought by logging in:
// its errors are never Ambiguous.
func (s *session) nova(ctx context.Context, op string) (*gophercloud.ServiceClient, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, &cloud.Error{Kind: cloud.Transient, Op: op, Err: ctx.Err()}
	}
	if err := ctx.Err(); err != nil {
		return nil, &cloud.Error{Kind: cloud.Transient, Op: op, Err: err}
	}
	if s.compute != nil {
		return s.compute, nil
	}
	compute, err := s.logIn(ctx)
	if err != nil {
		return nil, loginError(op, err)
	}
	s.compute = compute
	return compute, nil
}

func (s *session) logIn(ctx context.Context) (*gophercloud.ServiceClient, error) {
	provider, err := openstack.NewClient(s.account.auth.IdentityEndpoint)
	if err != nil {
		return nil, err
	}
	provider.HTTPClient = s.http
	provider.UserAgent.Prepend("spillway")
	if err := openstack.Authenticate(ctx, provider, s.account.auth); err != nil {
		return nil, err
	}
	compute, err := openstack.NewComputeV2(provider, s.account.endpoint)
	if err != nil {
		return nil, err
	}
	compute.Microversion = microversion
	return compute, nil
}
