package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Field is one header field of a request.
type Field struct {
	Name, Value string
}

// Request is one kind of request of a plan. Path, field values and Body may hold
// placeholders, as may Expect's texts:
//
//	{id}         16 digits, different in each request of a run
//	{random:N}   a number below N, as many digits as N-1 has
//
// Placeholders have a fixed width, so that requests are rendered once and only
// their digits change.
type Request struct {
	Name   string // in reports; empty: method and path
	Weight int    // share in the mix; 0 counts as 1
	Method string // empty: GET
	Path   string // target in origin-form; empty: /
	Header []Field
	Body   []byte
	Expect Expect
}

// Expect is what an answer must be; one that is not counts as an error.
type Expect struct {
	Status   []int  // allowed codes; empty: all below 400
	Contains string // must be in the body
	Equals   string // must be the body; empty: anything
	Bytes    int64  // length of the body; 0: any
}

// message is a request ready to be sent.
type message struct {
	name     string
	text     template
	head     bool // the answer has no body
	status   []int
	contains template
	equals   template
	bytes    int64
	capture  bool // the body must be kept to be checked
}

// plan is the compiled mix. It is shared by all lanes and never changes.
type plan struct {
	messages []message
	mix      []uint16 // indexes into messages, in the order of sending
}

// maxMix bounds the sum of weights.
const maxMix = 10_000

// compile renders the requests to one host. fresh asks the server to close
// after each answer.
func compile(requests []Request, host string, fresh bool, seed uint64) (*plan, error) {
	if len(requests) == 0 {
		requests = []Request{{}}
	}
	p := new(plan)
	for i := range requests {
		m, err := requests[i].compile(host, fresh)
		if err != nil {
			return nil, fmt.Errorf("cannot use request %d: %w", i+1, err)
		}
		p.messages = append(p.messages, m)
		weight := max(requests[i].Weight, 1)
		if len(p.mix)+weight > maxMix {
			return nil, fmt.Errorf("cannot use request %d: the weights add up to more than %d", i+1, maxMix)
		}
		p.mix = append(p.mix, slices.Repeat([]uint16{uint16(i)}, weight)...)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(p.mix), func(i, j int) { p.mix[i], p.mix[j] = p.mix[j], p.mix[i] })
	return p, nil
}

// single is the only message of the plan, nil if there are several or it
// changes from request to request.
func (p *plan) single() *message {
	if len(p.messages) > 1 || len(p.messages[0].text.gaps) > 0 {
		return nil
	}
	return &p.messages[0]
}

func (r *Request) compile(host string, fresh bool) (message, error) {
	method, path := r.Method, r.Path
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = "/"
	}
	if err := r.check(method, path); err != nil {
		return message{}, err
	}
	m := message{
		name: r.Name, head: method == "HEAD", status: r.Expect.Status, bytes: r.Expect.Bytes,
		capture: r.Expect.Contains != "" || r.Expect.Equals != "" || r.Expect.Bytes > 0,
	}
	if m.name == "" {
		m.name = method + " " + path
	}
	var err error
	for _, part := range []struct {
		into *template
		text string
	}{{&m.text, r.render(method, path, host, fresh)}, {&m.contains, r.Expect.Contains}, {&m.equals, r.Expect.Equals}} {
		if *part.into, err = parseTemplate(part.text); err != nil {
			return message{}, err
		}
	}
	return m, nil
}

// check refuses what would break the framing of the request.
func (r *Request) check(method, path string) error {
	if strings.ContainsAny(method, " \t\r\n:") {
		return fmt.Errorf("%q is no method", method)
	}
	if path[0] != '/' || strings.ContainsAny(path, " \t\r\n") {
		return fmt.Errorf("%q is no path that starts with / and has no spaces", path)
	}
	for _, f := range r.Header {
		if f.Name == "" || strings.ContainsAny(f.Name, " \t\r\n:") || strings.ContainsAny(f.Value, "\r\n") {
			return fmt.Errorf("%q: %q is no header field", f.Name, f.Value)
		}
		if equalFold([]byte(f.Name), "content-length") || equalFold([]byte(f.Name), "transfer-encoding") {
			return fmt.Errorf("%s is set from the body, not by hand", f.Name)
		}
	}
	return nil
}

func (r *Request) render(method, path, host string, fresh bool) string {
	var b strings.Builder
	b.WriteString(method + " " + path + " HTTP/1.1\r\n")
	if !r.has("host") {
		b.WriteString("Host: " + host + "\r\n")
	}
	for _, f := range r.Header {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	if fresh && !r.has("connection") {
		b.WriteString("Connection: close\r\n")
	}
	if len(r.Body) > 0 || method == "POST" || method == "PUT" || method == "PATCH" {
		b.WriteString("Content-Length: " + strconv.Itoa(expandedLen(r.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.String()
}

func (r *Request) has(lower string) bool {
	return slices.ContainsFunc(r.Header, func(f Field) bool { return equalFold([]byte(f.Name), lower) })
}

// verdict judges an answer to the request with that id.
func (m *message) verdict(status int, body []byte, id uint64, scratch *[]byte) (kind Kind, ok bool) {
	switch {
	case len(m.status) == 0 && status >= 400, len(m.status) > 0 && !slices.Contains(m.status, status):
		return BadStatus, false
	case !m.capture || m.head:
		return 0, true
	case m.bytes > 0 && int64(len(body)) != m.bytes:
		return BadBody, false
	}
	if len(m.contains.text) > 0 {
		if *scratch = m.contains.append((*scratch)[:0], id); !bytes.Contains(body, *scratch) {
			return BadBody, false
		}
	}
	if len(m.equals.text) > 0 {
		if *scratch = m.equals.append((*scratch)[:0], id); !bytes.Equal(body, *scratch) {
			return BadBody, false
		}
	}
	return 0, true
}
