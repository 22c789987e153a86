package cloud

import (
	"errors"
	"fmt"
	"time"
)

// Kind sorts errors by what a caller does about them.
type Kind int

// The kinds. Anything a driver cannot sort is Transient when nothing can have
// happened, Ambiguous when something may have.
const (
	Transient   Kind = iota // try again later
	Ambiguous               // may have happened: settle before anything else is bought
	RateLimited             // try again after After
	NoCapacity              // this offering is out of stock: another one, or later
	Quota                   // the account's limit What is reached
	Auth                    // credentials refused: a person must act
	Invalid                 // the request is wrong: never again unchanged
	NotFound                // there is no such machine
	DryRun                  // a dry run refused to write
)

// UsedToken is Error.What of an Invalid Create whose token was used for another
// request: machines of that request may exist.
const UsedToken = "token"

// String names the kind as metrics and logs do.
func (k Kind) String() string {
	names := [...]string{"transient", "ambiguous", "rate_limited", "no_capacity", "quota", "auth", "invalid", "not_found", "dry_run"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Error is the answer of a driver that did not do what it was asked.
type Error struct {
	Kind Kind
	Op   string // "create", "list", ...
	What string // the limit, offering or field it is about
	// After is the wait a provider asked for.
	After time.Duration
	Err   error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("cannot %s machines: %s", e.Op, e.Kind)
	if e.What != "" {
		s += " (" + e.What + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ParseKind is the inverse of Kind.String.
func ParseKind(name string) (Kind, bool) {
	for k := Transient; k <= DryRun; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return Transient, false
}

// KindOf returns the kind of err, Transient for errors that are not ours.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}
