package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// AuditRecord is one line of the audit log: a write that was asked for and what
// came of it. User data is not in it, it holds a secret: only its hash.
type AuditRecord struct {
	Time     time.Time         `json:"time"` // when it ended
	TookMS   float64           `json:"took_ms"`
	Provider string            `json:"provider"`
	Op       string            `json:"op"`
	ID       string            `json:"id,omitempty"`
	Token    string            `json:"token,omitempty"`
	Type     string            `json:"type,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Spot     bool              `json:"spot,omitempty"`
	Count    int               `json:"count,omitempty"`
	Names    []string          `json:"names,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	UserData string            `json:"user_data_sha256,omitempty"`
	Machines []string          `json:"machines,omitempty"` // ids that came back
	Outcome  string            `json:"outcome"`            // "ok" or the kind of error
	Error    string            `json:"error,omitempty"`
}

// Audit gives write one line of JSON, with its end of line, for every write
// that reaches it, refused ones too. Reads are not recorded. write is called
// concurrently and owns the line.
func Audit(d Driver, now func() time.Time, write func(line []byte)) Driver {
	name := d.Describe().Name
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		if !c.Writes() {
			return next(ctx)
		}
		from := now()
		err := next(ctx)
		r := record(c, err)
		r.Provider, r.Time = name, now().UTC()
		r.TookMS = float64(r.Time.Sub(from)) / float64(time.Millisecond)
		line, _ := json.Marshal(r) // of strings and numbers: it cannot fail
		write(append(line, '\n'))
		return err
	})
}

func record(c *Call, err error) AuditRecord {
	r := AuditRecord{Op: c.Op, ID: c.ID, Outcome: outcome(err)}
	if err != nil {
		r.Error = err.Error()
	}
	if q := c.Request; q != nil {
		r.Token, r.Type, r.Zone, r.Spot, r.Count, r.Names, r.Tags = q.Token, q.Type, q.Zone, q.Spot, q.Count, q.Names, q.Tags
		if len(q.UserData) > 0 {
			sum := sha256.Sum256(q.UserData)
			r.UserData = hex.EncodeToString(sum[:])
		}
		for _, m := range c.Machines {
			r.Machines = append(r.Machines, m.ID)
		}
	}
	return r
}
