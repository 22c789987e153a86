package balance

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// The files under testdata were recorded from nginx 1.22.1 by
// testdata/capture.py. Each case holds the upstream block that nginx ran with.

// recording is one case of a file.
type recording struct {
	name  string
	specs []upstream.Spec
	lines [][]string // words of each line after the block
}

func readRecordings(t *testing.T, file string) []recording {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []recording
	for sc := bufio.NewScanner(f); sc.Scan(); {
		words := strings.Fields(strings.TrimSuffix(sc.Text(), ";"))
		if len(words) == 0 || words[0] == "#" || words[0] == "least_conn" || words[0] == "hash" {
			continue
		}
		if words[0] == "case" {
			all = append(all, recording{name: words[1]})
			continue
		}
		c := &all[len(all)-1]
		if words[0] == "server" {
			c.specs = append(c.specs, parseServer(t, words[1:]))
		} else {
			c.lines = append(c.lines, words)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no cases in %s", file)
	}
	return all
}

// parseServer reads a server line with the defaults of nginx.
func parseServer(t *testing.T, words []string) upstream.Spec {
	t.Helper()
	s := upstream.Spec{Addr: words[0], Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second}
	if port, ok := strings.CutPrefix(s.Addr, "localhost:"); ok {
		s.Addr, s.Host = "127.0.0.1:"+port, "localhost"
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "down":
			s.Down = true
		case "backup":
			s.Backup = true
		case "weight":
			s.Weight, err = strconv.Atoi(value)
		case "max_fails":
			s.MaxFails, err = strconv.Atoi(value)
		case "max_conns":
			s.MaxConns, err = strconv.Atoi(value)
		case "fail_timeout":
			s.FailTimeout, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// replay is a picker that is driven through a recording.
type replay struct {
	t      *testing.T
	picker Picker
	pool   *upstream.Pool
	letter map[*upstream.Server]byte
}

func newReplay(t *testing.T, policy string, specs []upstream.Spec) *replay {
	t.Helper()
	p, err := New(policy, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	pool := upstream.NewPool("test", &upstream.Settings{Prepare: Prepare(policy)})
	pool.Apply(specs, upstream.Meta{})
	r := &replay{t: t, picker: p, pool: pool, letter: map[*upstream.Server]byte{}}
	for i, e := range pool.Load().Entries {
		r.letter[e.Server] = "0123456789abcdefghijklmnopqrstuvwxyz"[i]
	}
	p.Update(pool.Load())
	return r
}

// request sends one request through the tries nginx made ("0-2+": server 0
// failed, 2 answered) and returns those the picker makes.
func (r *replay) request(now int64, key, tries string) string {
	var got strings.Builder
	req := &Request{Now: now, Key: []byte(key)}
	for i := 1; ; i += 2 {
		e := r.picker.Pick(req)
		if e == nil {
			break
		}
		got.WriteByte(r.letter[e.Server])
		if i >= len(tries) {
			break // nginx had stopped: the difference shows
		}
		got.WriteByte(tries[i])
		r.picker.Report(e, tries[i] == '-', now)
		if tries[i] == '+' {
			break
		}
		req.Tried = append(req.Tried, e.Server)
	}
	return got.String()
}

func TestRoundRobinOrderIsNginx(t *testing.T) {
	for _, c := range readRecordings(t, "round_robin.txt") {
		t.Run(c.name, func(t *testing.T) {
			r := newReplay(t, RoundRobin, c.specs)
			for _, line := range c.lines {
				var got strings.Builder
				for range line[1] {
					got.WriteString(r.request(1, "", "?")[:1])
				}
				if got.String() != line[1] {
					t.Fatalf("got  %s\nwant %s", got.String(), line[1])
				}
			}
		})
	}
}

func TestHashIsNginx(t *testing.T)           { testKeys(t, Hash, "hash.txt") }
func TestHashConsistentIsNginx(t *testing.T) { testKeys(t, HashConsistent, "hash_consistent.txt") }

func testKeys(t *testing.T, policy, file string) {
	for _, c := range readRecordings(t, file) {
		t.Run(c.name, func(t *testing.T) {
			r := newReplay(t, policy, c.specs)
			n := 0
			for _, line := range c.lines {
				want := line[1:]
				if line[0] == "pick" {
					want = strings.Split(line[1], "")
				}
				for _, w := range want {
					tries := w
					if line[0] == "pick" {
						tries += "+"
					}
					key := fmt.Sprintf("key-%d", n)
					if got := r.request(1, key, tries); got != tries {
						t.Fatalf("%s: got %s, nginx %s", key, got, tries)
					}
					n++
				}
			}
			if n < 800 {
				t.Fatalf("only %d keys", n)
			}
		})
	}
}

func TestFailuresAreNginx(t *testing.T) {
	for _, c := range readRecordings(t, "failures.txt") {
		t.Run(c.name, func(t *testing.T) {
			policy := RoundRobin
			if strings.HasPrefix(c.name, "lc_") {
				policy = LeastConn
			}
			r := newReplay(t, policy, c.specs)
			for i, line := range c.lines {
				second, err := strconv.ParseInt(line[1], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				want := strings.TrimSuffix(line[2], "none")
				if got := r.request(second*int64(time.Second), "", want); got != want {
					t.Fatalf("request %d: got %q, nginx %q", i, got, want)
				}
			}
		})
	}
}

func TestLeastConnIsNginx(t *testing.T) {
	for _, c := range readRecordings(t, "least_conn.txt") {
		t.Run(c.name, func(t *testing.T) {
			r := newReplay(t, LeastConn, c.specs)
			live := map[string]*upstream.Entry{}
			for i, line := range c.lines {
				id := line[1]
				if line[0] == "end" {
					live[id].Inflight.Add(-1)
					r.picker.Report(live[id], false, 1)
					continue
				}
				got := "none"
				if e := r.picker.Pick(&Request{Now: 1}); e != nil {
					e.Inflight.Add(1)
					live[id] = e
					got = string(r.letter[e.Server])
				}
				if got != line[2] {
					t.Fatalf("line %d, request %s: got %s, nginx %s", i, id, got, line[2])
				}
			}
		})
	}
}
