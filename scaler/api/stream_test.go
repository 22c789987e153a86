package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shell is a command that answers what it reads, and tells sizes.
func shell(ctx context.Context, _ ExecRequest, s Streams) (int, error) {
	for {
		select {
		case size := <-s.Resize:
			fmt.Fprintf(s.Err, "size %dx%d\n", size[0], size[1])
			continue
		default:
		}
		text, err := io.ReadAll(s.In)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(s.Out, "%s!", text)
		return 42, nil
	}
}

func TestExecCarriesInputOutputSizeAndExitCode(t *testing.T) {
	b := &fake{exec: shell}
	_, c := serve(t, b)
	var out, errs bytes.Buffer
	r := ExecRequest{Instance: "web/1", Command: []string{"cat", "-n"}, TTY: true, Columns: 80, Rows: 24}
	input := strings.Repeat("0123456789", 50_000)
	exit, err := c.Exec(context.Background(), r, Streams{In: strings.NewReader(input), Out: &out, Err: &errs})
	if exit != 42 || err != nil {
		t.Errorf("exit %d, %v", exit, err)
	}
	if out.String() != input+"!" || errs.String() != "size 80x24\n" {
		t.Errorf("output of %d bytes, errors %q", out.Len(), errs.String())
	}
	r.By = "ann"
	if diff := cmp.Diff(r, b.last()); diff != "" {
		t.Errorf("asked (-want +got)\n%s", diff)
	}
}

func TestExecTellsNewSizes(t *testing.T) {
	b := &fake{exec: func(ctx context.Context, _ ExecRequest, s Streams) (int, error) {
		size := <-s.Resize
		return int(size[0]*1000 + size[1]), nil
	}}
	_, c := serve(t, b)
	sizes := make(chan [2]uint, 1)
	sizes <- [2]uint{132, 43}
	exit, err := c.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{Resize: sizes})
	if exit != 132_043 || err != nil {
		t.Errorf("exit %d, %v", exit, err)
	}
}

// What is left unread of the input must not take the end of the output with it.
func TestExecEndsWellWithInputUnderWay(t *testing.T) {
	b := &fake{exec: func(_ context.Context, _ ExecRequest, s Streams) (int, error) {
		fmt.Fprint(s.Out, "last words")
		return 7, nil
	}}
	_, c := serve(t, b)
	for range 20 {
		var out bytes.Buffer
		exit, err := c.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}},
			Streams{In: strings.NewReader(strings.Repeat("x", 1<<20)), Out: &out})
		if exit != 7 || err != nil || out.String() != "last words" {
			t.Fatalf("exit %d, %v, %q", exit, err, out.String())
		}
	}
}

func TestExecFails(t *testing.T) {
	b := &fake{err: fmt.Errorf("instance x: %w", ErrNotFound)}
	_, c := serve(t, b)
	_, err := c.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{})
	if !errors.Is(err, ErrNotFound) || err.Error() != "instance x: not found" {
		t.Errorf("error %v", err)
	}
	wrong, _ := NewClient(c.options)
	wrong.options.Token = "wrong"
	_, err = wrong.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{})
	var answer *Error
	if !errors.As(err, &answer) || answer.Status != 401 {
		t.Errorf("with a wrong token: %v", err)
	}
}

// A client that goes away ends what it started.
func TestExecEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	b := &fake{exec: func(ctx context.Context, _ ExecRequest, s Streams) (int, error) {
		fmt.Fprint(s.Out, "started")
		<-ctx.Done()
		ended <- ctx.Err()
		return 0, ctx.Err()
	}}
	_, c := serve(t, b)
	ctx, leave := context.WithCancel(context.Background())
	out := writerFunc(func(p []byte) (int, error) { leave(); return len(p), nil })
	if _, err := c.Exec(ctx, ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{Out: out}); !errors.Is(err, context.Canceled) {
		t.Errorf("the client ends with %v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the command goes on")
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestShutdownEndsStreams(t *testing.T) {
	started := make(chan struct{})
	b := &fake{exec: func(ctx context.Context, _ ExecRequest, _ Streams) (int, error) {
		close(started)
		<-ctx.Done()
		return 0, fmt.Errorf("the scaler is going away: %w", ErrUnavailable)
	}}
	s, c := serve(t, b)
	go func() {
		<-started
		_ = s.Shutdown(context.Background())
	}()
	if _, err := c.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the client is told %v", err)
	}
}

func TestStreamsFollowTheLeader(t *testing.T) {
	ls, _ := serve(t, &fake{exec: shell})
	_, c := serve(t, &fake{leader: "http://" + ls.Addr().String()})
	var out bytes.Buffer
	exit, err := c.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{In: strings.NewReader("hi"), Out: &out, Err: io.Discard})
	if exit != 42 || err != nil || out.String() != "hi!" {
		t.Errorf("exit %d, %v, %q", exit, err, out.String())
	}
}

func TestRunTellsWhatItStarted(t *testing.T) {
	_, c := serve(t, &fake{})
	var out bytes.Buffer
	r, err := c.Run(context.Background(), RunRequest{Image: "img"}, Streams{Out: &out})
	want := RunResult{Instance: Instance{ID: "run-1", Image: "img"}, Exit: 3}
	if diff := cmp.Diff(want, r); diff != "" || err != nil || out.String() != "running img\n" {
		t.Errorf("%v, %q (-want +got)\n%s", err, out.String(), diff)
	}
}

func TestLogsFollowUntilTheClientLeaves(t *testing.T) {
	b := &fake{}
	_, c := serve(t, b)
	ctx, leave := context.WithCancel(context.Background())
	var text safeBuffer
	out := writerFunc(func(p []byte) (int, error) { leave(); return text.Write(p) })
	if err := c.Logs(ctx, LogsRequest{Instance: "web-1", Tail: 3, Follow: true}, out); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(LogsRequest{"web-1", 3, true}, b.last()); diff != "" || text.String() != "one\n" {
		t.Errorf("%q (-want +got)\n%s", text.String(), diff)
	}
	b.err = ErrNotFound
	if err := c.Logs(context.Background(), LogsRequest{Instance: "web-1"}, io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{frameOut, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{frameExit, 0, 0, 0, 4, 0, 0, 0, 1})
	f.Add([]byte{frameSize, 0, 0, 0, 4, 0, 80, 0, 24})
	f.Add([]byte{frameFailed, 0, 0, 0, 1, '{'})
	f.Add([]byte{frameIn, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, stream []byte) {
		buf := make([]byte, maxFrame)
		from, read := bytes.NewReader(stream), 0
		for {
			kind, payload, err := readFrame(from, buf)
			if err != nil {
				break
			}
			if read += frameHead + len(payload); stream[read-len(payload)-frameHead] != kind {
				t.Fatalf("kind %q at %d", kind, read)
			}
			parseSize(payload)
			if _, _, err := parseExit(payload); err == nil && len(payload) < 4 {
				t.Fatalf("exit code of %d bytes", len(payload))
			}
		}
		_, _, _ = present(bytes.NewReader(stream), Streams{})
	})
}
