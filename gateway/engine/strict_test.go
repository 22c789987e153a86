package engine_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// This file is the suite's own reading of RFC 9112. It shares no code with
// the gateway, accepts one spelling only, and is what proves that a forwarded
// message is well-formed and alone.

type framing int

const (
	noBody framing = iota
	lengthBody
	chunkedBody
	closeBody
)

type field struct{ Name, Value string }

// message is one request or answer as read from the wire.
type message struct {
	Start   string // start line without CRLF
	Method  string
	Target  string
	Status  int
	Head    string // start line, fields and the empty line, as received
	Fields  []field
	Framing framing
	Length  int64 // announced with Content-Length, -1 none
	Body    []byte
	Trailer []field
}

// all returns the values of every line of that name, in order.
func (m *message) all(name string) []string {
	var vs []string
	for _, f := range m.Fields {
		if strings.EqualFold(f.Name, name) {
			vs = append(vs, f.Value)
		}
	}
	return vs
}

// get returns the lines of that name joined as one list.
func (m *message) get(name string) string { return strings.Join(m.all(name), ", ") }

func (m *message) has(name string) bool { return len(m.all(name)) > 0 }

// connection reports whether Connection lists the option.
func (m *message) connection(option string) bool {
	for o := range strings.SplitSeq(m.get("Connection"), ",") {
		if strings.EqualFold(strings.TrimSpace(o), option) {
			return true
		}
	}
	return false
}

// errTruncated marks a message that ended before its framing said so: cut,
// but not malformed up to there.
var errTruncated = errors.New("message is cut")

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	return err
}

const strictLineLimit = 1 << 20

// readLine returns one line without its CRLF. Any other CR, LF or control
// byte but a tab is an error.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < strictLineLimit {
		c, err := r.ReadByte()
		if err != nil {
			if err == io.EOF && len(line) > 0 {
				err = errTruncated
			}
			return "", err
		}
		switch {
		case c == '\r':
			next, err := r.ReadByte()
			if err != nil {
				return "", truncated(err)
			}
			if next != '\n' {
				return "", fmt.Errorf("bare CR after %q", line)
			}
			return string(line), nil
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", fmt.Errorf("control byte %#02x after %q", c, line)
		}
		line = append(line, c)
	}
	return "", errors.New("line without end")
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// readFields reads field lines up to and including the empty line.
func readFields(r *bufio.Reader, raw *strings.Builder) ([]field, error) {
	var fields []field
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, truncated(err)
		}
		raw.WriteString(line + "\r\n")
		if line == "" {
			return fields, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, fmt.Errorf("malformed field line %q", line)
		}
		fields = append(fields, field{name, strings.Trim(value, " \t")})
	}
}

func readHead(r *bufio.Reader) (*message, error) {
	start, err := readLine(r)
	if err != nil {
		return nil, err
	}
	var raw strings.Builder
	raw.WriteString(start + "\r\n")
	m := &message{Start: start, Length: -1}
	if m.Fields, err = readFields(r, &raw); err != nil {
		return nil, err
	}
	m.Head = raw.String()
	return m, m.setFraming()
}

// setFraming accepts either one Content-Length of digits or exactly
// "Transfer-Encoding: chunked", never both.
func (m *message) setFraming() error {
	cl, te := m.all("Content-Length"), m.all("Transfer-Encoding")
	switch {
	case len(cl)+len(te) > 1:
		return fmt.Errorf("ambiguous framing: Content-Length %q, Transfer-Encoding %q", cl, te)
	case len(te) == 1 && te[0] != "chunked":
		return fmt.Errorf("Transfer-Encoding %q", te[0])
	case len(te) == 1:
		m.Framing = chunkedBody
	case len(cl) == 1:
		n, err := strconv.ParseInt(cl[0], 10, 64)
		if err != nil || !isDigits(cl[0]) {
			return fmt.Errorf("Content-Length %q", cl[0])
		}
		m.Framing, m.Length = lengthBody, n
	}
	return nil
}

// readRequest reads one request as the gateway may send it: io.EOF when there
// is none, errTruncated when it is cut.
func readRequest(r *bufio.Reader) (*message, error) {
	m, err := readHead(r)
	if err != nil {
		return nil, err
	}
	if err := m.checkRequestLine(); err != nil {
		return m, err
	}
	if err := m.checkForwarded(); err != nil {
		return m, err
	}
	return m, m.readBody(r)
}

func (m *message) checkRequestLine() error {
	parts := strings.Split(m.Start, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[2] != "HTTP/1.1" {
		return fmt.Errorf("malformed request line %q", m.Start)
	}
	m.Method, m.Target = parts[0], parts[1]
	if m.Method == "CONNECT" {
		host, port, _ := strings.Cut(m.Target, ":")
		return ifErr(host == "" || !isDigits(port), "target %q is not in authority-form", m.Target)
	}
	if m.Target != "*" && !strings.HasPrefix(m.Target, "/") {
		return fmt.Errorf("target %q is not in origin-form", m.Target)
	}
	if m.Target == "*" && m.Method != "OPTIONS" {
		return fmt.Errorf("target * with %s", m.Method)
	}
	return nil
}

// checkForwarded checks what every request owes that left the gateway: one
// Host, and no field that belongs to another connection.
func (m *message) checkForwarded() error {
	if n := len(m.all("Host")); n != 1 {
		return fmt.Errorf("%d Host fields in %q", n, m.Head)
	}
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "HTTP2-Settings"} {
		if m.has(name) {
			return fmt.Errorf("hop-by-hop field %s was forwarded in %q", name, m.Head)
		}
	}
	if te := m.get("TE"); te != "" && !strings.EqualFold(te, "trailers") {
		return fmt.Errorf("TE %q was forwarded", te)
	}
	for o := range strings.SplitSeq(m.get("Connection"), ",") {
		switch strings.ToLower(strings.TrimSpace(o)) {
		case "", "close", "keep-alive", "te":
		case "upgrade":
			if !m.has("Upgrade") {
				return fmt.Errorf("Connection: upgrade without Upgrade in %q", m.Head)
			}
		default:
			return fmt.Errorf("foreign Connection option %q in %q", o, m.Head)
		}
	}
	if m.has("Upgrade") && !m.connection("upgrade") {
		return fmt.Errorf("Upgrade without Connection: upgrade in %q", m.Head)
	}
	return nil
}

// readAnswer reads one answer, interim ones included, to a request of that
// method. The body of a close-delimited one is read to the end.
func readAnswer(r *bufio.Reader, method string) (*message, error) {
	m, err := readHead(r)
	if err != nil {
		return m, err
	}
	version, rest, _ := strings.Cut(m.Start, " ")
	code, _, ok := strings.Cut(rest, " ")
	if version != "HTTP/1.1" || !ok || len(code) != 3 || !isDigits(code) || code[0] == '0' {
		return m, fmt.Errorf("malformed status line %q", m.Start)
	}
	m.Status, _ = strconv.Atoi(code)
	bodyless := m.Status < 200 || m.Status == 204 || method == "CONNECT" && m.Status < 300
	if bodyless && m.Framing != noBody {
		return m, fmt.Errorf("framing fields in an answer that has no body: %q", m.Head)
	}
	switch {
	case bodyless || m.Status == 304 || method == "HEAD":
		m.Framing = noBody
	case m.Framing == noBody:
		m.Framing = closeBody
	}
	return m, m.readBody(r)
}

func (m *message) readBody(r *bufio.Reader) (err error) {
	switch m.Framing {
	case lengthBody:
		m.Body, err = readN(r, m.Length)
	case chunkedBody:
		err = m.readChunks(r)
	case closeBody:
		m.Body, err = io.ReadAll(r)
	}
	return truncated(err)
}

// readN reads n bytes without believing n before they arrive.
func readN(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	got, err := io.CopyN(&b, r, n)
	if got < n && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

// readChunks accepts chunk headers of lower- or upper-case hex digits alone.
func (m *message) readChunks(r *bufio.Reader) error {
	for {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		if line == "" || len(line) > 16 || strings.Trim(line, "0123456789abcdefABCDEF") != "" {
			return fmt.Errorf("malformed chunk header %q", line)
		}
		n, err := strconv.ParseInt(line, 16, 63)
		if err != nil {
			return fmt.Errorf("chunk header %q: %w", line, err)
		}
		if n == 0 {
			m.Trailer, err = readFields(r, new(strings.Builder))
			return err
		}
		data, err := readN(r, n)
		m.Body = append(m.Body, data...)
		if err != nil {
			return err
		}
		if end, err := readLine(r); err != nil || end != "" {
			return errors.Join(err, ifErr(end != "", "chunk data goes on with %q", end))
		}
	}
}

func ifErr(is bool, format string, args ...any) error {
	if !is {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// readRequests reads everything an upstream connection carried: any number of
// complete requests and perhaps a cut one, whose bytes are rest. net/http
// must agree on each complete one.
func readRequests(raw []byte) (whole []*message, rest []byte, err error) {
	src := bytes.NewReader(raw)
	r := bufio.NewReader(src)
	std := bufio.NewReader(bytes.NewReader(raw))
	at := 0
	for {
		m, err := readRequest(r)
		switch {
		case err == io.EOF:
			return whole, nil, nil
		case errors.Is(err, errTruncated):
			return whole, raw[at:], nil
		case err != nil:
			return whole, raw[at:], err
		}
		if err := agree(std, m); err != nil {
			return whole, raw[at:], err
		}
		whole = append(whole, m)
		at = len(raw) - src.Len() - r.Buffered()
	}
}

// agree reads the next request with net/http and compares what it means.
func agree(std *bufio.Reader, m *message) error {
	req, err := http.ReadRequest(std)
	if err != nil {
		return fmt.Errorf("net/http does not read %q: %w", m.Head, err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return fmt.Errorf("net/http does not read the body of %q: %w", m.Head, err)
	}
	switch {
	case req.Method != m.Method || req.RequestURI != m.Target || req.Host != m.get("Host"):
		return fmt.Errorf("net/http reads %s %s of %s from %q", req.Method, req.RequestURI, req.Host, m.Head)
	case !bytes.Equal(body, m.Body):
		return fmt.Errorf("net/http reads %d bytes of body, the strict reader %d, from %q", len(body), len(m.Body), m.Head)
	}
	return nil
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
