package cloud_test

import (
	"context"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

func TestResolve(t *testing.T) {
	const lag = 30 * time.Second
	token := cloud.Description{ClientToken: true, MaxBatch: 10, ListLag: lag}
	names := cloud.Description{UniqueNames: true, MaxBatch: 10, ListLag: lag}
	neither := cloud.Description{MaxBatch: 10, ListLag: lag}
	used := &cloud.Error{Kind: cloud.Invalid, Op: cloud.OpCreate, What: cloud.UsedToken}
	ambiguous, transient, refused := kind(cloud.Ambiguous), kind(cloud.Transient), kind(cloud.NoCapacity)
	const ok = cloud.Kind(-1)
	tests := map[string]struct {
		description cloud.Description
		create      []error
		list        []error
		listed      int
		untagged    bool
		kind        cloud.Kind
		machines    int
		creates     int
		lists       int
	}{
		"no doubt":                               {token, nil, nil, 0, false, ok, 3, 1, 0},
		"a refusal is no doubt":                  {token, []error{refused}, nil, 0, false, cloud.NoCapacity, 0, 1, 0},
		"the same token again":                   {token, []error{ambiguous}, nil, 0, false, ok, 3, 2, 0},
		"the same name again":                    {names, []error{ambiguous}, nil, 0, false, ok, 3, 2, 0},
		"again until there is an answer":         {token, []error{ambiguous, ambiguous, transient}, nil, 0, false, ok, 3, 4, 0},
		"a refusal later is confirmed by a list": {token, []error{ambiguous, refused}, nil, 0, false, cloud.NoCapacity, 0, 2, 1},
		"a refusal later is denied by a list":    {token, []error{ambiguous, refused}, nil, 2, false, ok, 2, 2, 1},
		"neither: never again":                   {neither, []error{ambiguous}, nil, 3, false, ok, 3, 1, 1},
		"neither: part of it":                    {neither, []error{ambiguous}, nil, 1, false, ok, 1, 1, 1},
		"neither: doubles are told":              {neither, []error{ambiguous}, nil, 6, false, ok, 6, 1, 1},
		"neither: nothing was made":              {neither, []error{ambiguous}, nil, 0, false, cloud.Transient, 0, 1, 1},
		"neither: until List answers":            {neither, []error{ambiguous}, []error{transient, transient}, 3, false, ok, 3, 1, 3},
		"neither: List never answers":            {neither, []error{ambiguous}, repeat(transient, 999), 3, false, cloud.Ambiguous, 0, 1, 16},
		"neither: nothing to find it by":         {neither, []error{ambiguous}, nil, 3, true, cloud.Ambiguous, 0, 1, 0},
		"a used token has bought":                {token, []error{used}, nil, 3, false, ok, 3, 1, 1},
		"a used token has bought nothing":        {token, []error{used}, nil, 0, false, cloud.Invalid, 0, 1, 1},
		"a used token, after doubt":              {token, []error{ambiguous, used}, nil, 3, false, ok, 3, 2, 1},
		"never an answer":                        {token, repeat(ambiguous, 999), nil, 0, false, cloud.Ambiguous, 0, 31, 0},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			f := &fake{
				description: c.description, listed: made(c.listed),
				answers: map[string][]error{cloud.OpCreate: c.create, cloud.OpList: c.list},
			}
			r := request(3)
			if c.untagged {
				r.Tags = nil
			}
			d := cloud.Resolve(f, clock.Moving(), cloud.ResolveOptions{Within: time.Minute})
			machines, err := d.Create(t.Context(), r)
			if c.kind == ok && err != nil {
				t.Errorf("got error %v", err)
			} else if c.kind != ok {
				wantKind(t, err, c.kind)
			}
			if len(machines) != c.machines || f.count(cloud.OpCreate) != c.creates || f.count(cloud.OpList) != c.lists {
				t.Errorf("%d machines, %d creates, %d lists; want %d, %d, %d",
					len(machines), f.count(cloud.OpCreate), f.count(cloud.OpList), c.machines, c.creates, c.lists)
			}
			if took := clock.Now().Sub(start); c.lists > 0 && took < lag {
				t.Errorf("List was believed after %v, it lags by %v", took, lag)
			}
		})
	}
}

func TestResolveStopsWithItsContext(t *testing.T) {
	clock := newClock()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{description: cloud.Description{ClientToken: true}, answers: map[string][]error{cloud.OpCreate: repeat(kind(cloud.Ambiguous), 9)}}
	f.on = func(string) { cancel() }
	d := cloud.Resolve(f, clock.Moving(), cloud.ResolveOptions{Within: time.Hour})
	_, err := d.Create(ctx, request(1))
	wantKind(t, err, cloud.Ambiguous)
	if n := f.count(cloud.OpCreate); n != 1 {
		t.Errorf("%d calls after the context ended, want 1", n)
	}
}

// A scaler that was restarted with other tags or user data asks with the token
// of the old ones: that must not look like a refusal, or it buys elsewhere.
func TestUsedTokenIsLookedUpWithoutTimeToSettle(t *testing.T) {
	p := presets()["ec2"]
	clock := newClock()
	account := simOf(p, clock.Still())
	before := order("web-1-1", p.Offerings[0], 3)
	if _, err := account.Create(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	after := order("web-1-1", p.Offerings[0], 3)
	after.Tags[cloud.TagProfile] = "another"
	machines, err := cloud.Wrap(account, cloud.Options{Clock: clock.Moving()}).Create(t.Context(), after)
	if err != nil || len(machines) != 3 || len(account.Hosts()) != 3 {
		t.Errorf("%d machines of %d, error %v; want the 3 that were bought before", len(machines), len(account.Hosts()), err)
	}
}

func TestResolveWithoutTimeHandsDoubtUp(t *testing.T) {
	f := &fake{description: cloud.Description{ClientToken: true}, answers: map[string][]error{cloud.OpCreate: {kind(cloud.Ambiguous)}}}
	d := cloud.Resolve(f, newClock().Moving(), cloud.ResolveOptions{})
	_, err := d.Create(t.Context(), request(1))
	wantKind(t, err, cloud.Ambiguous)
	if n := f.count(cloud.OpCreate); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}
