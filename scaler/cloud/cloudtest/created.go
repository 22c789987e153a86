package cloudtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"spillway/scaler/cloud"
)

// created: batches, tokens, names, tags and lists.
var created = []test{
	{"makes a batch", makesBatch},
	{"one token is one batch", oneTokenOneBatch},
	{"a token stands for one request", tokenForOneRequest},
	{"a token is worth its zone", tokenZones},
	{"a name is worth one machine", uniqueNames},
	{"lists by all tags", listsByTags},
	{"lists all pages", listsAllPages},
	{"keeps nothing of the request", keepsNothing},
	{"is used concurrently", usedConcurrently},
}

func makesBatch(e *env) {
	r := e.request(e.batch())
	made := e.create(e.d, r)
	if len(made) < 1 || len(made) > r.Count {
		e.Fatalf("%d machines where %d were asked for", len(made), r.Count)
	}
	seen := map[string]bool{}
	for _, m := range append(made, e.settled(r, len(made))...) {
		switch {
		case m.ID == "" || m.State == "" || m.State == cloud.Deleted:
			e.Errorf("machine without an id or in the wrong state: %+v", m)
		case m.Type != r.Type || m.Zone != r.Zone:
			e.Errorf("machine %s is a %s in %q, want %s in %q", m.ID, m.Type, m.Zone, r.Type, r.Zone)
		case !m.HasTags(r.Tags):
			e.Errorf("machine %s has tags %v, want all of %v", m.ID, m.Tags, r.Tags)
		}
		seen[m.ID] = true
	}
	if len(seen) != len(made) {
		e.Errorf("Create named %v, with List there are %d", ids(made), len(seen))
	}
}

// repeats: whether the same request again gives the same machines.
func (e *env) repeats() bool { return e.can.ClientToken || e.can.UniqueNames }

func oneTokenOneBatch(e *env) {
	if !e.repeats() {
		return
	}
	r := e.request(e.batch())
	first, second := e.create(e.d, r), e.create(e.d, r)
	if !slices.Equal(ids(first), ids(second)) {
		e.Errorf("one token gave %v, then %v", ids(first), ids(second))
	}
	e.settled(r, len(first))
}

func tokenForOneRequest(e *env) {
	if !e.can.ClientToken {
		return
	}
	r := e.request(1)
	e.create(e.d, r)
	other := e.request(1)
	other.Token = r.Token
	_, err := e.d.Create(e.ctx, other)
	e.wantKind("a used token for another request", err, cloud.Invalid)
	e.settled(r, 1)
	e.settled(other, 0)
}

func tokenZones(e *env) {
	here := e.offerings[0]
	i := slices.IndexFunc(e.offerings, func(o cloud.Offering) bool { return o.Type == here.Type && o.Zone != here.Zone })
	if i < 0 || !e.can.ClientToken {
		return
	}
	r := e.request(1)
	first := e.create(e.d, r)
	r.Zone = e.offerings[i].Zone
	second, err := e.d.Create(e.ctx, r)
	if !e.can.TokenZonal {
		if err == nil && !slices.Equal(ids(first), ids(second)) {
			e.Errorf("a token bought %v in one zone and %v in another, and is said not to be zonal", ids(first), ids(second))
		}
		return
	}
	if err != nil || slices.Equal(ids(first), ids(second)) {
		e.Errorf("a zonal token gave %v in one zone, %v (error %v) in another, want a second machine", ids(first), ids(second), err)
	}
	e.settled(r, 2)
}

func uniqueNames(e *env) {
	if !e.can.UniqueNames {
		return
	}
	r := e.request(1)
	made := e.create(e.d, r)
	if made[0].Name != r.Names[0] {
		e.Errorf("machine is named %q, want %q", made[0].Name, r.Names[0])
	}
	thief := e.request(1)
	thief.Names = r.Names
	_, err := e.d.Create(e.ctx, thief)
	e.wantKind("a name that another order's machine bears", err, cloud.Invalid)
	e.settled(thief, 0)
}

func listsByTags(e *env) {
	a, b := e.request(1), e.request(1)
	e.create(e.d, a)
	e.create(e.d, b)
	e.settled(a, 1)
	e.settled(b, 1)
	for _, c := range []struct {
		tags map[string]string
		want int
	}{
		{map[string]string{cloud.TagCluster: cluster}, 2},
		{map[string]string{cloud.TagCluster: cluster, cloud.TagOrder: a.Tags[cloud.TagOrder]}, 1},
		{map[string]string{cloud.TagCluster: "another"}, 0},
		{map[string]string{cloud.TagCluster: cluster, cloud.TagOrder: "none"}, 0},
		{map[string]string{cloud.TagCluster: cluster, "no-such-tag": ""}, 0},
	} {
		if found := e.list(c.tags); len(found) != c.want {
			e.Errorf("List %v: %d machines, want %d", c.tags, len(found), c.want)
		}
	}
}

func listsAllPages(e *env) {
	for left := e.setup.Many; left > 0; {
		r := e.request(min(left, e.can.MaxBatch))
		left -= len(e.create(e.d, r))
	}
	e.pass(e.can.ListLag)
	found := e.list(map[string]string{cloud.TagCluster: cluster})
	if unique := slices.Compact(ids(found)); len(found) != e.setup.Many || len(unique) != e.setup.Many {
		e.Errorf("%d machines are listed, %d of them different, want %d", len(found), len(unique), e.setup.Many)
	}
}

func keepsNothing(e *env) {
	r := e.request(1)
	want := maps.Clone(r.Tags)
	made := e.create(e.d, r)
	if !reflect.DeepEqual(r.Tags, want) {
		e.Errorf("Create changed the request's tags to %v", r.Tags)
	}
	r.Tags[cloud.TagPool], made[0].Tags[cloud.TagPool] = "changed", "changed"
	r.Tags[cloud.TagPool] = "changed"
	e.pass(e.can.ListLag)
	for _, m := range e.list(map[string]string{cloud.TagCluster: cluster}) {
		if !m.HasTags(want) {
			e.Errorf("machine %s has tags %v after the caller changed its own, want %v", m.ID, m.Tags, want)
		}
		m.Tags[cloud.TagPool] = "changed"
	}
	if found := e.list(want); len(found) != 1 {
		e.Errorf("%d machines have the tags after the caller changed an answer's, want 1", len(found))
	}
}

func usedConcurrently(e *env) {
	const callers = 3
	var requests []cloud.CreateRequest
	for range callers {
		requests = append(requests, e.request(1))
	}
	var wg sync.WaitGroup
	errs := make([]error, 2*callers)
	for i, r := range requests {
		// One token from two callers at once, as from two leaders.
		wg.Go(func() { _, errs[2*i] = e.d.Create(e.ctx, r) })
		wg.Go(func() {
			if e.repeats() {
				_, errs[2*i+1] = e.d.Create(e.ctx, r)
				return
			}
			_, errs[2*i+1] = e.d.List(e.ctx, r.Tags)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			e.Error(fmt.Errorf("call %d: %w", i, err))
		}
	}
	for _, r := range requests {
		e.settled(r, 1)
	}
}
