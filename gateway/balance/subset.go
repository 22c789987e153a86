package balance

import (
	"cmp"
	"slices"

	"spillway/gateway/upstream"
)

// subsetting is deterministic subsetting, after "Site Reliability Engineering"
// (Beyer et al., 2016), chapter 20: many gateways, each with connections to
// each of many servers, are too many connections; so each uses size servers.
// Gateways are numbered. Those whose numbers are in one round share one
// shuffle of the servers, and take one piece of it each, so that every server
// is in as many subsets as any other, give or take one: chance alone, with
// twenty of three hundred, leaves some with half of the mean and some with
// twice as much.
//
// The shuffle orders servers by a hash of their names, not by their places in
// the list: one that comes or goes moves the edges of the pieces by one. Only
// when the number of pieces changes, gateways get other pieces.
type subsetting struct {
	size    int // 0 is no subset
	gateway uint64
}

// pick reports for each of the primaries whether it is in the subset. Down
// ones are not, and do not count.
func (s subsetting) pick(primaries []peer) []bool {
	in := make([]bool, len(primaries))
	var up []int
	for i := range primaries {
		if !primaries[i].entry.Spec.Down {
			up = append(up, i)
		}
	}
	if s.size >= len(up) {
		for _, i := range up {
			in[i] = true
		}
		return in
	}
	pieces := uint64(len(up) / s.size)
	round, piece := s.gateway/pieces, int(s.gateway%pieces)
	for _, i := range shuffle(primaries, up, round)[piece*s.size : (piece+1)*s.size] {
		in[i] = true
	}
	return in
}

// shuffle orders places in peers by hashes that are others in each round.
func shuffle(peers []peer, places []int, round uint64) []int {
	type card struct {
		hash  uint64
		name  string
		place int
	}
	seed := mix(round)
	deck := make([]card, len(places))
	for n, i := range places {
		name := peers[i].entry.Addr
		deck[n] = card{mix(hash64([]byte(name)) ^ seed), name, i}
	}
	slices.SortFunc(deck, func(a, b card) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.name, b.name))
	})
	for n := range deck {
		places[n] = deck[n].place
	}
	return places
}

// split parts primaries into the subset and the others, which get requests
// while nobody of the subset can be picked.
func (s subsetting) split(primaries []peer) (subset, others []peer) {
	if s.size <= 0 {
		return primaries, nil
	}
	for i, in := range s.pick(primaries) {
		if in {
			subset = append(subset, primaries[i])
		} else {
			others = append(others, primaries[i])
		}
	}
	return subset, others
}

// subsetOf is the subsetting of a policy. Those that choose by key have none:
// the same key would go elsewhere through each gateway.
func subsetOf(policy string, t upstream.Tuning) subsetting {
	if Keyed(policy) {
		return subsetting{}
	}
	return subsetting{size: t.Subset, gateway: t.Gateway}
}

// SubsetNumber is a number for a gateway that was given none: it is far from
// those of other names, so that its subset is as good as drawn by lot.
func SubsetNumber(name string) uint64 { return hash64([]byte(name)) }
