package cloudfake

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// What OpenStack's front lets in, and what its project has.
const (
	OpenStackUser     = "spillway"
	OpenStackPassword = "openstack-password-of-a-fake"
	OpenStackProject  = "scaled"
	OpenStackRegion   = "RegionOne"
	OpenStackAppID    = "0c4a7d0b7a7e4d0c9f6b5a3d2e1f0a9b"
	OpenStackSecret   = "openstack-application-secret-of-a-fake"
	OpenStackToken    = "gAAAA-token-of-before" // good for an hour
	OpenStackImage    = "70a599e0-31e7-49b7-b260-868f441e862b"
)

// openstackTokenLife is how long a token is good.
const openstackTokenLife = time.Hour

// OpenStack opens Keystone, version 3, and Nova, as much as a scaler needs, and
// tells the URL of Keystone, without a slash at its end. Nova is in its
// catalog.
func (s *Server) OpenStack() string {
	o := &openstack{Server: s, tokens: map[string]time.Time{OpenStackToken: s.now().Add(openstackTokenLife)}, built: map[string][]cloud.Machine{}, unplaced: map[string]cloud.Machine{}}
	return s.listen("openstack", o.serve, o.refuse) + "/identity/v3"
}

// openstack is the wire of Keystone and Nova. Of servers it keeps what Nova's
// API keeps before a cell has them: which ones a reservation made, and those
// for which no host was found.
type openstack struct {
	*Server

	mu       sync.Mutex
	tokens   map[string]time.Time // until when
	counter  int
	built    map[string][]cloud.Machine // by reservation
	unplaced map[string]cloud.Machine   // by id
}

// openstackFault is an answer of Nova that is none of a cloud.Error's kinds.
type openstackFault struct {
	status  int
	name    string
	message string
	after   time.Duration
}

func (e *openstackFault) Error() string { return e.message }

func badRequest(message string) error {
	return &openstackFault{status: http.StatusBadRequest, name: "badRequest", message: message}
}

func (o *openstack) serve(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.Path
	o.count("openstack", r.Method+" "+openstackCall(path))
	var err error
	if rest, ok := strings.CutPrefix(path, "/compute/v2.1/"); ok {
		err = o.nova(w, r, strings.Split(rest, "/"))
	} else {
		err = o.keystone(w, r, path)
	}
	var own *openstackFault
	if errors.As(err, &own) {
		return own.write(w)
	}
	return err
}

// openstackCall is the path without ids.
func openstackCall(path string) string {
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i++ {
		if parts[i-1] == "servers" && parts[i] != "detail" {
			parts[i] = "ID"
		}
	}
	return strings.Join(parts, "/")
}

// refuse says what the cloud behind said in the faults of Nova.
func (o *openstack) refuse(w http.ResponseWriter, r *http.Request, err *cloud.Error) {
	_ = openstackRefusal(r, err).write(w)
}

func openstackRefusal(r *http.Request, err *cloud.Error) *openstackFault {
	switch err.Kind {
	case cloud.RateLimited:
		return &openstackFault{http.StatusTooManyRequests, "overLimit", "This request was rate-limited.", err.After}
	case cloud.Quota:
		what := map[string]string{"machines": "instances", "cpu": "cores"}[err.What]
		what = cmp.Or(what, "instances")
		text := fmt.Sprintf("Quota exceeded for %s: Requested 1, but already used 10 of 10 %s", what, what)
		return &openstackFault{status: http.StatusForbidden, name: "forbidden", message: text}
	case cloud.Auth:
		return &openstackFault{status: http.StatusForbidden, name: "forbidden", message: "Policy doesn't allow os_compute_api:servers to be performed."}
	case cloud.NotFound:
		return &openstackFault{status: http.StatusNotFound, name: "itemNotFound", message: "Instance " + err.What + " could not be found."}
	case cloud.Invalid:
		return &openstackFault{status: http.StatusBadRequest, name: "badRequest", message: "Invalid input: " + err.Error()}
	}
	if r.Method == http.MethodDelete && !errors.Is(err, errDown) {
		return &openstackFault{status: http.StatusConflict, name: "conflictingRequest", message: "Cannot delete while another task is under way"}
	}
	return &openstackFault{status: http.StatusServiceUnavailable, name: "serviceUnavailable", message: "The service is unavailable"}
}

func (e *openstackFault) write(w http.ResponseWriter) error {
	fault := map[string]any{"code": e.status, "message": e.message}
	if e.after > 0 {
		after := strconv.Itoa(int(math.Ceil(e.after.Seconds())))
		w.Header().Set("Retry-After", after)
		fault["retryAfter"] = after
	}
	return writeJSON(w, e.status, map[string]any{e.name: fault})
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}

// openstackLogin is the body of "Authentication and token management".
type openstackLogin struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct{ Name, ID, Password string }
			} `json:"password"`
			Application struct{ ID, Secret string } `json:"application_credential"`
			Token       struct{ ID string }         `json:"token"`
		} `json:"identity"`
		Scope struct {
			Project struct{ Name, ID string } `json:"project"`
		} `json:"scope"`
	} `json:"auth"`
}

func (o *openstack) keystone(w http.ResponseWriter, r *http.Request, path string) error {
	switch r.Method + " " + path {
	case "POST /identity/v3/auth/tokens":
		return o.logIn(w, r)
	case "GET /identity/v3/auth/tokens":
		subject := r.Header.Get("X-Subject-Token")
		if !o.valid(subject) || !o.valid(r.Header.Get("X-Auth-Token")) {
			return errUnauthorized
		}
		return o.tell(w, r, http.StatusOK, subject)
	case "GET /compute/", "GET /compute":
		return writeJSON(w, http.StatusOK, map[string]any{"versions": []any{map[string]any{
			"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1",
		}}})
	}
	return &openstackFault{status: http.StatusNotFound, name: "error", message: "Could not find: " + path}
}

var errUnauthorized = &openstackFault{
	status: http.StatusUnauthorized, name: "error", message: "The request you have made requires authentication.",
}

func (o *openstack) logIn(w http.ResponseWriter, r *http.Request) error {
	var login openstackLogin
	if err := decode(r, &login); err != nil {
		return &openstackFault{status: http.StatusBadRequest, name: "error", message: "Expecting to find auth in request body."}
	}
	id, good := &login.Auth.Identity, false
	for _, method := range id.Methods {
		switch method {
		case "password":
			good = id.Password.User.Name == OpenStackUser && id.Password.User.Password == OpenStackPassword && login.Auth.Scope.Project.Name == OpenStackProject
		case "application_credential":
			good = id.Application.ID == OpenStackAppID && id.Application.Secret == OpenStackSecret
		case "token":
			good = o.valid(id.Token.ID)
		}
	}
	if !good {
		return errUnauthorized
	}
	return o.tell(w, r, http.StatusCreated, o.newToken())
}

// newToken makes a token of the project that is good for an hour.
func (o *openstack) newToken() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counter++
	token := fmt.Sprintf("gAAAA-token-%d", o.counter)
	o.tokens[token] = o.now().Add(openstackTokenLife)
	return token
}

func (o *openstack) valid(token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now().Before(o.tokens[token])
}

// tell describes a token, with the catalog.
func (o *openstack) tell(w http.ResponseWriter, r *http.Request, status int, token string) error {
	o.mu.Lock()
	until := o.tokens[token]
	o.mu.Unlock()
	w.Header().Set("X-Subject-Token", token)
	endpoint := func(service, url string) map[string]any {
		return map[string]any{"type": service, "name": service, "id": service, "endpoints": []any{map[string]any{
			"id": service + "-public", "interface": "public", "region": OpenStackRegion, "region_id": OpenStackRegion, "url": "http://" + r.Host + url,
		}}}
	}
	return writeJSON(w, status, map[string]any{"token": map[string]any{
		"methods": []string{"password"}, "expires_at": until.UTC().Format(time.RFC3339), "issued_at": o.now().UTC().Format(time.RFC3339),
		"user":    map[string]any{"id": "u1", "name": OpenStackUser, "domain": map[string]any{"id": "default", "name": "Default"}},
		"project": map[string]any{"id": "p1", "name": OpenStackProject, "domain": map[string]any{"id": "default", "name": "Default"}},
		"catalog": []any{endpoint("identity", "/identity/v3"), endpoint("compute", "/compute/v2.1")},
	}})
}

// nova routes a call of the compute service; parts are its path.
func (o *openstack) nova(w http.ResponseWriter, r *http.Request, parts []string) error {
	if parts[0] == "" {
		return writeJSON(w, http.StatusOK, map[string]any{"version": map[string]any{"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1"}})
	}
	if !o.valid(r.Header.Get("X-Auth-Token")) {
		return errUnauthorized
	}
	if version := r.Header.Get("X-OpenStack-Nova-API-Version"); version != "2.52" {
		return &openstackFault{status: http.StatusNotAcceptable, name: "computeFault", message: "this fake speaks microversion 2.52, not " + version}
	}
	switch call := r.Method + " " + strings.Join(parts, "/"); {
	case call == "POST servers":
		return o.create(w, r)
	case call == "GET servers/detail":
		return o.list(w, r)
	case call == "GET flavors/detail":
		return o.flavors(w, r)
	case call == "GET os-availability-zone":
		return o.zones(w, r)
	case r.Method == http.MethodDelete && len(parts) == 2 && parts[0] == "servers":
		return o.remove(w, r, parts[1])
	case r.Method == http.MethodPost && len(parts) == 3 && parts[2] == "action":
		return o.act(w, r, parts[1])
	}
	return &openstackFault{status: http.StatusNotFound, name: "itemNotFound", message: "The resource could not be found."}
}

// pageOf cuts the page after the marker, with the link to the next one.
func (o *openstack) pageOf(w http.ResponseWriter, r *http.Request, name string, all []map[string]any) error {
	query := r.URL.Query()
	from := 0
	if marker := query.Get("marker"); marker != "" {
		for from < len(all) && all[from]["id"] != marker {
			from++
		}
		if from == len(all) {
			return badRequest("marker [" + marker + "] not found")
		}
		from++
	}
	wanted, _ := strconv.Atoi(query.Get("limit"))
	part, next := page(all, from, o.pageSize(wanted, 1000))
	body := map[string]any{name: append([]map[string]any{}, part...)}
	if next > 0 {
		query.Set("marker", fmt.Sprint(part[len(part)-1]["id"]))
		link := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: query.Encode()}
		body[name+"_links"] = []any{map[string]any{"rel": "next", "href": link.String()}}
	}
	return writeJSON(w, http.StatusOK, body)
}
