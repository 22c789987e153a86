package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twin is a store with what its documents' indexes were.
type twin struct {
	world
	index map[string][]uint64 // of each key, oldest first; 0: removed
}

// commit writes what a plan says: each key with the index it had some writes
// ago (0: the last). It returns the class of the answer.
func (w *twin) commit(t *testing.T, fence Fence, plan []planned) string {
	var ops []Op
	for _, p := range plan {
		op := Op{Key: p.key, Value: []byte(p.value), Delete: p.remove}
		if had := w.index[p.key]; p.back < len(had) {
			op.Index = had[len(had)-1-p.back]
		}
		ops = append(ops, op)
	}
	indexes, err := w.Commit(t.Context(), fence, ops)
	switch {
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case err != nil:
		t.Fatal(err)
	}
	for n, op := range ops {
		w.index[op.Key] = append(w.index[op.Key], indexes[n])
	}
	return "done"
}

type planned struct {
	key, value string
	back       int
	remove     bool
}

func plan(d *rand.Rand) (all []planned) {
	for _, key := range d.Perm(4)[:1+d.IntN(3)] {
		p := planned{key: fmt.Sprint("k", key), value: fmt.Sprint(d.IntN(3)), remove: d.IntN(4) == 0}
		if d.IntN(4) == 0 {
			p.back = 1 + d.IntN(2)
		}
		all = append(all, p)
	}
	return all
}

// Tests of the scaler run on Memory, and what they prove shall hold on Consul.
func TestMemoryAnswersAsConsulDoes(t *testing.T) {
	var twins []*twin
	stores(t, func(t *testing.T, w world) { twins = append(twins, &twin{world: w, index: map[string][]uint64{}}) })
	d := rand.New(rand.NewPCG(7, 8))
	seen := map[string]int{}
	for n := range 250 {
		p := plan(d)
		former := d.IntN(12) == 0
		var answers []string
		var documents []map[string]string
		for _, w := range twins {
			fence := w.fence
			if former {
				fence = w.past
			}
			answers = append(answers, w.commit(t, fence, p))
			documents = append(documents, w.documents(t))
		}
		if diff := cmp.Diff(documents[0], documents[1]); diff != "" || answers[0] != answers[1] {
			t.Fatalf("%d, %+v: memory %s, Consul %s; documents:\n%s", n, p, answers[0], answers[1], diff)
		}
		seen[answers[0]]++
	}
	if len(seen) != 3 {
		t.Errorf("answers %v", seen)
	}
}
