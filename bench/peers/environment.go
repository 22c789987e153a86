package peers

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"spillway/bench/report"
)

// Environment is where and with what the figures were taken. Figures of two
// reports compare only if these do.
type Environment struct {
	Time        time.Time         `json:"time"`
	CPU         string            `json:"cpu"`
	Processors  int               `json:"processors"`
	ProxyCPU    int               `json:"proxy_cpu"`
	ClientCPU   int               `json:"client_cpu"`
	Governor    string            `json:"governor"` // "unknown" in most virtual machines
	Kernel      string            `json:"kernel"`
	LoadAverage string            `json:"load_average"` // before the run: others' work
	Go          string            `json:"go"`
	Versions    map[string]string `json:"versions"`
	Configs     map[string]string `json:"config_sha256"` // of the templates, shortened
}

func describe(ctx context.Context, l *lab, chosen []definition) Environment {
	machine := report.DescribeOn(l.proxyCPU)
	e := Environment{
		Time:        time.Now().UTC().Truncate(time.Second),
		CPU:         machine.CPU,
		Processors:  machine.Processors,
		ProxyCPU:    l.proxyCPU,
		ClientCPU:   l.clientCPU,
		Governor:    machine.Governor,
		Kernel:      machine.Kernel,
		LoadAverage: machine.LoadAverage,
		Go:          machine.Go,
		Versions:    map[string]string{"bench": machine.Version, "wrk": programOutput(ctx, "wrk", "-v")},
		Configs:     map[string]string{},
	}
	for _, d := range chosen {
		if d.template == "" {
			continue
		}
		e.Configs[d.name] = d.hash()
		e.Versions[d.name] = programOutput(ctx, d.program, versionFlag(d.program))
	}
	return e
}

func versionFlag(program string) string {
	if name := filepath.Base(program); name == "nginx" || name == "haproxy" {
		return "-v"
	}
	return "version"
}

func (e *Environment) text() string {
	var b strings.Builder
	where := fmt.Sprintf("proxy on processor %d, generator and backend on %d", e.ProxyCPU, e.ClientCPU)
	if e.ProxyCPU == e.ClientCPU {
		where = fmt.Sprintf("proxy, generator and backend share processor %d: rates are no measure", e.ProxyCPU)
	}
	fmt.Fprintf(&b, "%s, %d processors, Linux %s, governor %s, load average %s\n%s\n",
		e.CPU, e.Processors, e.Kernel, e.Governor, e.LoadAverage, where)
	for _, name := range slices.Sorted(maps.Keys(e.Versions)) {
		fmt.Fprintf(&b, "  %s: %s", name, e.Versions[name])
		if hash := e.Configs[name]; hash != "" {
			fmt.Fprintf(&b, " (configuration %s)", hash)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
