package http1

import "strconv"

// Error says why a message was refused. Values are shared and must not be
// changed.
type Error struct {
	// Status is the status code to answer the client with: 400, 414, 417,
	// 431, 501 or 505 for a request, always 502 for a response.
	Status int
	// Reason says what is wrong, for logs and counters.
	Reason string
}

// Error returns the status and the reason.
func (e *Error) Error() string { return strconv.Itoa(e.Status) + " " + e.Reason }
