package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Stats is what a container has used, as of At. Times and bytes of the network
// count from the container's start: the difference of two Stats is a rate.
type Stats struct {
	At time.Time
	// CPU is the time used on all cores; Throttled how long it was held back
	// by its limit.
	CPU, Throttled time.Duration
	// Memory in use, caches that can be dropped left out, and its limit;
	// bytes.
	Memory, MemoryLimit int64
	PIDs                int
	// Received and Sent over all networks; bytes. 0 on the network host.
	Received, Sent int64
}

// Stats reads a container's counters once.
func (x *Engines) Stats(ctx context.Context, e Engine, name string) (Stats, error) {
	l := x.lane(e)
	var out Stats
	err := l.short(ctx, fmt.Sprintf("read stats of container %q", name), func(ctx context.Context, api *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, x.opts.Call)
		defer cancel()
		answer, err := api.ContainerStatsOneShot(ctx, name)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		out, err = readStats(answer.Body)
		return err
	})
	return out, err
}

func readStats(r io.Reader) (Stats, error) {
	var s container.StatsResponse
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return Stats{}, fmt.Errorf("cannot read the engine's stats: %w", err)
	}
	out := Stats{
		At:          s.Read,
		CPU:         time.Duration(s.CPUStats.CPUUsage.TotalUsage),
		Throttled:   time.Duration(s.CPUStats.ThrottlingData.ThrottledTime),
		Memory:      int64(s.MemoryStats.Usage - inactive(s.MemoryStats)),
		MemoryLimit: int64(s.MemoryStats.Limit),
		PIDs:        int(s.PidsStats.Current),
	}
	for _, n := range s.Networks {
		out.Received += int64(n.RxBytes)
		out.Sent += int64(n.TxBytes)
	}
	return out, nil
}

// inactive is the page cache that the kernel would give up first, under the
// name it has in cgroup v1 and in v2. `docker stats` leaves it out too.
func inactive(m container.MemoryStats) uint64 {
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if n, ok := m.Stats[name]; ok && n < m.Usage {
			return n
		}
	}
	return 0
}
