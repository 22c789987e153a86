package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// Hash identifies a Spec: Ensure replaces a container whose label LabelHash
// differs. The label itself does not count.
func Hash(s Spec) string {
	s.Labels = maps.Clone(s.Labels)
	delete(s.Labels, LabelHash)
	if len(s.Labels) == 0 {
		s.Labels = nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: cannot encode a Spec: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// check finds what no engine would take, or would take for something else.
func (s *Spec) check() error {
	name := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	switch {
	case !name.MatchString(s.Name):
		return fmt.Errorf("%w: container name %q", ErrInvalid, s.Name)
	case s.Image == "":
		return fmt.Errorf("%w: container %q has no image", ErrInvalid, s.Name)
	case s.Network != "" && !name.MatchString(s.Network):
		return fmt.Errorf("%w: network %q", ErrInvalid, s.Network)
	case !(s.CPU >= 0) || math.IsInf(s.CPU, 0) || s.Memory < 0 || s.PIDs < 0 || s.Stop < 0:
		return fmt.Errorf("%w: container %q has a negative limit", ErrInvalid, s.Name)
	}
	for inside, outside := range s.Ports {
		if inside < 1 || inside > 65535 || outside < 1 || outside > 65535 {
			return fmt.Errorf("%w: container %q maps port %d to %d", ErrInvalid, s.Name, inside, outside)
		}
	}
	return nil
}

// named says whether the network is one that has to exist by its name.
func (s *Spec) named() bool {
	switch s.network() {
	case "bridge", "host", "none":
		return false
	}
	return true
}

func (s *Spec) network() string {
	if s.Network == "" {
		return "bridge"
	}
	return s.Network
}

// config and host are the Spec in the engine's words.
func (s *Spec) config() *container.Config {
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LabelHash] = Hash(*s)
	stop := wholeSeconds(s.Stop)
	exposed, _ := s.ports()
	return &container.Config{
		Image: s.Image, Cmd: s.Command, Env: s.Env, User: s.User,
		Labels: labels, StopTimeout: &stop, ExposedPorts: exposed,
	}
}

func (s *Spec) host(o *Options) *container.HostConfig {
	_, bindings := s.ports()
	h := &container.HostConfig{
		NetworkMode:    container.NetworkMode(s.network()),
		PortBindings:   bindings,
		ReadonlyRootfs: s.ReadOnly,
		CapDrop:        s.CapDrop,
		SecurityOpt:    []string{"no-new-privileges"},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{
			"max-size": o.LogSize, "max-file": strconv.Itoa(o.LogFiles),
		}},
		Resources: s.resources(),
	}
	if s.Restart {
		h.RestartPolicy.Name = container.RestartPolicyUnlessStopped
	}
	if s.ReadOnly {
		h.Tmpfs = map[string]string{"/tmp": "rw,noexec,nosuid,size=64m,mode=1777"}
	}
	return h
}

func (s *Spec) resources() container.Resources {
	pids := s.PIDs
	if pids == 0 {
		pids = DefaultPIDs
	}
	return container.Resources{
		NanoCPUs: int64(math.Round(s.CPU * 1e9)), Memory: s.Memory, PidsLimit: &pids,
		MemorySwap: s.Memory, // memory and swap together: no swap
	}
}

func (s *Spec) ports() (nat.PortSet, nat.PortMap) {
	if network := s.network(); len(s.Ports) == 0 || network == "host" || network == "none" {
		return nil, nil
	}
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for inside, outside := range s.Ports {
		p := nat.Port(strconv.Itoa(inside) + "/tcp")
		exposed[p] = struct{}{}
		bindings[p] = []nat.PortBinding{{HostIP: s.Address, HostPort: strconv.Itoa(outside)}}
	}
	return exposed, bindings
}

// wholeSeconds rounds up, since 0 would kill at once.
func wholeSeconds(d time.Duration) int {
	return int((max(d, 0) + time.Second - 1) / time.Second)
}
