package placement

import (
	"fmt"
	"slices"
	"strings"
)

// Filters, in the order in which they are asked: what refuses an ask
// altogether, then the cheapest first. A host counts for the first that
// refuses it.
const (
	FilterAsk    = "ask"    // the ask itself is wrong
	FilterState  = "state"  // ready, with a fresh heartbeat
	FilterLabels = "labels" // idc, provider and others
	FilterPort   = "port"
	FilterMemory = "memory"
	FilterCPU    = "cpu"
	FilterSlots  = "slots" // containers in all, or of one app
	FilterArch   = "arch"
	FilterPPS    = "pps"  // packets a second
	FilterLink   = "link" // to the private site
)

// filter is an index into filterNames.
type filter uint8

const (
	fits filter = iota
	byState
	byLabels
	byPort
	byMemory
	byCPU
	bySlots
	byArch
	byPPS
	byLink
	filters // how many there are
)

func (f filter) String() string {
	return [filters]string{
		"", FilterState, FilterLabels, FilterPort, FilterMemory, FilterCPU, FilterSlots, FilterArch, FilterPPS, FilterLink,
	}[f]
}

// verdict is what a family is to the shape being placed.
type verdict struct {
	early filter // state or labels refuse all of it
	arch  bool   // it is of another architecture
	lane  int32
	fills int64 // weighted: what the ask adds to the fit
}

// closed reports whether no host of the family can take the shape.
func (b *batch) closed(s *shape, f int32) bool {
	v := &b.verdicts[f]
	return v.early != fits || v.arch || b.lineLeft(f) < s.link
}

func (w *world) lineLeft(f int32) int64 {
	if line := w.families[f].line; line >= 0 {
		return w.lines[line]
	}
	return most
}

// judge answers the filters that look at the family alone.
func (f *family) judge(s *shape) verdict {
	v := verdict{arch: s.ask.Arch != "" && f.arch != "" && s.ask.Arch != f.arch}
	switch {
	case !f.ready:
		v.early = byState
	case !f.labelled(s):
		v.early = byLabels
	}
	return v
}

func (f *family) labelled(s *shape) bool {
	for _, d := range s.demands {
		if !f.has[d.label] || !oneOf(f.values[d.label], d.values) {
			return false
		}
	}
	return true
}

func oneOf(value string, wanted []string) bool {
	return slices.Contains(wanted, value) || slices.Contains(wanted, "*")
}

// refusal is the first filter that refuses the shape on a host.
func (b *batch) refusal(s *shape, i int32) filter {
	n := &b.nodes[i]
	v := &b.verdicts[n.family]
	switch {
	case v.early != fits:
		return v.early
	case len(s.fixed)+s.chosen > 0 && !n.hasPorts(s):
		return byPort
	case s.mem > n.mem:
		return byMemory
	case s.cpu > n.cpu:
		return byCPU
	case n.slots < 1 || s.ask.MaxPerHost > 0 && b.here[i] >= int64(s.ask.MaxPerHost):
		return bySlots
	case v.arch:
		return byArch
	case s.pps > n.pps:
		return byPPS
	case s.link > min(n.link, b.lineLeft(n.family)):
		return byLink
	}
	return fits
}

// explain says in words why a filter refuses the shape on a host.
func (b *batch) explain(s *shape, i int32, by filter) string {
	n, a := &b.nodes[i], s.ask
	h := n.host
	switch by {
	case byState:
		return orElse(h.Why, "not ready")
	case byLabels:
		return labelReason(h, a)
	case byPort:
		return n.portReason(s)
	case byMemory:
		return fmt.Sprintf("wants %s, %s of %s left: short by %s", size(s.mem), size(n.mem), size(h.Memory), size(s.mem-n.mem))
	case byCPU:
		return fmt.Sprintf("wants %v cores, %v of %v left", a.CPU, float64(n.cpu)/microsPerCore, h.CPU)
	case bySlots:
		if n.slots < 1 {
			return fmt.Sprintf("has all of its %d containers", h.Slots)
		}
		return fmt.Sprintf("has %d of at most %d containers of %s", b.here[i], a.MaxPerHost, a.App)
	case byArch:
		return fmt.Sprintf("is %s, wants %s", h.Arch, a.Arch)
	case byPPS:
		return fmt.Sprintf("wants %d packets a second, %d of %d left", a.PPS, n.pps, h.MaxPPS)
	case byLink:
		left := float64(min(n.link, b.lineLeft(n.family))) / bitsPerMbit
		return fmt.Sprintf("wants %v Mbit/s, %v left on line %s", a.Link, left, orElse(h.Line, "of its own"))
	}
	return ""
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// labelReason names the first label, by name, that does not suit.
func labelReason(h *Host, a *Ask) string {
	for _, label := range sortedLabels(a) {
		wanted := a.Labels[label]
		value, has := h.Labels[label]
		switch {
		case !has:
			return "has no label " + label
		case !oneOf(value, wanted):
			return fmt.Sprintf("%s is %s, wants %s", label, value, strings.Join(wanted, " or "))
		}
	}
	return ""
}

// size is bytes for people.
func size(bytes int64) string {
	units := [...]string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v, u := float64(bytes), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[u]
}
