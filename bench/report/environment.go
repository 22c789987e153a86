package report

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"spillway/internal/buildinfo"
)

// Environment is where and with what a measurement was taken. Figures of two
// reports compare only if these do.
type Environment struct {
	CPU         string `json:"cpu"`
	Processors  int    `json:"processors"` // that the generator may use
	Governor    string `json:"governor"`   // "unknown" in most virtual machines
	Kernel      string `json:"kernel"`
	LoadAverage string `json:"load_average"` // before the run: others' work
	Go          string `json:"go"`
	Version     string `json:"version"` // of the generator
	Host        string `json:"host"`
	// Configs are files that the run depends on, with the SHA-256 of their
	// content.
	Configs map[string]string `json:"config_sha256,omitempty"`
}

// Describe looks at this machine.
func Describe() Environment { return DescribeOn(0) }

// DescribeOn looks at this machine, and at one of its processors for what may
// differ between them.
func DescribeOn(processor int) Environment {
	host, _ := os.Hostname()
	return Environment{
		CPU:         cpuModel(),
		Processors:  runtime.NumCPU(),
		Governor:    firstLine(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", processor)),
		Kernel:      firstLine("/proc/sys/kernel/osrelease"),
		LoadAverage: firstLine("/proc/loadavg"),
		Go:          runtime.Version(),
		Version:     buildinfo.Get().String(),
		Host:        host,
	}
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// Differences names what is not the same in two environments.
func (e Environment) Differences(o Environment) []string {
	var names []string
	for _, pair := range [][3]string{
		{"CPU", e.CPU, o.CPU},
		{"kernel", e.Kernel, o.Kernel},
		{"governor", e.Governor, o.Governor},
		{"Go", e.Go, o.Go},
		{"host", e.Host, o.Host},
	} {
		if pair[1] != pair[2] {
			names = append(names, pair[0]+": "+pair[1]+" / "+pair[2])
		}
	}
	if e.Processors != o.Processors {
		names = append(names, "number of processors")
	}
	return names
}
