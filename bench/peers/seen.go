package peers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sight is what the backend has seen so far, see backend.seen.
type sight struct {
	accepted int                    // connections
	wakes    map[string][]time.Time // first requests after a quiet time, by address
}

// look asks the backend itself, which counts as a connection.
func (l *lab) look(ctx context.Context) (sight, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.backends[0]+"/?", nil)
	if err != nil {
		return sight{}, fmt.Errorf("cannot ask the backend: %w", err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return sight{}, fmt.Errorf("cannot ask the backend: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return sight{}, fmt.Errorf("cannot read the backend's answer: %w", err)
	}
	return parseSight(string(text))
}

func parseSight(text string) (sight, error) {
	s := sight{wakes: map[string][]time.Time{}}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return s, fmt.Errorf("cannot read the backend's answer %q: %w", line, err)
		}
		if name == "accepted" {
			s.accepted = int(n)
			continue
		}
		s.wakes[name] = append(s.wakes[name], time.Unix(0, n))
	}
	return s, nil
}

// first is the first request at an address in [from, until).
func (s *sight) first(addr string, from, until time.Time) (time.Time, bool) {
	for _, at := range s.wakes[addr] {
		if !at.Before(from) && at.Before(until) {
			return at, true
		}
	}
	return time.Time{}, false
}
