package placement

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the outcomes in testdata/*.txt anew")

// TestScenarios plans what the files in testdata say. In each, paragraphs of
// `host`, `ask`, `reserve` and `weights` lines end in a line `plan` or
// `explain ASK`, after which stands what came out of it. A paragraph adds to
// those above it. `host h[1-3] ...` is three hosts.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), string(got)); diff != "" {
				t.Errorf("(-file +now; go test ./scaler/placement -rewrite)\n%s", diff)
			}
		})
	}
}

// stage is what a scenario has said so far.
type stage struct {
	t        *testing.T
	planner  Default
	hosts    []Host
	asks     []Ask
	reserved *Reservations
	out      bytes.Buffer
}

func play(t *testing.T, text string) []byte {
	s := &stage{t: t, reserved: NewReservations(time.Minute)}
	answering := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if answering && len(words) > 0 && strings.HasPrefix(line, "  ") {
			continue // the old answer
		}
		answering = false
		s.out.WriteString(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		answering = s.line(words)
	}
	return s.out.Bytes()
}

// line carries out one line and reports whether it wrote an answer.
func (s *stage) line(words []string) bool {
	switch words[0] {
	case "host":
		for _, id := range several(words[1]) {
			s.hosts = append(s.hosts, s.host(id, words[2:]))
		}
	case "ask":
		for _, id := range several(words[1]) {
			s.asks = append(s.asks, s.ask(id, words[2:]))
		}
	case "pack-weights":
		w := PackWeights()
		s.weigh(&w, words[1:])
		s.planner.Pack = &w
	case "forget":
		s.hosts, s.asks = nil, nil
	case "reserve":
		s.reserve()
	case "plan":
		s.plan(s.planner.Plan(s.reserved.Apply(s.hosts, noon), s.asks, noon))
		return true
	case "explain":
		s.explain(words[1])
		return true
	default:
		s.t.Fatalf("no such line: %v", words)
	}
	return false
}

// several expands web-[1-3].
func several(id string) []string {
	name, rest, ok := strings.Cut(id, "[")
	if !ok {
		return []string{id}
	}
	from, to, _ := strings.Cut(strings.TrimSuffix(rest, "]"), "-")
	var ids []string
	for i := number2(from); i <= number2(to); i++ {
		ids = append(ids, name+strconv.Itoa(i))
	}
	return ids
}

func number2(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

func decimal(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return v
}

func bytesOf(text string) int64 {
	for suffix, unit := range map[string]float64{"G": 1 << 30, "M": 1 << 20} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			return int64(decimal(n) * unit)
		}
	}
	return int64(number2(text))
}

func (s *stage) host(id string, words []string) Host {
	h := Host{
		ID: id, Ready: true, Paid: true, CPU: 4, Memory: 8 << 30, Link: -1, PortFrom: 20000, PortTo: 20099,
		Labels: map[string]string{}, Ports: map[int]bool{}, Apps: map[string]int{}, Images: map[string]bool{}, Failed: map[string]time.Time{},
	}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		s.hostWord(&h, key, value)
	}
	return h
}

func (s *stage) hostWord(h *Host, key, value string) {
	switch key {
	case "cpu":
		h.CPU = decimal(value)
	case "memory":
		h.Memory = bytesOf(value)
	case "used":
		cpu, memory, _ := strings.Cut(value, "/")
		h.UsedCPU, h.UsedMemory, h.Containers = decimal(cpu), bytesOf(memory), 1
	case "slots":
		h.Slots = number2(value)
	case "pps":
		used, all, _ := strings.Cut(value, "/")
		h.UsedPPS, h.MaxPPS = number2(used), number2(all)
	case "link":
		h.Link = decimal(value)
	case "line":
		h.Line = value
	case "arch":
		h.Arch = value
	case "unpaid":
		h.Paid, h.Price = false, decimal(value)
	case "down":
		h.Ready, h.Why = false, value
	case "ports":
		from, to, _ := strings.Cut(value, "-")
		h.PortFrom, h.PortTo = number2(from), number2(to)
	case "taken":
		h.Ports[number2(value)] = true
	case "runs":
		app, n, _ := strings.Cut(value, ":")
		h.Apps[app] = number2(n)
		h.Containers += number2(n)
	case "image":
		h.Images[value] = true
	case "failed":
		app, ago, _ := strings.Cut(value, ":")
		d, err := time.ParseDuration(ago)
		if err != nil {
			s.t.Fatal(err)
		}
		h.Failed[app] = noon.Add(-d)
	default: // a label
		h.Labels[key] = value
	}
}

func (s *stage) ask(id string, words []string) Ask {
	a := Ask{ID: id, App: strings.TrimRight(id, "-0123456789"), CPU: 1, Memory: 1 << 30}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		askWord(&a, key, value)
	}
	return a
}

func askWord(a *Ask, key, value string) {
	switch key {
	case "app":
		a.App = value
	case "cpu":
		a.CPU = decimal(value)
	case "memory":
		a.Memory = bytesOf(value)
	case "pps":
		a.PPS = number2(value)
	case "link":
		a.Link = decimal(value)
	case "arch":
		a.Arch = value
	case "image":
		name, size, _ := strings.Cut(value, "/")
		a.Image, a.ImageBytes = name, bytesOf(size)
	case "port":
		inside, outside, fixed := strings.Cut(value, ":")
		p := Port{Container: number2(inside)}
		if fixed {
			p.Host = number2(outside)
		}
		a.Ports = append(a.Ports, p)
	case "network":
		a.Network = value
	case "max":
		a.MaxPerHost = number2(value)
	case "spread":
		a.SpreadBy = value
	case "pack":
		a.Pack = true
	default: // a label
		if a.Labels == nil {
			a.Labels = map[string][]string{}
		}
		a.Labels[key] = strings.Split(value, "|")
	}
}

func (s *stage) weigh(w *Weights, words []string) {
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		*map[string]*float64{"fit": &w.Fit, "apart": &w.Apart, "zone": &w.Zone, "image": &w.Image, "cost": &w.Cost, "failure": &w.Failure}[key] = decimal(value)
	}
}

// reserve plans the asks so far, holds what came out and forgets the asks.
func (s *stage) reserve() {
	result := s.planner.Plan(s.reserved.Apply(s.hosts, noon), s.asks, noon)
	byID := map[string]Ask{}
	for _, a := range s.asks {
		byID[a.ID] = a
	}
	for _, a := range result.Assigned {
		s.reserved.Reserve(byID[a.Ask], a, noon)
	}
	s.asks = nil
}

func (s *stage) plan(r Result) {
	for _, a := range r.Assigned {
		fmt.Fprintf(&s.out, "  %s -> %s %.3f", a.Ask, a.Host, a.Score)
		for _, inside := range slices.Sorted(maps.Keys(a.Ports)) {
			fmt.Fprintf(&s.out, " %d:%d", inside, a.Ports[inside])
		}
		s.out.WriteByte('\n')
	}
	for _, x := range r.Rejected {
		fmt.Fprintf(&s.out, "  %s rejected%s\n", x.Ask, counted(x.Counts))
		for _, reason := range x.Reasons {
			fmt.Fprintf(&s.out, "    %s: %s\n", strings.TrimSpace(reason.Host+" "+reason.Filter), reason.Why)
		}
	}
	if len(r.Counts) > 0 {
		fmt.Fprintf(&s.out, "  refused%s\n", counted(r.Counts))
	}
	if len(r.Assigned)+len(r.Rejected) == 0 {
		s.out.WriteString("  nothing to do\n")
	}
}

func counted(counts map[string]int) string {
	text := ""
	for _, by := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf(" %s=%d", by, counts[by])
	}
	return text
}

func (s *stage) explain(id string) {
	i := slices.IndexFunc(s.asks, func(a Ask) bool { return a.ID == id })
	if i < 0 {
		s.t.Fatalf("no ask %q", id)
	}
	for _, o := range s.planner.Explain(s.hosts, s.asks[i], noon) {
		if o.Filter != "" {
			fmt.Fprintf(&s.out, "  %s %s: %s\n", o.Host, o.Filter, o.Why)
			continue
		}
		fmt.Fprintf(&s.out, "  %s %.3f =", o.Host, o.Score)
		for _, term := range o.Terms {
			fmt.Fprintf(&s.out, " %s %.3f x %v", term.Name, term.Value, term.Weight)
		}
		s.out.WriteByte('\n')
	}
}
