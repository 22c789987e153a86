package api

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// A stream is what a connection becomes when exec or run is answered with 101.
// Both directions are frames:
//
//	 0      1                 5
//	+------+-----------------+------------------ - -
//	| type | length (uint32) | payload: length bytes
//	+------+-----------------+------------------ - -
//
// The client sends input, its end, and sizes of its terminal; the server sends
// output, and at the end exactly one of exit and failed. Numbers are
// big-endian. Unknown types are skipped, so that either side may be newer.
const streamProtocol = "spillway-stream"

// Types of frames.
const (
	frameIn     = 'i' // bytes typed
	frameEOF    = 'e' // no more of them
	frameSize   = 's' // columns and rows, two uint16
	frameOut    = 'o' // bytes of standard output
	frameErr    = 'r' // bytes of standard error
	frameExit   = 'x' // the exit code, an int32; run: and RunResult as JSON
	frameFailed = 'f' // failure as JSON
)

const (
	frameHead = 5
	// maxFrame is the longest payload that is sent, or believed.
	maxFrame = 64 << 10
)

// readFrame reads one frame into buf, which holds maxFrame bytes.
func readFrame(from io.Reader, buf []byte) (kind byte, payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("cannot read frame of %d bytes: most are %d", n, maxFrame)
	}
	if _, err := io.ReadFull(from, buf[:n]); err != nil {
		return 0, nil, fmt.Errorf("cannot read frame: %w", io.ErrUnexpectedEOF)
	}
	return head[0], buf[:n], nil
}

// deadliner is the part of a connection that bounds a write.
type deadliner interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// frameWriter writes frames, each in one piece. It is safe for concurrent use.
type frameWriter struct {
	mu  sync.Mutex
	to  deadliner
	buf []byte
}

func (w *frameWriter) write(kind byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		part := payload[:min(len(payload), maxFrame)]
		w.buf = append(append(w.buf[:0], kind), 0, 0, 0, 0)
		binary.BigEndian.PutUint32(w.buf[1:], uint32(len(part)))
		w.buf = append(w.buf, part...)
		if err := w.to.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := w.to.Write(w.buf); err != nil {
			return err
		}
		if payload = payload[len(part):]; len(payload) == 0 {
			return nil
		}
	}
}

// output writes what it is given as frames of one type.
type output struct {
	frames *frameWriter
	kind   byte
	failed func() // on the first error: the other side is gone
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := o.frames.write(o.kind, p); err != nil {
		o.failed()
		return 0, fmt.Errorf("cannot write stream: %w", err)
	}
	return len(p), nil
}

func sizePayload(columns, rows uint) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(min(columns, 65535)))
	return binary.BigEndian.AppendUint16(b, uint16(min(rows, 65535)))
}

func parseSize(payload []byte) (size [2]uint, ok bool) {
	if len(payload) != 4 {
		return size, false
	}
	return [2]uint{uint(binary.BigEndian.Uint16(payload)), uint(binary.BigEndian.Uint16(payload[2:]))}, true
}

func exitPayload(code int, result *RunResult) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(int32(code)))
	if result != nil {
		b = append(b, encoded(result)...)
	}
	return b
}

// encoded is JSON of our own types, which always have one.
func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cannot encode a frame: " + err.Error())
	}
	return text
}

func parseExit(payload []byte) (code int, result *RunResult, err error) {
	if len(payload) < 4 {
		return 0, nil, fmt.Errorf("cannot read exit code: %d bytes", len(payload))
	}
	code = int(int32(binary.BigEndian.Uint32(payload)))
	if len(payload) > 4 {
		result = new(RunResult)
		if err := json.Unmarshal(payload[4:], result); err != nil {
			return 0, nil, fmt.Errorf("cannot read result of run: %w", err)
		}
	}
	return code, result, nil
}
