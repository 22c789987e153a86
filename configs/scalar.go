package configs

import "time"

// Origin says where a value comes from.
type Origin struct {
	// From is "default", "file", or the name of the variable or flag.
	From string
	// File, Line and Col are set when From is "file".
	File      string
	Line, Col int
}

func formatDuration(d time.Duration) string { return d.String() }
