package configs

import "strings"

// nearest returns the name most like word, "" if none is like it. At most a
// third of the letters, and two for short words, may differ, unless one is the
// beginning of the other.
func nearest(word string, names []string) string {
	best, bestDist := "", max(2, len(word)/3)+1
	if len(word) > 64 {
		return ""
	}
	for _, n := range names {
		if len(n) > 64 {
			continue
		}
		d := likeness(strings.ToLower(word), strings.ToLower(n))
		if d < bestDist && d < len(n) {
			best, bestDist = n, d
		}
	}
	return best
}

// likeness is the distance, at most 2 if one is the beginning of the other.
func likeness(a, b string) int {
	d := distance(a, b)
	if min(len(a), len(b)) >= 3 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
		return min(d, 2)
	}
	return d
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	older, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], older[j-2]+1)
			}
		}
		older, prev, cur = prev, cur, older
	}
	return prev[len(b)]
}
