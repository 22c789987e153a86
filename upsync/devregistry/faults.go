package devregistry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Answer is what the registry is about to answer, for a fault to spoil.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Spoil lets a fault change the registry's answer before it is sent. It makes
// the answer after a blocking query has waited, like the answer itself.
func Spoil(change func(*Answer)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			a := answerOf(next, w, req)
			change(a)
			a.writeTo(w)
		})
	}
}

// capture holds an answer back. It unwraps to the writer below, so that the
// request log still knows the request.
type capture struct {
	http.ResponseWriter
	answer Answer
}

func (c *capture) Unwrap() http.ResponseWriter { return c.ResponseWriter }
func (c *capture) Header() http.Header         { return c.answer.Header }
func (c *capture) WriteHeader(status int)      { c.answer.Status = status }

func (c *capture) Write(b []byte) (int, error) {
	c.answer.Body = append(c.answer.Body, b...)
	return len(b), nil
}

func answerOf(next http.Handler, w http.ResponseWriter, req *http.Request) *Answer {
	c := &capture{ResponseWriter: w, answer: Answer{Status: http.StatusOK, Header: w.Header().Clone()}}
	next.ServeHTTP(c, req)
	return &c.answer
}

func (a *Answer) writeHead(w http.ResponseWriter) {
	h := w.Header()
	clear(h)
	for name, values := range a.Header {
		h[name] = values
	}
	w.WriteHeader(a.Status)
}

func (a *Answer) writeTo(w http.ResponseWriter) {
	a.writeHead(w)
	_, _ = w.Write(a.Body)
}

// Chain puts several faults on one request; the first is the outermost and
// has the last word.
func Chain(faults ...Fault) Fault {
	return func(next http.Handler) http.Handler {
		for i := len(faults) - 1; i >= 0; i-- {
			next = faults[i](next)
		}
		return next
	}
}

// Respond answers in the registry's place, without asking it.
func Respond(status int, body string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
}

// NoLeader is a cluster that lost its leader.
func NoLeader() Fault { return Respond(http.StatusInternalServerError, "No cluster leader") }

// Forbidden is a token that was revoked.
func Forbidden() Fault { return Respond(http.StatusForbidden, "ACL not found") }

// TooManyRequests is a rate limit; retryAfter 0 sends no Retry-After.
func TooManyRequests(retryAfter time.Duration) Fault {
	limit := Respond(http.StatusTooManyRequests, "Your IP is issuing too many concurrent connections, please rate limit your calls\n")
	if retryAfter == 0 {
		return limit
	}
	seconds := strconv.Itoa(int((retryAfter + time.Second - 1) / time.Second))
	return Chain(SetHeader("Retry-After", seconds), limit)
}

// SetHeader replaces a header of the answer; an empty value removes it.
func SetHeader(name, value string) Fault {
	return Spoil(func(a *Answer) {
		a.Header.Del(name)
		if value != "" {
			a.Header.Set(name, value)
		}
	})
}

// Index replaces X-Consul-Index, by anything: "0", "-1", "soon", a number too
// large; "" removes it.
func Index(value string) Fault { return SetHeader("X-Consul-Index", value) }

// LastContact is a server that has not heard of its leader for that long.
func LastContact(d time.Duration) Fault {
	return SetHeader("X-Consul-Lastcontact", strconv.FormatInt(d.Milliseconds(), 10))
}

// KnownLeader replaces X-Consul-KnownLeader.
func KnownLeader(known bool) Fault {
	return SetHeader("X-Consul-Knownleader", strconv.FormatBool(known))
}

// FilteredByACLs claims that the answer was filtered.
func FilteredByACLs() Fault { return SetHeader("X-Consul-Results-Filtered-By-Acls", "true") }

// ContentType replaces the content type and nothing else.
func ContentType(value string) Fault { return SetHeader("Content-Type", value) }

// Status replaces the status and leaves headers and body.
func Status(status int) Fault { return Spoil(func(a *Answer) { a.Status = status }) }

// Body replaces the body of the answer, 200, and leaves its headers: "",
// "[]", "null", or what is no JSON.
func Body(body string) Fault {
	return Spoil(func(a *Answer) { a.Status, a.Body = http.StatusOK, []byte(body) })
}

// InvalidJSON answers with something that begins like JSON.
func InvalidJSON() Fault { return Body(`[{"Key": nonsense}]`) }

// HTML answers with the page of a load balancer.
func HTML() Fault {
	return Chain(ContentType("text/html"), Body("<html><body><h1>503 Service Unavailable</h1></body></html>"))
}

// TruncateJSON keeps the first part of the body, as a complete answer.
func TruncateJSON(keep float64) Fault {
	return Spoil(func(a *Answer) { a.Body = a.Body[:int(float64(len(a.Body))*keep)] })
}

// Gzip compresses the body whether or not it was asked for.
func Gzip() Fault {
	return Spoil(func(a *Answer) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(a.Body)
		_ = z.Close()
		a.Body = b.Bytes()
		a.Header.Set("Content-Encoding", "gzip")
		a.Header.Del("Content-Length")
	})
}

// Redirect sends the client to the same path at base, such as
// "http://127.0.0.1:8501".
func Redirect(status int, base string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Location", base+req.URL.RequestURI())
			w.WriteHeader(status)
		})
	}
}

// From answers from another registry: a server that disagrees.
func From(other *Registry) Fault {
	return func(http.Handler) http.Handler { return other.Handler() }
}

// HugeKV answers with about that many bytes of KV pairs, made on the way:
// valid JSON below prefix, 1 KiB a value.
func HugeKV(prefix string, size int64) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Consul-Index", "1000000")
			writeHuge(w, prefix, size)
		})
	}
}

func writeHuge(w http.ResponseWriter, prefix string, size int64) {
	value := bytes.Repeat([]byte("QUFB"), 341)
	sep := "["
	for i, sent := 0, int64(0); sent < size; i++ {
		n, err := fmt.Fprintf(w, `%s{"LockIndex":0,"Key":"%s10.0.0.1:%d","Flags":0,"Value":"%s","CreateIndex":1,"ModifyIndex":1}`,
			sep, prefix, i, value)
		if err != nil {
			return
		}
		sep = ","
		sent += int64(n)
	}
	_, _ = w.Write([]byte("]"))
}

// Delay waits before the registry sees the request.
func Delay(d time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if pause(req.Context(), d) {
				next.ServeHTTP(w, req)
			}
		})
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Hang takes the request and never answers; it ends with the connection.
func Hang() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	}
}

// HangAfter sends the head and the first n bytes of the body, then nothing.
func HangAfter(n int) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			a := answerOf(next, w, req)
			a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)+1))
			a.writeHead(w)
			_, _ = w.Write(a.Body[:min(n, len(a.Body))])
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		})
	}
}

// ChunkedWithoutEnd sends the whole body in chunks and never the last one.
func ChunkedWithoutEnd() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			a := answerOf(next, w, req)
			a.Header.Del("Content-Length")
			a.writeTo(w)
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		})
	}
}

// SlowBody sends the body at that rate.
func SlowBody(bytesPerSecond int) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			a := answerOf(next, w, req)
			a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
			a.writeHead(w)
			rc := http.NewResponseController(w)
			step := max(1, bytesPerSecond/10)
			for len(a.Body) > 0 {
				n := min(step, len(a.Body))
				_, _ = w.Write(a.Body[:n])
				_ = rc.Flush()
				a.Body = a.Body[n:]
				if !pause(req.Context(), time.Duration(n)*time.Second/time.Duration(bytesPerSecond)) {
					return
				}
			}
		})
	}
}

// Truncate announces the whole body, sends the first n bytes and closes.
func Truncate(n int) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			a := answerOf(next, w, req)
			a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
			a.writeHead(w)
			_, _ = w.Write(a.Body[:min(n, len(a.Body))])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	}
}

// Drop closes the connection without an answer.
func Drop() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}
}

// Reset closes the connection with a RST. Over HTTP/2 it resets the stream.
func Reset() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			hijacked, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if t, ok := hijacked.(*tls.Conn); ok {
				hijacked = t.NetConn()
			}
			if c, ok := hijacked.(*conn); ok {
				c.reset()
				return
			}
			_ = hijacked.Close()
		})
	}
}
