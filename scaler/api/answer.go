package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// failure is the body of every error.
type failure struct {
	Error  string `json:"error"`  // a word a program can branch on
	Code   int    `json:"code"`   // the HTTP status
	Detail string `json:"detail"` // a sentence for people
}

// kinds are the sentinels with their word and status. What is none of them is
// "internal".
var kinds = [...]struct {
	err  error
	word string
	code int
}{
	{ErrNotFound, "not_found", http.StatusNotFound},
	{ErrInvalid, "invalid", http.StatusUnprocessableEntity},
	{ErrConflict, "conflict", http.StatusConflict},
	{ErrNotLeader, "no_leader", http.StatusServiceUnavailable},
	{ErrUnavailable, "unavailable", http.StatusServiceUnavailable},
	{ErrUnsupported, "unsupported", http.StatusNotImplemented},
}

func failureOf(err error) failure {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return failure{k.word, k.code, err.Error()}
		}
	}
	return failure{"internal", http.StatusInternalServerError, err.Error()}
}

// Error is an answer of the server that is no success. errors.Is finds the
// sentinel it stands for.
type Error struct {
	Status int
	Word   string // "not_found", "unauthorized", ...
	Detail string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("the scaler answers %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Detail
}

// Unwrap returns the sentinel, or nil.
func (e *Error) Unwrap() error {
	for _, k := range kinds {
		if e.Word == k.word {
			return k.err
		}
	}
	return nil
}

func (f failure) asError() *Error { return &Error{Status: f.Code, Word: f.Error, Detail: f.Detail} }

func fail(w http.ResponseWriter, f failure) { reply(w, f.Code, f) }

// reply writes v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client is gone
}
