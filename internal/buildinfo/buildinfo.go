// Package buildinfo says which build of Spillway is running: version, commit,
// date, Go release and platform.
//
// The Makefile sets the three variables below with -ldflags. A binary built in
// another way (go install, go test, go run) falls back to what the Go toolchain
// recorded (runtime/debug.ReadBuildInfo), and to "unknown" where that is silent.
//
// It owns no state but those variables, which nothing writes after linking, and
// starts no goroutine.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set at link time: -ldflags "-X spillway/internal/buildinfo.version=...".
var (
	version string
	commit  string
	date    string
)

const unknown = "unknown"

// Info describes one build. No field is empty: what is not known reads
// "unknown", a version that is not known reads "devel".
type Info struct {
	Version  string `json:"version"`  // tag or git describe, "devel" outside a release
	Commit   string `json:"commit"`   // git revision, "-dirty" appended for a changed tree
	Date     string `json:"date"`     // of the commit, RFC 3339
	Go       string `json:"go"`       // toolchain that compiled it, "go1.26.7"
	Platform string `json:"platform"` // "linux/amd64"
}

// Get returns the description of the running binary.
func Get() Info {
	linked := Info{Version: version, Commit: commit, Date: date}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return resolve(linked, build)
}

// String is the line that `spillway version` prints.
func (i Info) String() string {
	return fmt.Sprintf("spillway %s (commit %s, %s, %s, %s)", i.Version, i.Commit, i.Date, i.Go, i.Platform)
}

// resolve completes what the linker set with what the toolchain recorded.
func resolve(linked Info, build *debug.BuildInfo) Info {
	revision, when := revisionOf(build)
	return Info{
		Version:  firstOf(linked.Version, moduleVersion(build), "devel"),
		Commit:   firstOf(linked.Commit, revision, unknown),
		Date:     firstOf(linked.Date, when, unknown),
		Go:       firstOf(build.GoVersion, runtime.Version()),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// moduleVersion is set when the binary was installed as module@version; the
// toolchain writes "(devel)" otherwise, which says nothing.
func moduleVersion(build *debug.BuildInfo) string {
	if build.Main.Version == "(devel)" {
		return ""
	}
	return build.Main.Version
}

func revisionOf(build *debug.BuildInfo) (revision, when string) {
	dirty := false
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.time":
			when = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && revision != "" {
		revision += "-dirty"
	}
	return revision, when
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
