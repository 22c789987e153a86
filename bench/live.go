package bench

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"spillway/bench/load"
	"spillway/bench/report"
)

// liveNotes steers a run by lines of text and keeps what they say happened.
type liveNotes struct {
	control *load.Control

	mu     sync.Mutex
	events []report.Event
}

// follow reads lines until the end of input: "rate N" changes the rate of an
// open loop, "event TEXT" marks the timeline. What it cannot use it says to
// problems, and goes on.
func (n *liveNotes) follow(in io.Reader, problems io.Writer) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := n.line(strings.TrimSpace(lines.Text())); err != nil {
			fmt.Fprintln(problems, err)
		}
	}
}

func (n *liveNotes) line(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "":
		return nil
	case "event":
		n.mark(rest)
		return nil
	case "rate":
		rate, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err != nil {
			return fmt.Errorf("cannot change the rate: %q is no number", rest)
		}
		if err := n.control.SetRate(rate); err != nil {
			return err
		}
		n.mark(text)
		return nil
	}
	return fmt.Errorf("cannot use %q: want 'rate N' or 'event TEXT'", text)
}

func (n *liveNotes) mark(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, report.Event{At: round(n.control.Elapsed().Seconds(), 3), Text: text})
}

func (n *liveNotes) take() []report.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.events
}
