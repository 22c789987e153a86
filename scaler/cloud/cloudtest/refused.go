package cloudtest

import (
	"bytes"

	"spillway/scaler/cloud"
)

// refused: requests that are wrong, and ids that there are not.
var refused = []test{
	{"refuses requests that make no sense", refusesNonsense},
	{"refuses user data that is too long", refusesUserData},
	{"does not find what there is not", findsNothing},
}

func refusesNonsense(e *env) {
	for what, spoil := range map[string]func(r *cloud.CreateRequest){
		"no token":            func(r *cloud.CreateRequest) { r.Token = "" },
		"an unknown zone":     func(r *cloud.CreateRequest) { r.Zone = "no-such-zone" },
		"an unknown type":     func(r *cloud.CreateRequest) { r.Type = "no-such-type" },
		"no machines":         func(r *cloud.CreateRequest) { r.Count, r.Names = 0, nil },
		"too few names":       func(r *cloud.CreateRequest) { r.Names = nil },
		"more than MaxBatch":  func(r *cloud.CreateRequest) { *r = e.request(e.can.MaxBatch + 1) },
		"a name that is none": func(r *cloud.CreateRequest) { r.Names = []string{""} },
	} {
		r := e.request(1)
		spoil(&r)
		_, err := e.raw.Create(e.ctx, r)
		e.wantKind("Create with "+what, err, cloud.Invalid)
		e.settled(r, 0)
	}
}

func refusesUserData(e *env) {
	r := e.request(1)
	most := e.can.UserDataMax
	r.UserData = bytes.Repeat([]byte("#"), most)
	if made := e.create(e.d, r); len(made) != 1 {
		e.Errorf("%d machines with user data of %d bytes, want 1", len(made), most)
	}
	if most == 0 {
		return
	}
	long := e.request(1)
	long.UserData = bytes.Repeat([]byte("#"), most+1)
	_, err := e.raw.Create(e.ctx, long)
	e.wantKind("Create with too much user data", err, cloud.Invalid)
	e.settled(long, 0)
}

func findsNothing(e *env) {
	const id = "i-there-is-none"
	e.wantKind("Delete of an unknown id", e.raw.Delete(e.ctx, id), cloud.NotFound)
	s, ok := e.raw.(cloud.Stopper)
	if !ok {
		return
	}
	e.wantKind("Stop of an unknown id", s.Stop(e.ctx, id), cloud.NotFound)
	e.wantKind("Start of an unknown id", s.Start(e.ctx, id), cloud.NotFound)
}
