package cloudfake

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// HetznerToken is the token of the project that Hetzner serves.
const HetznerToken = "hetzner-project-token-of-a-fake"

// hetznerPage is the most entries on a page ("Pagination").
const hetznerPage = 50

// hetznerLimit is the requests of a project an hour ("Rate limiting").
const hetznerLimit = 3600

// Hetzner opens the API of Hetzner Cloud, version 1, as much as a scaler needs:
// servers and server types. The URL has no slash at its end.
func (s *Server) Hetzner() string {
	h := &hetzner{Server: s, numbers: map[string]int64{}, ids: map[int64]string{}}
	return s.listen("hetzner", h.serve, h.refuse) + "/v1"
}

// hetzner is the wire of Hetzner Cloud. Its servers have numbers, which it
// hands out in the order in which it hears of machines.
type hetzner struct {
	*Server

	turn    sync.Mutex // of creating: a name is tried by one at a time
	mu      sync.Mutex
	numbers map[string]int64
	ids     map[int64]string
}

// hetznerError is an answer of the API that is none of a cloud.Error's kinds.
type hetznerError struct {
	status  int
	code    string
	message string
	field   string // of an invalid_input
}

func (e *hetznerError) Error() string { return e.message + " (" + e.code + ")" }

func (h *hetzner) serve(w http.ResponseWriter, r *http.Request) error {
	path := strings.TrimPrefix(r.URL.Path, "/v1")
	h.count("hetzner", r.Method+" "+strings.TrimRight(path, "0123456789"))
	if r.Header.Get("Authorization") != "Bearer "+HetznerToken {
		return h.write(w, &hetznerError{status: http.StatusUnauthorized, code: "unauthorized", message: "unable to authenticate"})
	}
	err := h.route(w, r, path)
	var own *hetznerError
	if errors.As(err, &own) {
		return h.write(w, own)
	}
	return err
}

func (h *hetzner) route(w http.ResponseWriter, r *http.Request, path string) error {
	id, one := strings.CutPrefix(path, "/servers/")
	switch {
	case r.Method == http.MethodPost && path == "/servers":
		return h.create(w, r)
	case r.Method == http.MethodGet && path == "/servers":
		return h.list(w, r)
	case r.Method == http.MethodDelete && one:
		return h.remove(w, r, id)
	case r.Method == http.MethodGet && path == "/server_types":
		return h.types(w, r)
	}
	return &hetznerError{status: http.StatusNotFound, code: "not_found", message: "there is no such call"}
}

// refuse says what the cloud behind said in the codes of the API ("Errors").
func (h *hetzner) refuse(w http.ResponseWriter, r *http.Request, err *cloud.Error) {
	_ = h.write(w, hetznerRefusal(r, err))
}

func hetznerRefusal(r *http.Request, err *cloud.Error) *hetznerError {
	e := &hetznerError{message: err.Error()}
	switch err.Kind {
	case cloud.RateLimited:
		e.status, e.code = http.StatusTooManyRequests, "rate_limit_exceeded"
	case cloud.NoCapacity:
		e.status, e.code, e.message = http.StatusPreconditionFailed, "resource_unavailable", "error during placement"
	case cloud.Quota:
		e.status, e.code, e.message = http.StatusForbidden, "resource_limit_exceeded", cmp.Or(err.What, "server")+" limit exceeded"
	case cloud.Auth:
		e.status, e.code = http.StatusForbidden, "forbidden"
	case cloud.NotFound:
		e.status, e.code, e.message = http.StatusNotFound, "not_found", "server not found"
	case cloud.Invalid:
		e.status, e.code, e.field = http.StatusUnprocessableEntity, "invalid_input", err.What
		if err.What == "name" {
			e.status, e.code, e.field, e.message = http.StatusConflict, "uniqueness_error", "", "server name is already used"
		}
	default:
		e.status, e.code = http.StatusServiceUnavailable, "unavailable"
		if r.Method == http.MethodDelete && !errors.Is(err, errDown) {
			e.status, e.code = http.StatusLocked, "locked"
		}
	}
	return e
}

type hetznerField struct {
	Name     string   `json:"name"`
	Messages []string `json:"messages"`
}

func (h *hetzner) write(w http.ResponseWriter, e *hetznerError) error {
	body := map[string]any{"code": e.code, "message": e.message}
	if e.field != "" {
		body["details"] = map[string]any{"fields": []hetznerField{{e.field, []string{e.message}}}}
	}
	left := hetznerLimit - 1
	if e.status == http.StatusTooManyRequests {
		left = 0
	}
	return h.answer(w, e.status, left, map[string]any{"error": body})
}

// answer writes JSON with the headers of the rate limit: one request comes back
// every second.
func (h *hetzner) answer(w http.ResponseWriter, status, left int, body any) error {
	reset := h.now().Add(time.Duration(hetznerLimit-left) * time.Hour / hetznerLimit)
	w.Header().Set("RateLimit-Limit", strconv.Itoa(hetznerLimit))
	w.Header().Set("RateLimit-Remaining", strconv.Itoa(left))
	w.Header().Set("RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}

// page answers one page of a list under its name.
func (h *hetzner) page(w http.ResponseWriter, r *http.Request, name string, all []any) error {
	number, _ := strconv.Atoi(cmp.Or(r.URL.Query().Get("page"), "1"))
	wanted, _ := strconv.Atoi(cmp.Or(r.URL.Query().Get("per_page"), "25"))
	size := h.pageSize(wanted, hetznerPage)
	part, more := page(all, (max(number, 1)-1)*size, size)
	last := max(1, (len(all)+size-1)/size)
	meta := map[string]any{
		"page": number, "per_page": size, "previous_page": nil, "next_page": nil, "last_page": last, "total_entries": len(all),
	}
	if more > 0 {
		meta["next_page"] = number + 1
	}
	if number > 1 {
		meta["previous_page"] = number - 1
	}
	if part == nil {
		part = []any{}
	}
	return h.answer(w, http.StatusOK, hetznerLimit-1, map[string]any{name: part, "meta": map[string]any{"pagination": meta}})
}

// number is what a machine is known by.
func (h *hetzner) number(id string) (n int64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, known = h.numbers[id]; known {
		return n, true
	}
	n = 42_000_001 + int64(len(h.numbers))
	h.numbers[id], h.ids[n] = n, id
	return n, false
}

func (h *hetzner) id(number string) (string, bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	id, ok := h.ids[n]
	return id, ok && err == nil
}

func (h *hetzner) remove(w http.ResponseWriter, r *http.Request, number string) error {
	id, ok := h.id(number)
	if !ok {
		return &hetznerError{status: http.StatusNotFound, code: "not_found", message: "server with ID '" + number + "' not found"}
	}
	if err := h.d.Delete(r.Context(), id); err != nil {
		return err
	}
	n, _ := h.number(id)
	return h.answer(w, http.StatusOK, hetznerLimit-1, map[string]any{"action": h.action("delete_server", n)})
}

func (h *hetzner) action(command string, server int64) map[string]any {
	return map[string]any{
		"id": server + 1_000_000, "command": command, "status": "running", "progress": 0, "started": h.now(), "finished": nil,
		"resources": []any{map[string]any{"id": server, "type": "server"}}, "error": nil,
	}
}

func decode(r *http.Request, v any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
