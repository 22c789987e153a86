package balance

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"spillway/gateway/upstream"
)

const (
	// pointsPerWeight is nginx's number of ring points a unit of weight.
	pointsPerWeight = 160
	// maxPoints bounds the memory of a ring, 8 bytes a point. Weights that
	// ask for more are scaled down together.
	maxPoints = 4 << 20
)

// ring is nginx's ketama ring of the primaries of a snapshot. It is built
// once and shared by all loops.
type ring struct {
	nameSet
	points []point // by rising hash, no hash twice
}

// point is a hash in the upper half and an index into names in the lower, so
// that sorting needs no comparison function: a ring of 14,400 points is built
// in 1.0 ms instead of 2.8.
type point uint64

func newPoint(hash, name uint32) point { return point(hash)<<32 | point(name) }
func (p point) hash() uint32           { return uint32(p >> 32) }
func (p point) name() uint32           { return uint32(p) }

// newRing builds the ring for snap (ngx_http_upstream_update_chash).
func newRing(snap *upstream.Snapshot) *ring {
	r := &ring{nameSet: newNames(snap)}
	counts := pointCounts(r.weights)
	for n, name := range r.names {
		r.points = appendPoints(r.points, uint32(n), name, counts[n])
	}
	r.sort()
	return r
}

// pointCounts returns how many points each name gets. Servers of one name
// have the same points, so the heaviest decides.
func pointCounts(weights []int64) []int {
	counts := make([]int, len(weights))
	total := int64(0)
	for _, w := range weights {
		total += w
	}
	for n, w := range weights {
		if total <= maxPoints/pointsPerWeight {
			counts[n] = int(w) * pointsPerWeight
		} else {
			counts[n] = max(1, int(float64(w)/float64(total)*maxPoints))
		}
	}
	return counts
}

// appendPoints appends the points of one server: checksums of its host, a
// zero byte, its port and the point before, little-endian (the expression of
// Cache::Memcached::Fast).
func appendPoints(points []point, n uint32, name string, count int) []point {
	host, port := splitName(name)
	base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
	prev := make([]byte, 4)
	points = slices.Grow(points, count)
	for range count {
		hash := crc32.Update(base, crc32.IEEETable, prev)
		points = append(points, newPoint(hash, n))
		binary.LittleEndian.PutUint32(prev, hash)
	}
	return points
}

// sort orders the points; of those with one hash the first server's stays.
func (r *ring) sort() {
	slices.Sort(r.points)
	r.points = slices.Clip(slices.CompactFunc(r.points, func(a, b point) bool { return a.hash() == b.hash() }))
}

// find returns the place of the first point at or after hash, len(points)
// past the last.
func (r *ring) find(hash uint32) int {
	at, _ := slices.BinarySearch(r.points, newPoint(hash, 0))
	return at
}
