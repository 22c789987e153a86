package buildinfo

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolvePrefersWhatTheLinkerSet(t *testing.T) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc123"},
		{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
	}
	changed := append([]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, vcs...)
	tests := []struct {
		name   string
		linked Info
		build  debug.BuildInfo
		want   Info
	}{
		{
			name:   "linked values win",
			linked: Info{Version: "v1.2.3", Commit: "fff", Date: "2026-05-06T00:00:00Z"},
			build:  debug.BuildInfo{GoVersion: "go1.26.7", Settings: vcs},
			want:   Info{Version: "v1.2.3", Commit: "fff", Date: "2026-05-06T00:00:00Z", Go: "go1.26.7", Platform: platform},
		},
		{
			name:  "toolchain record fills the gaps",
			build: debug.BuildInfo{GoVersion: "go1.26.7", Main: debug.Module{Version: "v0.9.0"}, Settings: vcs},
			want:  Info{Version: "v0.9.0", Commit: "abc123", Date: "2026-01-02T03:04:05Z", Go: "go1.26.7", Platform: platform},
		},
		{
			name:  "a changed tree is said",
			build: debug.BuildInfo{GoVersion: "go1.26.7", Main: debug.Module{Version: "(devel)"}, Settings: changed},
			want:  Info{Version: "devel", Commit: "abc123-dirty", Date: "2026-01-02T03:04:05Z", Go: "go1.26.7", Platform: platform},
		},
		{
			name: "nothing known",
			want: Info{Version: "devel", Commit: "unknown", Date: "unknown", Go: runtime.Version(), Platform: platform},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, resolve(tt.linked, &tt.build)); diff != "" {
				t.Errorf("resolve (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGetLeavesNoFieldEmpty(t *testing.T) {
	v := reflect.ValueOf(Get())
	for i := range v.NumField() {
		if v.Field(i).String() == "" {
			t.Errorf("field %s is empty", v.Type().Field(i).Name)
		}
	}
}
