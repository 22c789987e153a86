package devregistry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// txnMax is the number of operations a transaction may have.
const txnMax = 128

// txnOp is one operation of the body of /v1/txn. Only KV is known.
type txnOp struct {
	KV *txnKV
}

type txnKV struct {
	Verb    string
	Key     string
	Value   []byte
	Flags   uint64
	Index   uint64
	Session string
}

// txnResult is a pair a transaction returns; writes return no value.
type txnResult struct {
	KV KVPair
}

type txnError struct {
	OpIndex int
	What    string
}

type txnResponse struct {
	Results []txnResult
	Errors  []txnError
}

// txnReadResponse is the answer to a transaction without a write, which
// carries Consul's query meta in its body.
type txnReadResponse struct {
	txnResponse
	Index                 uint64
	LastContact           int
	KnownLeader           bool
	ConsistencyLevel      string
	NotModified           bool
	Backend               int
	ResultsFilteredByACLs bool
}

func serveTxn(c *call) (any, error) {
	var ops []txnOp
	if err := c.decode(&ops, false); err != nil {
		return nil, badRequest("Failed to parse body: %v", err)
	}
	if len(ops) > txnMax {
		return nil, &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf(
			"Transaction contains too many operations (%d > %d)", len(ops), txnMax)}
	}
	res, writes := c.txnApply(ops)
	var body any = res
	if !writes {
		body = c.txnReadBody(ops, res)
	}
	if len(res.Errors) > 0 {
		c.writeJSON(http.StatusConflict, body)
		return nil, nil
	}
	return body, nil
}

// txnReadBody adds the meta of a read, which is blank if an operation was
// refused before it was run.
func (c *call) txnReadBody(ops []txnOp, res txnResponse) txnReadResponse {
	body := txnReadResponse{txnResponse: res, Index: 1, KnownLeader: true}
	if slices.ContainsFunc(ops, func(op txnOp) bool { return !op.KV.known() }) {
		body.Index, body.KnownLeader = 0, false
	}
	c.w.Header().Set("X-Consul-Knownleader", strconv.FormatBool(body.KnownLeader))
	c.w.Header().Set("X-Consul-Lastcontact", "0")
	return body
}

var errTxnAborted = errors.New("transaction aborted")

// txnApply runs all operations on a copy of the KV tables and keeps it only
// if none failed. Every failure is reported, not only the first.
func (c *call) txnApply(ops []txnOp) (res txnResponse, writes bool) {
	now := c.r.opts.Clock.Now()
	_ = c.r.write(func(s *state, t *touched) error {
		trial := *s
		trial.kv = s.kv.clone()
		marks := &touched{}
		for i, op := range ops {
			got, err := c.txnOne(&trial, marks, op.KV, now)
			if err != nil {
				res.Errors = append(res.Errors, txnError{i, err.Error()})
			}
			res.Results = append(res.Results, got...)
			writes = writes || op.KV.writes()
		}
		if len(res.Errors) > 0 {
			res.Results = nil
			return errTxnAborted
		}
		s.kv = trial.kv
		*t = *marks
		return nil
	})
	if res.Results == nil && len(res.Errors) == 0 {
		res.Results = []txnResult{}
	}
	return res, writes
}

func (kv *txnKV) writes() bool {
	if kv == nil {
		return false
	}
	switch kv.Verb {
	case "set", "cas", "lock", "unlock", "delete", "delete-cas", "delete-tree":
		return true
	}
	return false
}

func (kv *txnKV) known() bool {
	if kv.writes() {
		return true
	}
	if kv == nil {
		return false
	}
	switch kv.Verb {
	case "get", "get-or-empty", "get-tree", "check-index", "check-session", "check-not-exists":
		return true
	}
	return false
}

func (c *call) txnOne(s *state, t *touched, kv *txnKV, now time.Time) ([]txnResult, error) {
	if kv == nil {
		return nil, errors.New("the development registry knows KV operations only")
	}
	if kv.Key == "" && kv.Verb != "delete-tree" && kv.Verb != "get-tree" {
		return nil, errors.New("Must provide key")
	}
	if kv.writes() {
		if err := c.mayWrite("key", kv.Key); err != nil {
			return nil, err
		}
		return s.txnWrite(t, kv, now)
	}
	if err := c.mayRead("key", kv.Key); err != nil {
		return nil, err
	}
	return s.txnRead(kv)
}

func (s *state) txnWrite(t *touched, kv *txnKV, now time.Time) ([]txnResult, error) {
	pair := KVPair{Key: kv.Key, Value: kv.Value, Flags: kv.Flags}
	switch kv.Verb {
	case "set":
		return stored(s.kvSet(t, pair, true)), nil
	case "cas":
		p, ok := s.kvCAS(t, pair, kv.Index)
		if !ok {
			return nil, fmt.Errorf("failed to set key %q, index is stale", kv.Key)
		}
		return stored(p), nil
	case "delete":
		s.kvDelete(t, kv.Key)
		return nil, nil
	case "delete-tree":
		s.kvDeleteTree(t, kv.Key)
		return nil, nil
	case "delete-cas":
		if !s.kvDeleteCAS(t, kv.Key, kv.Index) {
			return nil, fmt.Errorf("failed to delete key %q, index is stale", kv.Key)
		}
		return nil, nil
	}
	pair.Session = kv.Session
	return s.txnLock(t, kv, pair, now)
}

func (s *state) txnLock(t *touched, kv *txnKV, pair KVPair, now time.Time) ([]txnResult, error) {
	var p *KVPair
	var ok bool
	var err error
	why := "lock is already held"
	if kv.Verb == "unlock" {
		p, ok, err = s.kvUnlock(t, pair)
		why = "lock isn't held, or is held by another session"
	} else if s.lockDelayed(kv.Key, now) {
		return nil, fmt.Errorf("failed to lock key %q due to lock delay", kv.Key)
	} else {
		p, ok, err = s.kvLock(t, pair)
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("failed to %s key %q, %s", kv.Verb, kv.Key, why)
	}
	return stored(p), nil
}

func (s *state) txnRead(kv *txnKV) ([]txnResult, error) {
	p, _ := s.kv.get(kv.Key)
	switch kv.Verb {
	case "get":
		if p == nil {
			return nil, fmt.Errorf("key %q doesn't exist", kv.Key)
		}
		return []txnResult{{*p}}, nil
	case "get-or-empty":
		if p == nil {
			p = &KVPair{Key: kv.Key}
		}
		return []txnResult{{*p}}, nil
	case "get-tree":
		var all []txnResult
		for _, p := range s.kv.pairs.prefix(kv.Key) {
			all = append(all, txnResult{*p})
		}
		return all, nil
	case "check-not-exists":
		if p != nil {
			return nil, fmt.Errorf("key %q exists", kv.Key)
		}
		return nil, nil
	}
	return txnCheck(kv, p)
}

func txnCheck(kv *txnKV, p *KVPair) ([]txnResult, error) {
	switch {
	case kv.Verb != "check-index" && kv.Verb != "check-session":
		return nil, fmt.Errorf("unknown KV operation: %s", kv.Verb)
	case p == nil:
		return nil, fmt.Errorf("failed to check %s, key %q doesn't exist", kv.Verb[len("check-"):], kv.Key)
	case kv.Verb == "check-index" && p.ModifyIndex != kv.Index:
		return nil, fmt.Errorf("failed index check for key %q, current modify index %d != %d", kv.Key, p.ModifyIndex, kv.Index)
	case kv.Verb == "check-session" && p.Session != kv.Session:
		return nil, fmt.Errorf("failed session check for key %q, current session %q != %q", kv.Key, p.Session, kv.Session)
	}
	return stored(p), nil
}

// stored is the result of a write: the pair without its value.
func stored(p *KVPair) []txnResult {
	bare := *p
	bare.Value = nil
	return []txnResult{{bare}}
}
