package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"spillway/scaler/fleet"
)

// ledgerPrefix is where the scaler keeps its records, as configured by default.
const ledgerPrefix = "spillway/scaler/" + cluster + "/ledger/"

// records are the scaler's, read from Consul behind its back.
type records struct {
	machines  map[string]fleet.Machine
	orders    map[string]fleet.Order
	instances map[string]fleet.Instance
}

// ledger reads all records.
func (w *world) ledger(ctx context.Context) (*records, error) {
	var pairs []struct {
		Key   string
		Value []byte
	}
	r := &records{machines: map[string]fleet.Machine{}, orders: map[string]fleet.Order{}, instances: map[string]fleet.Instance{}}
	err := w.get(ctx, "http://"+w.at.Consul+"/v1/kv/"+ledgerPrefix+"?recurse&consistent", &pairs)
	if isStatus(err, http.StatusNotFound) {
		return r, nil // an empty ledger
	}
	for i := 0; i < len(pairs) && err == nil; i++ {
		folder, id, _ := strings.Cut(strings.TrimPrefix(pairs[i].Key, ledgerPrefix), "/")
		switch folder {
		case "machines":
			err = read(r.machines, id, pairs[i].Value)
		case "orders":
			err = read(r.orders, id, pairs[i].Value)
		case "instances":
			err = read(r.instances, id, pairs[i].Value)
		}
	}
	return r, err
}

// read decodes a record, which may be in an envelope with a version.
func read[T any](into map[string]T, id string, value []byte) error {
	var envelope struct {
		Record json.RawMessage `json:"record"`
	}
	if json.Unmarshal(value, &envelope) == nil && len(envelope.Record) > 0 {
		value = envelope.Record
	}
	var record T
	if err := json.Unmarshal(value, &record); err != nil {
		return fmt.Errorf("cannot read the record of %q: %w", id, err)
	}
	into[id] = record
	return nil
}
