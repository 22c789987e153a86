package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"spillway/scaler/fleet"
)

// Version of the documents this program writes. It reads those up to it.
const Version = 1

// The folders of the records. Other documents have folders of their own.
const (
	Machines  = "machines/"
	Orders    = "orders/"
	Instances = "instances/"
)

// document is how a record is stored. Fields that a record does not know are
// ignored, so that an older program can read what a newer one wrote, as long as
// the newer one left the version.
type document struct {
	Version int             `json:"v"`
	Record  json.RawMessage `json:"record"`
}

// Encode writes a record as a document.
func Encode[T any](record T) ([]byte, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("cannot encode %T: %w", record, err)
	}
	return json.Marshal(document{Version: Version, Record: body})
}

// Decode reads a document. The error names the key.
func Decode[T any](e Entry) (record T, err error) {
	var d document
	if err := json.Unmarshal(e.Value, &d); err != nil {
		return record, fmt.Errorf("cannot decode %q: %w", e.Key, err)
	}
	if d.Version < 1 || d.Version > Version {
		return record, fmt.Errorf("cannot decode %q: version %d is not known", e.Key, d.Version)
	}
	if len(d.Record) == 0 || string(d.Record) == "null" {
		return record, fmt.Errorf("cannot decode %q: there is no record in it", e.Key)
	}
	if err := json.Unmarshal(d.Record, &record); err != nil {
		var none T
		return none, fmt.Errorf("cannot decode %q: %w", e.Key, err)
	}
	return record, nil
}

// Put is the operation that stores a record under a key, over the one with that
// index (0: there must be none).
func Put[T any](key string, record T, index uint64) (Op, error) {
	value, err := Encode(record)
	if err != nil {
		return Op{}, fmt.Errorf("cannot write %q: %w", key, err)
	}
	return Op{Key: key, Value: value, Index: index}, nil
}

// PutMachine is the operation that stores a machine over its Index.
func PutMachine(m fleet.Machine) (Op, error) { return Put(Machines+m.ID, m, m.Index) }

// PutOrder is the operation that stores an order over its Index.
func PutOrder(o fleet.Order) (Op, error) { return Put(Orders+o.ID, o, o.Index) }

// PutInstance is the operation that stores an instance over its Index.
func PutInstance(i fleet.Instance) (Op, error) { return Put(Instances+i.ID, i, i.Index) }

// Remove is the operation that removes a document with that index.
func Remove(key string, index uint64) Op { return Op{Key: key, Index: index, Delete: true} }

// Records are all documents of a ledger.
type Records struct {
	Machines  map[string]fleet.Machine // by ID
	Orders    map[string]fleet.Order
	Instances map[string]fleet.Instance
	// Other documents by key, not decoded.
	Other map[string]Entry
	// Bad ones cannot be read. They stay as they are, and their IDs are taken.
	Bad []Bad
}

// Bad is a document that cannot be read.
type Bad struct {
	Key   string
	Index uint64
	Err   error
}

// Empty tells that the ledger has nothing at all, not even what cannot be read:
// it is new, or was lost.
func (r Records) Empty() bool {
	return len(r.Machines)+len(r.Orders)+len(r.Instances)+len(r.Other)+len(r.Bad) == 0
}

// Load reads the whole ledger, in one consistent read.
func Load(ctx context.Context, s Store) (Records, error) {
	entries, err := s.List(ctx, "")
	if err != nil {
		return Records{}, fmt.Errorf("cannot load the ledger: %w", err)
	}
	r := Records{
		Machines: map[string]fleet.Machine{}, Orders: map[string]fleet.Order{}, Instances: map[string]fleet.Instance{},
		Other: map[string]Entry{},
	}
	for _, e := range entries {
		r.add(e)
	}
	return r, nil
}

func (r *Records) add(e Entry) {
	folder, id, _ := strings.Cut(e.Key, "/")
	var err error
	switch folder + "/" {
	case Machines:
		err = keep(r.Machines, e, id, func(m *fleet.Machine) string { m.Index = e.Index; return m.ID })
	case Orders:
		err = keep(r.Orders, e, id, func(o *fleet.Order) string { o.Index = e.Index; return o.ID })
	case Instances:
		err = keep(r.Instances, e, id, func(i *fleet.Instance) string { i.Index = e.Index; return i.ID })
	default:
		r.Other[e.Key] = e
	}
	if err != nil {
		r.Bad = append(r.Bad, Bad{Key: e.Key, Index: e.Index, Err: err})
	}
}

// keep decodes a record and puts it under its id, which its key must be of.
// index notes the record's index and returns its id.
func keep[T any](into map[string]T, e Entry, id string, index func(*T) string) error {
	record, err := Decode[T](e)
	if err != nil {
		return err
	}
	if own := index(&record); own != id {
		return fmt.Errorf("cannot decode %q: the record in it is %q", e.Key, own)
	}
	into[id] = record
	return nil
}
