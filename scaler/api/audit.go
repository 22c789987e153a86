package api

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// AuditEntry is one line of the audit log. Each write has two: one before it is
// carried out, with Status 0, and one with what became of it. What is refused
// for want of the token stands in the process's log instead: strangers must not
// be able to fill this one.
type AuditEntry struct {
	ID     uint64          `json:"id"` // the same in both
	At     time.Time       `json:"at"`
	By     string          `json:"by"`   // as the client says
	From   string          `json:"from"` // its address
	What   string          `json:"what"` // method and path
	Body   json.RawMessage `json:"body,omitempty"`
	Status int             `json:"status,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// auditKept is entries that can be read over the API.
const auditKept = 512

// auditLog writes entries and keeps the last ones.
type auditLog struct {
	out io.Writer
	now func() time.Time

	mu   sync.Mutex
	next uint64
	last []AuditEntry
}

// masked is a body as the log may have it: variables of a container without
// their values, which are often secrets.
func masked(body []byte) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return nil
	}
	var env []string
	if json.Unmarshal(fields["env"], &env) == nil && len(env) > 0 {
		for i, variable := range env {
			name, _, _ := strings.Cut(variable, "=")
			env[i] = name + "=***"
		}
		fields["env"] = encoded(env)
	}
	return encoded(fields)
}

// begin numbers an entry and writes it.
func (l *auditLog) begin(e AuditEntry) (AuditEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	e.ID = l.next
	return e, l.write(e)
}

// end writes what became of it.
func (l *auditLog) end(e AuditEntry, status int, err string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Status, e.Error, e.Body = status, err, nil
	return l.write(e)
}

func (l *auditLog) write(e AuditEntry) error {
	e.At = l.now()
	l.last = append(l.last, e)
	if extra := len(l.last) - auditKept; extra > 0 {
		l.last = slices.Delete(l.last, 0, extra)
	}
	if l.out == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = l.out.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cannot write audit log: %w", err)
	}
	return nil
}

// tail returns the last entries, oldest first.
func (l *auditLog) tail(limit int) []AuditEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]AuditEntry{}, l.last[max(0, len(l.last)-limit):]...)
}
