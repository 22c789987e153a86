package docker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestExecCarriesInputOutputAndExitCode(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "1")
	run(t, x, e, s)
	secured := behindTLS(t, e)
	for name, e := range map[string]Engine{"unix": e, "tls": secured} {
		t.Run(name, func(t *testing.T) {
			big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MB
			var out, errs buffer
			exit, err := x.Exec(t.Context(), e, s.Name, ExecSpec{
				Command: []string{"/probe", "copy"}, In: strings.NewReader(big), Out: &out, Err: &errs,
			})
			if err != nil || exit != 7 {
				t.Fatalf("exit %d, %v, want 7", exit, err)
			}
			if out.String() != big {
				t.Errorf("output has %d bytes, want the %d of the input", len(out.String()), len(big))
			}
			if want := fmt.Sprintf("copied %d <nil>\n", len(big)); errs.String() != want {
				t.Errorf("errors are %q, want %q", errs.String(), want)
			}
		})
	}
}

func TestExecWithoutInputOrOutput(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "1")
	run(t, x, e, s)
	for code := range 3 {
		exit, err := x.Exec(t.Context(), e, s.Name, ExecSpec{Command: []string{"/probe", "exit", fmt.Sprint(code)}})
		if err != nil || exit != code {
			t.Errorf("exit %d, %v, want %d", exit, err, code)
		}
	}
	if exit, err := x.Exec(t.Context(), e, s.Name, ExecSpec{Command: []string{"/missing"}}); err == nil && exit != 126 && exit != 127 {
		t.Errorf("a missing command: exit %d, no error", exit)
	}
	_, err := x.Exec(t.Context(), e, "nobody", ExecSpec{Command: []string{"/probe"}})
	wants(t, err, ErrNotFound)
}

func TestExecTerminalFollowsItsSize(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "1")
	run(t, x, e, s)
	in, typed := io.Pipe()
	defer typed.Close() // ends the goroutine that reads it
	sizes := make(chan [2]uint)
	var out buffer
	type end struct {
		exit int
		err  error
	}
	ended := make(chan end)
	go func() {
		exit, err := x.Exec(t.Context(), e, s.Name, ExecSpec{Command: []string{"/probe", "terminal"}, TTY: true, In: in, Out: &out, Resize: sizes})
		ended <- end{exit, err}
	}()
	for _, size := range [][2]uint{{100, 40}, {132, 50}} {
		sizes <- size
		eventually(t, "the size", func() error { return out.shows(fmt.Sprintf("[%dx%d]", size[0], size[1])) })
	}
	if strings.Contains(out.String(), "no terminal") {
		t.Error(out.String())
	}
	fmt.Fprint(typed, "q\n")
	if got := <-ended; got.err != nil || got.exit != 3 {
		t.Errorf("exit %d, %v, want 3", got.exit, got.err)
	}
	if err := out.shows("read q"); err != nil {
		t.Error(err)
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "1")
	run(t, x, e, s)
	ctx, cancel := context.WithCancel(t.Context())
	var out buffer
	ended := make(chan error)
	go func() {
		_, err := x.Exec(ctx, e, s.Name, ExecSpec{Command: []string{"/probe", "speak", "3"}, Out: &out})
		ended <- err
	}()
	eventually(t, "its output", func() error { return out.shows("out 2") })
	cancel()
	select {
	case err := <-ended:
		wants(t, err, context.Canceled)
	case <-time.After(5 * time.Second):
		t.Fatal("goes on")
	}
}

func TestLogsOfBothStreamsAndWhatFollows(t *testing.T) {
	x, e := world(t)
	s := spec(t, "speak", "20")
	run(t, x, e, s)
	var all buffer
	eventually(t, "logs", func() error {
		all = buffer{}
		if err := x.Logs(t.Context(), e, s.Name, -1, false, &all); err != nil {
			return err
		}
		return errors.Join(all.shows("out 0\n"), all.shows("out 19\n"), all.shows("err 19\n"))
	})
	var last buffer
	ok(t, x.Logs(t.Context(), e, s.Name, 2, false, &last))
	if n := strings.Count(last.String(), "\n"); n != 2 {
		t.Errorf("the last 2 lines are %q", last.String())
	}
	var follow buffer
	ended := make(chan error)
	go func() { ended <- x.Logs(t.Context(), e, s.Name, 0, true, &follow) }()
	ok(t, x.Remove(t.Context(), e, s.Name, 5*time.Second))
	select {
	case err := <-ended:
		ok(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("follows a container that is gone")
	}
	if err := x.Logs(t.Context(), e, "nobody", 1, false, io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("logs of nobody: %v", err)
	}
}

func frame(stream byte, text string) string {
	var b [8]byte
	b[0] = stream
	binary.BigEndian.PutUint32(b[4:], uint32(len(text)))
	return string(b[:]) + text
}

func TestDemux(t *testing.T) {
	for _, test := range []struct{ name, input, out, errs, fails string }{
		{"nothing", "", "", "", ""},
		{"both", frame(1, "a") + frame(2, "b") + frame(1, "") + frame(0, "c"), "ac", "b", ""},
		{"cut in a header", frame(1, "a")[:5], "", "", "unexpected EOF"},
		{"cut in a payload", frame(1, "abc")[:9], "a", "", "after 1 of 3 bytes"},
		{"unknown stream", frame(9, "a"), "", "", "stream 9"},
		{"no frame at all", "HTTP/1.1 200 OK", "", "", "is no frame"},
		{"the engine's error", frame(1, "a") + frame(3, "disk full"), "a", "", "disk full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			err := demux(strings.NewReader(test.input), &out, &errs)
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error is %v, want %q", err, test.fails)
			}
			if out.String() != test.out || errs.String() != test.errs {
				t.Errorf("out %q, err %q, want %q and %q", out.String(), errs.String(), test.out, test.errs)
			}
		})
	}
}

func FuzzDemux(f *testing.F) {
	f.Add([]byte(frame(1, "a") + frame(2, "bc")))
	f.Add([]byte(frame(3, "x")))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, input []byte) {
		var out, errs bytes.Buffer
		err := demux(bytes.NewReader(input), &out, &errs)
		carried := out.Len() + errs.Len()
		if carried > len(input) {
			t.Errorf("%d bytes came out of %d", carried, len(input))
		}
		if err == nil && (len(input)-carried)%8 != 0 {
			t.Errorf("no error, but %d bytes are neither payload nor whole headers", len(input)-carried)
		}
	})
}
