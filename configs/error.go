package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxErrors bounds how many mistakes are reported at once, maxCollected how
// many are kept to choose them from.
const (
	maxErrors    = 20
	maxCollected = 1000
)

// Error is one mistake in a configuration.
type Error struct {
	// File names the file; empty when the value is not from a file. Line and
	// Col count from 1; both are 0 without a file.
	File      string
	Line, Col int
	// From names the variable or flag the value is from ("SPILLWAY_LOG_LEVEL",
	// "--loops"), empty for a file.
	From string
	// Key is the path of the option, such as gateway.limits.body_size, empty
	// for the document as a whole.
	Key string
	// Found is what stands there, Allowed what may, Hint the nearest allowed
	// value ("" if nothing is near).
	Found, Allowed, Hint string
}

// Error is "FILE:LINE:COL: KEY: found VALUE, allowed: WHAT; did you mean X?".
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.File != "":
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Col)
	case e.From != "":
		b.WriteString(e.From + ": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString("found " + e.Found)
	if e.Allowed != "" {
		b.WriteString(", allowed: " + e.Allowed)
	}
	if e.Hint != "" {
		b.WriteString("; did you mean " + strconv.Quote(e.Hint) + "?")
	}
	return b.String()
}

// Errors are all mistakes of a configuration in the order of the file, at most
// 20 of them; one more then says how many are left out.
type Errors []*Error

// Error is one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// ordered sorts by place, those from variables and flags last, and cuts to
// what is reported.
func (es Errors) ordered() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		if byFile := cmp.Compare(b.File, a.File); byFile != 0 {
			return byFile
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if len(es) <= maxErrors {
		return es
	}
	rest := *es[maxErrors]
	rest.Key, rest.Allowed, rest.Hint = "", "", ""
	rest.Found = fmt.Sprintf("%d more mistakes from here on", len(es)-maxErrors)
	return append(es[:maxErrors:maxErrors], &rest)
}

// shorten keeps a message readable whatever stands in the file.
func shorten(found string) string {
	const most = 200
	if len(found) <= most {
		return found
	}
	return strings.ToValidUTF8(found[:most], "") + "..."
}

// valueError is a mistake whose place the caller knows.
type valueError struct{ found, allowed, hint string }

func (e *valueError) Error() string {
	return (&Error{Found: e.found, Allowed: e.allowed, Hint: e.hint}).Error()
}
