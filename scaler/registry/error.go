package registry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// Errors a caller branches on.
var (
	// ErrUnavailable: Consul did not answer, or not as it should. A write may
	// have happened; repeating it is safe.
	ErrUnavailable = errors.New("registry is unavailable")
	// ErrDenied: the token does not allow it. A person must act.
	ErrDenied = errors.New("registry denies it")
	// ErrInvalid: never again unchanged.
	ErrInvalid = errors.New("invalid registration")
	// ErrNotFound: it is not registered.
	ErrNotFound = errors.New("not registered")
	// ErrForeign: the id or address belongs to another cluster.
	ErrForeign = errors.New("belongs to another cluster")
	// ErrElsewhere: it was registered with another agent than ours, which
	// alone can change it.
	ErrElsewhere = errors.New("registered with another agent")
	// ErrNotAnswering: the KV source takes an instance only once it answers
	// its check, and it does not yet.
	ErrNotAnswering = errors.New("instance does not answer its check yet")
	// ErrConflict: somebody else kept changing it.
	ErrConflict = errors.New("changed by others at the same time")
)

// wrap says what failed and gives the error its sentinel. The token is in a
// header and so in no error of the client.
func wrap(what, service, id string, err error) error {
	if err == nil {
		return nil
	}
	subject := fmt.Sprintf("service %q", service)
	if id != "" {
		subject = fmt.Sprintf("instance %q of %q", id, service)
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("cannot %s %s: %w: %w", what, subject, kind, err)
	}
	return fmt.Errorf("cannot %s %s: %w", what, subject, err)
}

// kindOf is nil for errors that have one already.
func kindOf(err error) error {
	for _, known := range []error{
		ErrUnavailable, ErrDenied, ErrInvalid, ErrNotFound, ErrForeign, ErrElsewhere, ErrNotAnswering, ErrConflict,
	} {
		if errors.Is(err, known) {
			return nil
		}
	}
	switch code(err) {
	case http.StatusForbidden, http.StatusUnauthorized:
		return ErrDenied
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return ErrInvalid
	}
	return ErrUnavailable
}

// code is the HTTP status of Consul's answer, 0 if it is not the reason.
func code(err error) int {
	var status api.StatusError
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}

// Kind sorts an error as outcomes of effects are sorted: "" for none,
// "not_found", "invalid" where trying again is useless, "auth", else
// "transient".
func Kind(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrForeign), errors.Is(err, ErrElsewhere):
		return "invalid"
	case errors.Is(err, ErrDenied):
		return "auth"
	}
	return "transient"
}
