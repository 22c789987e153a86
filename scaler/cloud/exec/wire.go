package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// version of the protocol, sent with every question.
const version = 1

const opDescribe = "describe"

// question is what the program reads.
type question struct {
	Version int               `json:"version"`
	Op      string            `json:"op"`
	ID      string            `json:"id,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Request *request          `json:"request,omitempty"`
}

type request struct {
	Token    string            `json:"token"`
	Type     string            `json:"type"`
	Zone     string            `json:"zone"`
	Spot     bool              `json:"spot"`
	Count    int               `json:"count"`
	Names    []string          `json:"names"`
	Tags     map[string]string `json:"tags"`
	UserData []byte            `json:"user_data,omitempty"` // base64
}

// answer is what the program writes. Fields that are not known are ignored.
type answer struct {
	Error       *failure     `json:"error"`
	Description *description `json:"description"`
	Offerings   []offering   `json:"offerings"`
	Machines    []machine    `json:"machines"`
	Events      []event      `json:"events"`
}

type failure struct {
	Kind    string  `json:"kind"`
	What    string  `json:"what"`
	AfterMS float64 `json:"after_ms"`
	Message string  `json:"message"`
}

type description struct {
	Name        string           `json:"name"`
	MaxBatch    int              `json:"max_batch"`
	ClientToken bool             `json:"client_token"`
	TokenZonal  bool             `json:"token_zonal"`
	UniqueNames bool             `json:"unique_names"`
	Owned       bool             `json:"owned"`
	StopFree    bool             `json:"stop_free"`
	Spot        bool             `json:"spot"`
	UserDataMax int              `json:"user_data_max"`
	ListLagMS   float64          `json:"list_lag_ms"`
	Limits      map[string]limit `json:"limits"`
	Stop        bool             `json:"stop"`
	Events      bool             `json:"events"`
}

type limit struct {
	Rate     float64 `json:"rate"`
	Burst    int     `json:"burst"`
	Machines bool    `json:"machines"`
}

type offering struct {
	Type      string  `json:"type"`
	Zone      string  `json:"zone"`
	CPU       float64 `json:"cpu"`
	Memory    int64   `json:"memory"`
	Units     float64 `json:"units"`
	MaxPPS    int     `json:"max_pps"`
	Arch      string  `json:"arch"`
	PriceHour float64 `json:"price_hour"`
	QuantumMS float64 `json:"quantum_ms"`
	Spot      bool    `json:"spot"`
	Available bool    `json:"available"`
	Reason    string  `json:"reason"`
}

type machine struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Type    string            `json:"type"`
	Zone    string            `json:"zone"`
	State   cloud.State       `json:"state"`
	Address string            `json:"address"`
	Created time.Time         `json:"created"`
	Spot    bool              `json:"spot"`
	Tags    map[string]string `json:"tags"`
	Reason  string            `json:"reason"`
}

type event struct {
	ID   string    `json:"id"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
}

func wireRequest(r *cloud.CreateRequest, userDataMax int) *request {
	w := &request{
		Token: r.Token, Type: r.Type, Zone: r.Zone, Spot: r.Spot, Count: r.Count, Names: r.Names, Tags: r.Tags,
	}
	if userDataMax > 0 {
		w.UserData = r.UserData
	}
	return w
}

func (q *question) writes() bool {
	c := cloud.Call{Op: q.Op}
	return c.Writes()
}

// check refuses what would mean something else in an environment variable.
func (q *question) check() error {
	words := []string{q.ID}
	for _, tags := range []map[string]string{q.Tags, q.tagsOfRequest()} {
		for k, v := range tags {
			if strings.Contains(k, "=") {
				return fmt.Errorf("tag %q has a = in its name", k)
			}
			words = append(words, k, v)
		}
	}
	if r := q.Request; r != nil {
		words = append(append(words, r.Token, r.Type, r.Zone), r.Names...)
	}
	for _, w := range words {
		if strings.ContainsAny(w, "\x00\n") {
			return fmt.Errorf("%q has more than one line", w)
		}
	}
	return nil
}

func (q *question) tagsOfRequest() map[string]string {
	if q.Request == nil {
		return nil
	}
	return q.Request.Tags
}

// lines is a KEY=value a line, sorted.
func lines(tags map[string]string) string {
	all := make([]string, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, k+"="+tags[k])
	}
	return strings.Join(all, "\n")
}

// decode reads the one answer that is the program's output and checks that it
// answers the question.
func decode(b []byte, q question) (answer, error) {
	var a answer
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&a); err != nil {
		return answer{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return answer{}, errors.New("something follows it")
	}
	return a, a.check(q)
}

func (a *answer) check(q question) error {
	if a.Error != nil {
		return a.Error.check()
	}
	switch q.Op {
	case opDescribe:
		return a.Description.check()
	case cloud.OpOfferings:
		return each(a.Offerings, (*offering).check)
	case cloud.OpCreate:
		if n := len(a.Machines); n < 1 || n > q.Request.Count {
			return fmt.Errorf("%d machines where %d were asked for", n, q.Request.Count)
		}
		return checkMachines(a.Machines)
	case cloud.OpList:
		return checkMachines(a.Machines)
	case cloud.OpEvents:
		return each(a.Events, (*event).check)
	}
	return nil
}

func each[T any](all []T, check func(*T) error) error {
	for i := range all {
		if err := check(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *failure) check() error {
	if _, ok := cloud.ParseKind(f.Kind); !ok {
		return fmt.Errorf("error of unknown kind %q", f.Kind)
	}
	return checkNumbers(f.AfterMS)
}

func (d *description) check() error {
	switch {
	case d == nil:
		return errors.New("no description")
	case d.Name == "":
		return errors.New("description without a name")
	case d.MaxBatch < 1 || d.UserDataMax < 0:
		return fmt.Errorf("max_batch %d and user_data_max %d must be at least 1 and 0", d.MaxBatch, d.UserDataMax)
	}
	for kind, l := range d.Limits {
		if l.Rate <= 0 || l.Burst < 1 {
			return fmt.Errorf("limit of %q: rate %g and burst %d must be above 0", kind, l.Rate, l.Burst)
		}
	}
	return checkNumbers(d.ListLagMS)
}

func (o *offering) check() error {
	switch {
	case o.Type == "":
		return errors.New("offering without a type")
	case o.Memory < 0 || o.MaxPPS < 0:
		return fmt.Errorf("offering %q: a number is below 0", o.Type)
	}
	return checkNumbers(o.CPU, o.Units, o.PriceHour, o.QuantumMS)
}

func (e *event) check() error {
	if e.ID == "" || e.Kind == "" {
		return errors.New("event without an id or a kind")
	}
	return nil
}

// checkMachines wants each id once and a state that there is.
func checkMachines(all []machine) error {
	seen := make(map[string]bool, len(all))
	for _, m := range all {
		switch m.State {
		case cloud.Pending, cloud.Running, cloud.Stopping, cloud.Stopped, cloud.Deleting, cloud.Deleted, cloud.Failed:
		default:
			return fmt.Errorf("machine %q in unknown state %q", m.ID, m.State)
		}
		if m.ID == "" || seen[m.ID] {
			return fmt.Errorf("machine id %q is empty or there twice", m.ID)
		}
		seen[m.ID] = true
	}
	return nil
}

// mostMS is the longest time that fits a time.Duration, in milliseconds.
const mostMS = float64(math.MaxInt64 / int64(time.Millisecond))

func checkNumbers(all ...float64) error {
	for _, n := range all {
		if n < 0 || n >= mostMS {
			return fmt.Errorf("number %g is out of range", n)
		}
	}
	return nil
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func (f *failure) contract(q question, stderr []byte) error {
	kind, _ := cloud.ParseKind(f.Kind)
	text := f.Message
	if text == "" {
		text = "the program refused"
	}
	what := f.What
	if what == "" {
		what = q.ID
	}
	return &cloud.Error{
		Kind: kind, Op: q.Op, What: what, After: milliseconds(f.AfterMS), Err: withStderr(errors.New(text), stderr),
	}
}

func (d *description) contract() cloud.Description {
	c := cloud.Description{
		Name: d.Name, MaxBatch: d.MaxBatch, ClientToken: d.ClientToken, TokenZonal: d.TokenZonal, UniqueNames: d.UniqueNames,
		Owned: d.Owned, StopFree: d.StopFree, Spot: d.Spot, UserDataMax: d.UserDataMax, ListLag: milliseconds(d.ListLagMS),
	}
	if len(d.Limits) > 0 {
		c.Limits = make(map[string]cloud.Limit, len(d.Limits))
	}
	for kind, l := range d.Limits {
		c.Limits[kind] = cloud.Limit(l)
	}
	return c
}

func (o *offering) contract() cloud.Offering {
	return cloud.Offering{
		Type: o.Type, Zone: o.Zone, CPU: o.CPU, Memory: o.Memory, Units: o.Units, MaxPPS: o.MaxPPS, Arch: o.Arch,
		PriceHour: o.PriceHour, Quantum: milliseconds(o.QuantumMS), Spot: o.Spot, Available: o.Available, Reason: o.Reason,
	}
}

func machines(all []machine) []cloud.Machine {
	made := make([]cloud.Machine, len(all))
	for i, m := range all {
		made[i] = cloud.Machine(m)
	}
	return made
}
