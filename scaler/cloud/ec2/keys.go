package ec2

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// keys are what requests are signed with. No way of printing or encoding them
// shows the secret or the session token.
type keys struct {
	id      string
	secret  secret
	session secret
	expires time.Time // zero: never
}

// secret is text that shows itself to nobody but reveal. It is behind a pointer
// because package fmt asks no method of a field that is not exported.
type secret struct{ text *string }

const masked = "****"

func hide(text string) secret { return secret{&text} }

func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s secret) String() string               { return masked }
func (s secret) GoString() string             { return masked }
func (s secret) LogValue() slog.Value         { return slog.StringValue(masked) }
func (s secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

func (s *secret) UnmarshalText(text []byte) error {
	*s = hide(string(text))
	return nil
}

func (k keys) valid() bool { return k.id != "" && k.secret.reveal() != "" }

func (k keys) signing() aws.Credentials {
	return aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret.reveal(), SessionToken: k.session.reveal()}
}

// source fetches keys from one place.
type source func(ctx context.Context) (keys, error)

// Keys that expire are fetched anew earlyBy before: a role's new ones are there
// at least five minutes ahead ("Instance metadata", IAM roles). Where that
// fails the old ones serve to their end, and the next try is retryAfter later.
const (
	earlyBy    = 5 * time.Minute
	retryAfter = 30 * time.Second
)

// vault holds the keys of a client. Fetching is done by one caller at a time;
// the others wait for it as long as their contexts let them.
type vault struct {
	source source
	now    func() time.Time
	turn   chan struct{} // of capacity 1: held by who fetches

	mu      sync.Mutex
	have    keys
	retryAt time.Time // not before, while the old keys serve
}

func (v *vault) get(ctx context.Context) (keys, error) {
	if k, ok := v.fresh(); ok {
		return k, nil
	}
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return keys{}, ctx.Err()
	}
	if k, ok := v.fresh(); ok { // who had the turn before has fetched them
		return k, nil
	}
	k, err := v.source(ctx)
	return v.keep(k, err)
}

// fresh are the keys that need no fetching.
func (v *vault) fresh() (keys, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.have.valid() {
		return keys{}, false
	}
	now := v.now()
	early := v.have.expires.IsZero() || now.Before(v.have.expires.Add(-earlyBy))
	waiting := now.Before(v.retryAt) && now.Before(v.have.expires)
	return v.have, early || waiting
}

func (v *vault) keep(k keys, err error) (keys, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	switch {
	case err == nil && k.valid():
		v.have, v.retryAt = k, time.Time{}
		return k, nil
	case err == nil:
		err = errors.New("keys without an id or a secret")
	}
	if v.have.valid() && now.Before(v.have.expires) {
		v.retryAt = now.Add(retryAfter)
		return v.have, nil
	}
	return keys{}, err
}

// drop forgets keys that the service says have expired, and reports whether
// there can be others: those that never expire are not fetched again.
func (v *vault) drop() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.have.expires.IsZero() {
		return false
	}
	v.have = keys{}
	return true
}

// credentialsError is a call that was not made for want of keys.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "cannot get credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// passing reports whether there may be keys later: who was asked for them did
// not answer, or the caller gave up.
func (e *credentialsError) passing() bool {
	var lost *lostError
	var refused *apiError
	switch {
	case errors.As(e.err, &refused):
		return refused.Status >= 500 || codes[refused.Code].String() == "rate_limited"
	case errors.As(e.err, &lost), errors.Is(e.err, context.Canceled), errors.Is(e.err, context.DeadlineExceeded):
		return true
	}
	return false
}
