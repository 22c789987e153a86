package peers

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/bench/peers/figures"
)

// scenario is one question about proxies and the run that answers it.
type scenario struct {
	name, title string
	// full and short adjust the options of Defaults for a real run and for one
	// that only shows that it works.
	full, short func(*Options)
	run         func(context.Context, *study) error
}

// scenarios in the order of their numbers, from 1.
func scenarios() []scenario {
	return []scenario{
		{"cpu", "CPU time per request and maximum rate", fullCPU, shortCPU, runCPU},
		{"latency", "latency at rates that every peer can serve", fullLatency, shortLatency, runLatency},
		{"membership", "servers come and go under a constant rate", fullMembership, shortMembership, runMembership},
		{"churn", "100 changes of servers a second under a constant rate", fullChurn, shortChurn, runChurn},
		{"connections", "memory of idle connections; connections accepted a second", fullConnections, shortConnections, runConnections},
		{"scaling", "one and two loops, and what that says of many", fullScaling, shortScaling, runScaling},
		{"two-hundred", "200,000 requests a second from pipelined clients", fullPipelined, shortPipelined, runPipelined},
	}
}

// scenarioList names the scenarios with their numbers.
func scenarioList() string {
	var names []string
	for i, s := range scenarios() {
		names = append(names, strconv.Itoa(i+1)+" "+s.name)
	}
	return strings.Join(names, ", ")
}

// scenariosNamed finds a scenario by name or number; "all" is all of them.
func scenariosNamed(name string) ([]scenario, error) {
	all := scenarios()
	if name == "all" {
		return all, nil
	}
	for i, s := range all {
		if name == s.name || name == strconv.Itoa(i+1) {
			return []scenario{s}, nil
		}
	}
	return nil, fmt.Errorf("cannot run scenario %q: all or one of %s", name, scenarioList())
}

// defaults are the options of the scenario where the command line says nothing.
func (s *scenario) defaults(quick bool) Options {
	o := Defaults()
	o.Client = clientOwn
	if s.full(&o); quick {
		s.short(&o)
	}
	return o
}

// study is a scenario under way.
type study struct {
	*lab
	o      *Options
	quick  bool
	consul *registry // nil: none runs
	result *figures.Result
}

// note adds what a reader must know.
func (s *study) note(format string, args ...any) {
	s.result.Notes = append(s.result.Notes, fmt.Sprintf(format, args...))
}

// tell reports progress.
func (s *study) tell(format string, args ...any) {
	fmt.Fprintf(s.o.Progress, format+"\n", args...)
}

// open starts the backend and the peers and describes the setting.
func (s *study) open(ctx context.Context, chosen []definition) error {
	l, err := openLab(ctx, s.o)
	if err != nil {
		return err
	}
	s.lab = l
	if err := l.startAll(ctx, chosen, s.o.Attached); err != nil {
		return err
	}
	s.describe(ctx, chosen)
	return nil
}

func (s *study) describe(ctx context.Context, chosen []definition) {
	e := describe(ctx, s.lab, chosen)
	s.result.Setting = strings.Split(strings.TrimSpace(e.text()), "\n")
}

// missing notes which peers were left out.
func (s *study) missing(names []string) {
	if len(names) > 0 {
		s.note("not installed, left out: %s", strings.Join(names, ", "))
	}
}

// close ends what runs. It may be called twice.
func (s *study) close() {
	if s.lab != nil {
		s.lab.close()
		s.lab = nil
	}
}

// scenarios runs what the command line asks for, one after the other.
func (s *settings) scenarios(ctx context.Context, args []string, stdout io.Writer) error {
	list, err := scenariosNamed(s.scenario)
	if err != nil {
		return err
	}
	for i, sc := range list {
		own := s
		if i > 0 { // the options were read with the defaults of the first
			own = &settings{options: sc.defaults(s.quick)}
			if err := own.parse(args, s.options.Progress); err != nil {
				return err
			}
			own.options.Self = s.options.Self
			if err := own.options.check(); err != nil {
				return err
			}
		}
		result, err := sc.measure(ctx, &own.options, s.quick)
		if err != nil {
			return fmt.Errorf("cannot finish scenario %s: %w", sc.name, err)
		}
		result.Command = append([]string{"bench", "peers"}, args...)
		if err := s.save(result, stdout); err != nil {
			return err
		}
	}
	return nil
}

// measure runs one scenario.
func (sc *scenario) measure(ctx context.Context, o *Options, quick bool) (*figures.Result, error) {
	started := time.Now()
	s := &study{o: o, quick: quick, result: &figures.Result{
		Schema: figures.Schema, Scenario: sc.name, Title: sc.title,
		Started: started.UTC().Truncate(time.Second), Quick: quick,
	}}
	defer s.close()
	if err := sc.run(ctx, s); err != nil {
		return nil, err
	}
	s.result.Seconds = time.Since(started).Seconds()
	return s.result, nil
}

// save prints a result and writes the files that were asked for.
func (s *settings) save(r *figures.Result, stdout io.Writer) error {
	if err := r.WriteText(stdout); err != nil {
		return err
	}
	jsonFiles, pages := []string{s.json}, []string{s.html}
	if s.out != "" {
		if err := os.MkdirAll(s.out, 0o755); err != nil {
			return fmt.Errorf("cannot save results: %w", err)
		}
		jsonFiles = append(jsonFiles, filepath.Join(s.out, r.Scenario+".json"))
		pages = append(pages, filepath.Join(s.out, r.Scenario+".html"))
	}
	for _, path := range jsonFiles {
		if err := saveAs(path, r.WriteJSON); err != nil {
			return err
		}
	}
	for _, path := range pages {
		if err := saveAs(path, r.WriteHTML); err != nil {
			return err
		}
	}
	return nil
}

// saveAs writes a file, or nothing if no path is given.
func saveAs(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot save results: %w", err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot save results %q: %w", path, err)
	}
	return nil
}

// renderFiles writes saved results into a document.
func renderFiles(document string, paths []string) error {
	var results []*figures.Result
	for _, path := range paths {
		r, err := figures.ReadFile(path)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	return figures.Update(document, results)
}

// without removes peers from a choice.
func without(chosen []definition, names ...string) []definition {
	return slices.DeleteFunc(slices.Clone(chosen), func(d definition) bool { return slices.Contains(names, d.name) })
}
