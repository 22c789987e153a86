package placement

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// shape is what asks have in common that are alike but for their ID.
type shape struct {
	ask  *Ask   // one of them
	key  string // all of what is in common
	asks []int  // indexes, by ID

	cpu, mem, pps, link int64
	mode                int
	fixed               []int // host ports wanted by number
	chosen              int   // host ports wanted, any
	tie                 uint64
	demands             []demand // its labels

	app, image int   // in world.apps and world.images; image -1: none
	saving     int64 // score of a host that has the image
	size       [orders]int64
}

// demand is the values that one label may have.
type demand struct {
	label  int // in world.labels
	values []string
}

// demandsOn lists what a shape asks of labels, in their order.
func (s *shape) demandsOn(labels []string) (demands []demand) {
	for i, label := range labels {
		if values, named := s.ask.Labels[label]; named {
			demands = append(demands, demand{i, values})
		}
	}
	return demands
}

// group sorts asks into shapes. What cannot be an ask is told in refused, by
// index.
func group(asks []Ask) (shapes []*shape, refused map[int]string) {
	refused = map[int]string{}
	seen := make(map[string]bool, len(asks))
	byKey := map[string]*shape{}
	var key []byte
	var last *shape
	for i := range asks {
		a := &asks[i]
		if why := mistake(a, seen); why != "" {
			refused[i] = why
			continue
		}
		seen[a.ID] = true
		// Replicas stand side by side: most asks have the shape of the last.
		if last == nil || !alike(a, last.ask) {
			key = appendKey(key[:0], a)
			if last = byKey[string(key)]; last == nil {
				last = newShape(a, string(key))
				byKey[last.key] = last
				shapes = append(shapes, last)
			}
		}
		last.asks = append(last.asks, i)
	}
	for _, s := range shapes {
		slices.SortFunc(s.asks, func(i, j int) int { return strings.Compare(asks[i].ID, asks[j].ID) })
	}
	return shapes, refused
}

func newShape(a *Ask, key string) *shape {
	s := &shape{
		ask: a, key: key, tie: hash(a.App), image: -1,
		cpu: micros(a.CPU), mem: amount(a.Memory), pps: amount(int64(a.PPS)), link: micros(a.Link),
		mode: spread,
	}
	if a.Pack {
		s.mode = pack
	}
	for _, p := range a.hostPorts() {
		if p.Host == 0 {
			s.chosen++
		} else {
			s.fixed = append(s.fixed, p.Host)
		}
	}
	return s
}

// hostPorts returns the ports of the host that an ask takes.
func (a *Ask) hostPorts() []Port {
	switch a.Network {
	case "none":
		return nil
	case "host":
		own := make([]Port, len(a.Ports))
		for i, p := range a.Ports {
			own[i] = Port{Container: p.Container, Host: p.Container}
		}
		return own
	}
	return a.Ports
}

// mistake says what is wrong with an ask that no host could mend.
func mistake(a *Ask, seen map[string]bool) string {
	switch {
	case a.ID == "":
		return "it has no id"
	case seen[a.ID]:
		return "its id is not unique"
	case math.IsNaN(a.CPU) || a.CPU < 0 || math.IsNaN(a.Link) || a.Link < 0:
		return fmt.Sprintf("%v cores and %v Mbit/s: neither may be below 0", a.CPU, a.Link)
	case a.Memory < 0 || a.PPS < 0:
		return fmt.Sprintf("%d bytes and %d packets a second: neither may be below 0", a.Memory, a.PPS)
	case a.CPU > most/microsPerCore || a.Link > most/bitsPerMbit || a.Memory > most || int64(a.PPS) > most:
		return "it wants more than any host has"
	}
	return wrongPort(a)
}

func wrongPort(a *Ask) string {
	var inside, outside [8]int // no ask has more in practice, and then nothing is allocated
	in, out := inside[:0], outside[:0]
	for _, p := range a.Ports {
		host := p.Host
		if a.Network == "host" {
			if host != 0 && host != p.Container {
				return fmt.Sprintf("port %d cannot be %d on the host's own network", p.Container, host)
			}
			host = p.Container
		}
		switch {
		case p.Container < 1 || p.Container > 65535 || host < 0 || host > 65535:
			return fmt.Sprintf("port %d:%d is no port", host, p.Container)
		case slices.Contains(in, p.Container):
			return fmt.Sprintf("container port %d is wanted twice", p.Container)
		case host != 0 && slices.Contains(out, host):
			return fmt.Sprintf("host port %d is wanted twice", host)
		}
		in, out = append(in, p.Container), append(out, host)
	}
	return ""
}

// alike reports whether two asks differ in nothing but their ID.
func alike(a, b *Ask) bool {
	return a.App == b.App && a.CPU == b.CPU && a.Memory == b.Memory && a.PPS == b.PPS && a.Link == b.Link &&
		a.Arch == b.Arch && a.Image == b.Image && a.ImageBytes == b.ImageBytes && a.MaxPerHost == b.MaxPerHost &&
		a.SpreadBy == b.SpreadBy && a.Pack == b.Pack && a.Network == b.Network &&
		slices.Equal(a.Ports, b.Ports) && maps.EqualFunc(a.Labels, b.Labels, slices.Equal[[]string])
}

// appendKey writes all but the ID; equal keys are equal shapes.
func appendKey(key []byte, a *Ask) []byte {
	for _, text := range [...]string{a.App, a.Arch, a.Image, a.SpreadBy, a.Network} {
		key = appendText(key, text)
	}
	for _, n := range [...]int64{micros(a.CPU), a.Memory, int64(a.PPS), micros(a.Link), a.ImageBytes, int64(a.MaxPerHost)} {
		key = append(strconv.AppendInt(key, n, 10), ' ')
	}
	key = append(strconv.AppendBool(key, a.Pack), ' ')
	for _, p := range a.Ports {
		key = append(strconv.AppendInt(key, int64(p.Container), 10), ':')
		key = append(strconv.AppendInt(key, int64(p.Host), 10), ' ')
	}
	if len(a.Labels) == 0 {
		return key
	}
	for _, label := range slices.Sorted(maps.Keys(a.Labels)) {
		key = append(appendText(key, label), '=')
		for _, value := range a.Labels[label] {
			key = appendText(key, value)
		}
	}
	return key
}

// appendText writes a string so that no other sequence of strings gives the
// same bytes.
func appendText(key []byte, text string) []byte {
	key = append(strconv.AppendInt(key, int64(len(text)), 10), ':')
	return append(append(key, text...), ' ')
}
