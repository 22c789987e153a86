package peers

import (
	"strings"
	"testing"
)

func TestRosterChangesOneServerAStep(t *testing.T) {
	tests := []struct {
		name string
		keep int
		want string
	}{
		{"in and out", 0, "+s1 -s1 +s2 -s2 +s3 -s3 +s1 -s1"},
		{"a window that moves", 1, "+s1 +s2 -s1 +s3 -s2 +s1 -s3 +s2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := roster{fixed: []string{"f1", "f2"}, spares: []string{"s1", "s2", "s3"}, keep: tt.keep}
			var steps []string
			have := []string{"f1", "f2"}
			for range 8 {
				c := r.step()
				switch {
				case c.added != "":
					steps = append(steps, "+"+c.added)
					have = append(have, c.added)
				default:
					steps = append(steps, "-"+c.removed)
					have = append(have[:2:2], have[3:]...) // the oldest spare
				}
				if got := strings.Join(c.servers, " "); got != strings.Join(have, " ") {
					t.Errorf("servers %s, want %s", got, strings.Join(have, " "))
				}
			}
			if got := strings.Join(steps, " "); got != tt.want {
				t.Errorf("steps %s\nwant  %s", got, tt.want)
			}
		})
	}
}
