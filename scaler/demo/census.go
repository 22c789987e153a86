package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/docker"
)

// census is what there is at one instant, and what the ledger says there is.
type census struct {
	machines   map[string]cloud.Machine // rented ones, by the cloud's id
	containers map[string]container     // by the engine's id
	records    *records
}

// container of the app, on an engine that answered.
type container struct {
	name, instance, machine string
}

// engineLimit is how long an engine may take to list its containers.
const engineLimit = 3 * time.Second

// census looks at the cloud, at every engine that answers, and at the ledger.
func (c *crasher) census(ctx context.Context) (*census, error) {
	s := &census{machines: map[string]cloud.Machine{}, containers: map[string]container{}}
	all, err := c.rented.List(ctx, map[string]string{cloud.TagCluster: cluster})
	if err != nil {
		return nil, err
	}
	engines := docker.New(docker.Options{Call: engineLimit})
	defer engines.Close()
	s.look(ctx, engines, c.engine())
	for _, m := range all {
		s.machines[m.ID] = m
		s.look(ctx, engines, docker.Engine{ID: m.ID, Host: "unix://" + c.rented.Socket(m.ID)})
	}
	// Last: what was there by now was written down before it was made.
	s.records, err = c.ledger(ctx)
	return s, err
}

// look adds the containers of an engine. One that does not answer yet has none:
// a machine boots before anything is put on it.
func (s *census) look(ctx context.Context, engines *docker.Engines, e docker.Engine) {
	all, err := engines.List(ctx, e, cluster)
	if err != nil {
		return
	}
	for _, c := range all {
		s.containers[c.ID] = container{name: c.Name, instance: c.Labels[docker.LabelInstance], machine: e.ID}
	}
}

// faults are orphans, which the ledger does not know, and doubles: more than
// what was asked for.
func (s *census) faults(servers int) []string {
	all := append(s.orphans(), s.doubles(servers)...)
	slices.Sort(all)
	return all
}

func (s *census) orphans() (all []string) {
	known := map[string]bool{}
	for _, m := range s.records.machines {
		known[m.CloudID] = true
	}
	for id, m := range s.machines {
		_, ordered := s.records.orders[m.Tags[cloud.TagOrder]]
		if !known[id] && !ordered {
			all = append(all, "orphan: machine "+m.Name)
		}
	}
	for _, c := range s.containers {
		if _, ok := s.records.instances[c.instance]; !ok {
			all = append(all, "orphan: container "+c.name)
		}
	}
	return all
}

func (s *census) doubles(servers int) (all []string) {
	made, runs := map[string]int{}, map[string]int{}
	for _, m := range s.machines {
		made[m.Tags[cloud.TagOrder]]++
	}
	for order, n := range made {
		if o, ok := s.records.orders[order]; ok && n > len(o.Slots) {
			all = append(all, fmt.Sprintf("double: %d machines of order %s for %d", n, order, len(o.Slots)))
		}
	}
	for _, c := range s.containers {
		runs[c.instance]++
	}
	for instance, n := range runs {
		if n > 1 {
			all = append(all, fmt.Sprintf("double: instance %s runs %d times", instance, n))
		}
	}
	if len(s.machines) >= servers || len(s.containers) > servers {
		all = append(all, fmt.Sprintf("double: %d rented machines and %d containers for %d servers", len(s.machines), len(s.containers), servers))
	}
	return all
}

// missing names what was there and is not any more.
func (s *census) missing(now *census) (lost []string) {
	for _, id := range slices.Sorted(maps.Keys(s.machines)) {
		if _, ok := now.machines[id]; !ok {
			lost = append(lost, "machine "+s.machines[id].Name)
		}
	}
	for id, c := range s.containers {
		if _, ok := now.containers[id]; !ok {
			lost = append(lost, "container "+c.name)
		}
	}
	return lost
}
