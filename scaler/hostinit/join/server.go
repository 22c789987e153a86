package join

import (
	"archive/tar"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Options of a Server; all are required.
type Options struct {
	CA *CA
	// Belongs says what the cloud's list knows of a machine, if the order has
	// one of that id.
	Belongs func(order, machine string) (Listed, bool)
	Claims  Claims
	// Config is what the machine's engine shall be given.
	Config func(order, machine string, at Listed) Config
	// Reached is told of every stage, once by each Server, of failures each
	// time, and of the stage "lease" whenever a machine renews it.
	Reached func(Stage)
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	maxBody   = 16 << 10
	maxAtOnce = 32
	maxStages = 32 // of one renewal
)

// Server answers machines that phone home. It is an http.Handler and safe for
// concurrent use.
type Server struct {
	o     Options
	mux   *http.ServeMux
	slots chan struct{}
	limit *limiter
	told  told
}

// NewServer returns the handler of /v1/join, /v1/stage and /v1/lease.
func NewServer(o Options) *Server {
	s := &Server{o: o, mux: http.NewServeMux(), slots: make(chan struct{}, maxAtOnce), limit: newLimiter(o.Now), told: told{stages: map[[2]string]bool{}}}
	s.mux.HandleFunc("POST /v1/join", s.join)
	s.mux.HandleFunc("POST /v1/stage", s.stage)
	s.mux.HandleFunc("POST /v1/lease", s.lease)
	return s
}

// ServeHTTP bounds what anybody may cost us, then answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.limit.allow(remote(r)) {
		refuse(w, http.StatusTooManyRequests, "too many requests from this address")
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		refuse(w, http.StatusServiceUnavailable, "too many machines at once")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

func remote(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// refuse says why. Codes 429 and above, and 404, mean "ask again".
func refuse(w http.ResponseWriter, code int, why string) {
	if code == http.StatusNotFound || code >= http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, why, code)
}

// join turns a token and a certificate request into a certificate.
func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	var q Request
	if !decode(w, r, &q) {
		return
	}
	log := s.o.Log.With("machine", q.InstanceID, "token", masked(q.Token), "from", r.RemoteAddr)
	answer, code, err := s.admit(&q)
	if err != nil {
		log.Warn("machine refused", "code", code, "error", err)
		refuse(w, code, err.Error())
		return
	}
	log.Info("machine joined", "name", q.Name, "address", q.Address)
	if strings.Contains(r.Header.Get("Accept"), "application/x-tar") {
		writeTar(w, answer)
		return
	}
	writeJSON(w, answer)
}

func (s *Server) admit(q *Request) (*Answer, int, error) {
	order, ok := s.o.CA.Order(q.Token)
	if !ok {
		return nil, http.StatusForbidden, errors.New("this token is not ours")
	}
	at, ok := s.o.Belongs(order, q.InstanceID)
	if !ok {
		// The list may be behind; a stranger learns nothing by asking again.
		return nil, http.StatusNotFound, errors.New("the order has no such machine yet")
	}
	if err := confirm(&at, q); err != nil {
		return nil, http.StatusForbidden, err
	}
	cert, err := s.o.CA.Sign([]byte(q.CSR), q.Name, q.Address)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	switch mine, err := s.o.Claims.Claim(q.InstanceID, keyOf([]byte(q.CSR))); {
	case err != nil:
		return nil, http.StatusInternalServerError, err
	case !mine:
		return nil, http.StatusForbidden, errors.New("the machine has joined with another key")
	}
	return &Answer{
		Cert: string(cert), CA: string(s.o.CA.PEM()), Secret: s.o.CA.secretOf(q.InstanceID),
		Config: s.o.Config(order, q.InstanceID, at),
	}, http.StatusOK, nil
}

// confirm compares what a machine says of itself with what the cloud lists,
// and completes the latter.
func confirm(at *Listed, q *Request) error {
	if _, err := netip.ParseAddr(q.Address); err != nil || q.Name == "" {
		return errors.New("a machine needs a name and an IP address")
	}
	if at.Name != "" && at.Name != q.Name {
		return fmt.Errorf("the machine is not called %q", q.Name)
	}
	if at.Address != "" && at.Address != q.Address {
		return fmt.Errorf("the machine is not at %s", q.Address)
	}
	at.Name, at.Address = q.Name, q.Address
	return nil
}

// keyOf is a fingerprint of the public key in a request that was verified.
func keyOf(text []byte) string {
	csr, err := parseRequest(text)
	if err != nil {
		panic("BUG: the request was signed and cannot be read: " + err.Error())
	}
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// stage takes note of what a machine reached.
func (s *Server) stage(w http.ResponseWriter, r *http.Request) {
	machine, ok := s.machine(r)
	if !ok {
		refuse(w, http.StatusForbidden, "this secret is not ours")
		return
	}
	var q Report
	if !decode(w, r, &q) {
		return
	}
	if !q.valid() {
		refuse(w, http.StatusBadRequest, "a stage needs a name of at most 64 bytes")
		return
	}
	s.tell(machine, &q)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) tell(machine string, r *Report) {
	st := r.stage(machine, s.o.Now())
	if st.Error == "" && !s.told.first(machine, st.Name) {
		return
	}
	s.o.Log.Info("stage", "machine", machine, "name", st.Name, "took", st.Took, "error", st.Error)
	s.o.Reached(st)
}

// lease is how a machine sees that the scaler lives, and the other way round.
func (s *Server) lease(w http.ResponseWriter, r *http.Request) {
	machine, ok := s.machine(r)
	if !ok {
		refuse(w, http.StatusForbidden, "this secret is not ours")
		return
	}
	var q Renewal
	if !decode(w, r, &q) {
		return
	}
	for i := range q.Stages[:min(len(q.Stages), maxStages)] {
		if st := &q.Stages[i]; st.valid() {
			st.Now = q.Now
			s.tell(machine, st)
		}
	}
	s.o.Reached(Stage{Machine: machine, Name: "lease", At: s.o.Now()})
	w.WriteHeader(http.StatusNoContent)
}

// machine is who sent a request, by its secret.
func (s *Server) machine(r *http.Request) (id string, ok bool) {
	credential, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	at := strings.LastIndexByte(credential, ':')
	if !ok || at < 0 {
		return "", false
	}
	id = credential[:at]
	return id, hmac.Equal([]byte(credential[at+1:]), []byte(s.o.CA.secretOf(id)))
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "cannot read the request: "+err.Error())
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cannot encode an answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(text)
}

// writeTar answers machines whose init is a shell script: files that tar
// unpacks where the engine reads them.
func writeTar(w http.ResponseWriter, a *Answer) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range []struct{ name, text string }{
		{"cert.pem", a.Cert},
		{"ca.pem", a.CA},
		{"secret", a.Secret},
		{"daemon.json", string(a.Config.Daemon())},
	} {
		// Neither can fail: the buffer takes all, and the sizes are true.
		_ = t.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text))})
		_, _ = io.WriteString(t, f.text)
	}
	_ = t.Close()
	w.Header().Set("Content-Type", "application/x-tar")
	w.Write(b.Bytes())
}
