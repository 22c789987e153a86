package docker

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

// List implements Runtime.
func (x *Engines) List(ctx context.Context, e Engine, cluster string) ([]Container, error) {
	l := x.lane(e)
	var all []Container
	err := l.short(ctx, "list containers", func(ctx context.Context, api *client.Client) error {
		found, err := within(ctx, x.opts.Call, func(ctx context.Context) ([]container.Summary, error) {
			return api.ContainerList(ctx, container.ListOptions{
				All: true, Filters: filters.NewArgs(filters.Arg("label", LabelCluster+"="+cluster)),
			})
		})
		for _, c := range found {
			all = append(all, summaryOf(c))
		}
		return err
	})
	slices.SortFunc(all, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

func containerOf(c container.InspectResponse) Container {
	started, _ := time.Parse(time.RFC3339Nano, c.State.StartedAt)
	return Container{
		ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Image: c.Config.Image,
		Running: c.State.Running && !c.State.Paused && !c.State.Restarting, ExitCode: c.State.ExitCode,
		Hash: c.Config.Labels[LabelHash], Labels: c.Config.Labels, Started: started,
	}
}

func summaryOf(c container.Summary) Container {
	out := Container{
		ID: c.ID, Image: c.Image, Running: c.State == container.StateRunning, ExitCode: exitCode(c.Status),
		Hash: c.Labels[LabelHash], Labels: c.Labels,
	}
	if len(c.Names) > 0 {
		out.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	return out
}

// exitCode reads "Exited (137) 2 minutes ago" and "Restarting (1) ...": a list
// has the code nowhere else. Other texts are 0.
func exitCode(status string) int {
	_, rest, ok := strings.Cut(status, "(")
	text, _, closed := strings.Cut(rest, ")")
	n, err := strconv.Atoi(text)
	if !ok || !closed || err != nil {
		return 0
	}
	return n
}

// Ping implements Runtime: the engine answers.
func (x *Engines) Ping(ctx context.Context, e Engine) error {
	l := x.lane(e)
	return l.short(ctx, "ping", func(ctx context.Context, api *client.Client) error {
		_, err := within(ctx, x.opts.Ping, func(ctx context.Context) (any, error) { return api.Ping(ctx) })
		return err
	})
}

// Info is what an engine says of itself and its machine. On a machine that is
// a part of another one, CPUs and Memory may be those of the whole.
type Info struct {
	ID, Name        string
	Version, API    string // of the engine, and the API version in use
	OS, Arch        string
	Kernel          string
	Storage, Cgroup string // storage driver; cgroup version, "1" or "2"
	CPUs            int
	Memory          int64 // bytes
	Containers      int   // running
	Images          int
	Labels          map[string]string
	Warnings        []string
}

// Info asks an engine about itself.
func (x *Engines) Info(ctx context.Context, e Engine) (Info, error) {
	l := x.lane(e)
	var out Info
	err := l.short(ctx, "get info", func(ctx context.Context, api *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, x.opts.Call)
		defer cancel()
		i, err := api.Info(ctx)
		if err != nil {
			return err
		}
		out = Info{
			ID: i.ID, Name: i.Name, Version: i.ServerVersion, API: api.ClientVersion(), OS: i.OperatingSystem,
			Arch: i.Architecture, Kernel: i.KernelVersion, Storage: i.Driver, Cgroup: i.CgroupVersion, CPUs: i.NCPU,
			Memory: i.MemTotal, Containers: i.ContainersRunning, Images: i.Images, Labels: labelsOf(i.Labels), Warnings: i.Warnings,
		}
		return nil
	})
	return out, err
}

// labelsOf splits "key=value"; of equal keys the last counts, as it does for
// the engine's own filters.
func labelsOf(list []string) map[string]string {
	labels := make(map[string]string, len(list))
	for _, kv := range list {
		key, value, _ := strings.Cut(kv, "=")
		labels[key] = value
	}
	return labels
}
