package cloudfake

import (
	"encoding/base64"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"spillway/scaler/cloud"
)

// hetznerOrder is the body of "Create a server".
type hetznerOrder struct {
	Name       string            `json:"name"`
	ServerType any               `json:"server_type"`
	Image      any               `json:"image"`
	Location   string            `json:"location"`
	UserData   string            `json:"user_data"`
	Labels     map[string]string `json:"labels"`
	Networks   []int64           `json:"networks"`
}

var (
	hetznerName  = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
	hetznerLabel = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?)?$`)
)

func (o *hetznerOrder) check() error {
	wrong := func(field, why string) error {
		return &hetznerError{status: http.StatusUnprocessableEntity, code: "invalid_input", message: "invalid input in field '" + field + "': " + why, field: field}
	}
	switch {
	case !hetznerName.MatchString(o.Name):
		return wrong("name", "is not a valid hostname")
	case o.Image == nil || o.Image == "":
		return wrong("image", "is missing")
	case len(o.UserData) > 32<<10:
		return wrong("user_data", "is longer than 32 KiB")
	}
	for key, value := range o.Labels {
		_, name, prefixed := strings.Cut(key, "/")
		if !prefixed {
			name = key
		}
		if name == "" || !hetznerLabel.MatchString(name) || !hetznerLabel.MatchString(value) {
			return wrong("labels", "not a valid key or value")
		}
	}
	return nil
}

func (h *hetzner) create(w http.ResponseWriter, r *http.Request) error {
	var o hetznerOrder
	if err := decode(r, &o); err != nil {
		return &hetznerError{status: http.StatusBadRequest, code: "json_error", message: "invalid JSON"}
	}
	if err := o.check(); err != nil {
		return err
	}
	typ, _ := o.ServerType.(string)
	request := cloud.CreateRequest{
		Token: o.Name, Type: typ, Zone: o.Location, Count: 1, Names: []string{o.Name}, Tags: o.Labels, UserData: []byte(o.UserData),
	}
	h.turn.Lock()
	defer h.turn.Unlock()
	began := h.now()
	made, err := h.d.Create(r.Context(), request)
	if err != nil {
		return err
	}
	// The cloud behind gives whoever asks again what there is. This one does not.
	number, known := h.number(made[0].ID)
	if known || made[0].Created.Before(began) {
		return &hetznerError{status: http.StatusConflict, code: "uniqueness_error", message: "server name is already used"}
	}
	server := h.server(made[0], o.Networks)
	return h.answer(w, http.StatusCreated, hetznerLimit-1, map[string]any{
		"server": server, "action": h.action("create_server", number), "next_actions": []any{h.action("start_server", number)},
		"root_password": base64.StdEncoding.EncodeToString([]byte(o.Name)),
	})
}

func (h *hetzner) list(w http.ResponseWriter, r *http.Request) error {
	equal, present := hetznerSelector(r.URL.Query().Get("label_selector"))
	machines, err := h.d.List(r.Context(), equal)
	if err != nil {
		return err
	}
	var all []any
	name := r.URL.Query().Get("name")
	for _, m := range machines {
		if m.State != cloud.Deleted && (name == "" || m.Name == name) && hasKeys(m.Tags, present) {
			all = append(all, h.server(m, nil))
		}
	}
	return h.page(w, r, "servers", all)
}

// hetznerSelector reads "k==v,k=v,k" ("Label Selector").
func hetznerSelector(text string) (equal map[string]string, present []string) {
	equal = map[string]string{}
	for term := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(term, "=")
		switch {
		case ok:
			equal[key] = strings.TrimPrefix(value, "=")
		case term != "":
			present = append(present, term)
		}
	}
	return equal, present
}

func hasKeys(tags map[string]string, keys []string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { _, ok := tags[k]; return !ok })
}

// hetznerStatus has no word for a server that failed: such a one is off.
var hetznerStatus = map[cloud.State]string{
	cloud.Pending: "initializing", cloud.Running: "running", cloud.Stopping: "stopping", cloud.Stopped: "off",
	cloud.Deleting: "deleting", cloud.Failed: "off",
}

func (h *hetzner) server(m cloud.Machine, networks []int64) map[string]any {
	number, _ := h.number(m.ID)
	public := map[string]any{"ipv4": nil, "ipv6": nil, "floating_ips": []any{}, "firewalls": []any{}}
	if m.Address != "" {
		public["ipv4"] = map[string]any{"id": number, "ip": m.Address, "blocked": false, "dns_ptr": "static." + m.Address + ".clients.example"}
	}
	private := []any{}
	for _, n := range networks {
		private = append(private, map[string]any{"network": n, "ip": m.Address, "alias_ips": []any{}, "mac_address": "86:00:ff:2a:7d:e1"})
	}
	return map[string]any{
		"id": number, "name": m.Name, "status": hetznerStatus[m.State], "created": m.Created, "labels": m.Tags, "locked": false,
		"public_net": public, "private_net": private, "server_type": map[string]any{"id": hetznerNumber(m.Type), "name": m.Type},
		"location": map[string]any{"id": hetznerNumber(m.Zone), "name": m.Zone}, "protection": map[string]any{"delete": false, "rebuild": false},
	}
}

// hetznerNumber is the id of what the cloud behind knows by name alone.
func hetznerNumber(name string) int64 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name))
	return int64(sum.Sum32()&0x7fffffff) + 1
}

// types lists each type once, with its locations and prices.
func (h *hetzner) types(w http.ResponseWriter, r *http.Request) error {
	offerings, err := h.d.Offerings(r.Context())
	if err != nil {
		return err
	}
	types, order := map[string]map[string]any{}, []any{}
	for _, o := range offerings {
		if o.Spot {
			continue
		}
		t := types[o.Type]
		if t == nil {
			t = map[string]any{
				"id": hetznerNumber(o.Type), "name": o.Type, "description": o.Type, "cores": int(o.CPU), "disk": 40, "storage_type": "local",
				"memory": float64(o.Memory) / (1 << 30), "cpu_type": "shared", "architecture": hetznerArchitecture(o.Arch), "deprecated": false,
				"locations": []any{}, "prices": []any{},
			}
			types[o.Type], order = t, append(order, t)
		}
		t["locations"] = append(t["locations"].([]any), map[string]any{
			"id": hetznerNumber(o.Zone), "name": o.Zone, "available": o.Available, "recommended": o.Available, "deprecation": nil,
		})
		hour := strconv.FormatFloat(o.PriceHour, 'f', 10, 64)
		price := map[string]string{"net": hour, "gross": hour}
		t["prices"] = append(t["prices"].([]any), map[string]any{"location": o.Zone, "price_hourly": price, "price_monthly": price})
	}
	return h.page(w, r, "server_types", order)
}

func hetznerArchitecture(arch string) string {
	if arch == "arm64" {
		return "arm"
	}
	return "x86"
}
