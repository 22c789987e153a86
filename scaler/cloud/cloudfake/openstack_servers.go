package cloudfake

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"spillway/scaler/cloud"
)

// novaTags is the tag under which the cloud behind keeps a server's server
// tags, which are no metadata.
const novaTags = "nova-server-tags"

// openstackOrder is the body of "Create Server".
type openstackOrder struct {
	Server struct {
		Name           string            `json:"name"`
		Image          string            `json:"imageRef"`
		Flavor         string            `json:"flavorRef"`
		Zone           string            `json:"availability_zone"`
		Networks       any               `json:"networks"`
		Metadata       map[string]string `json:"metadata"`
		Tags           []string          `json:"tags"`
		UserData       string            `json:"user_data"`
		Min            int               `json:"min_count"`
		Max            int               `json:"max_count"`
		ReturnReserved bool              `json:"return_reservation_id"`
		BlockDevice    []map[string]any  `json:"block_device_mapping_v2"`
	} `json:"server"`
}

func (b *openstackOrder) check() error {
	s := &b.Server
	switch {
	case s.Name == "":
		return badRequest("Invalid input for field/attribute name. Value: . '' is too short")
	case s.Networks == nil:
		return badRequest("Invalid input for field/attribute server. 'networks' is a required property")
	case s.Image != OpenStackImage && len(s.BlockDevice) == 0:
		return badRequest("Invalid imageRef provided.")
	case len(s.UserData) > 65535:
		return badRequest("Invalid input for field/attribute user_data. Value is too long")
	case s.Min > s.Max:
		return badRequest("min_count must be <= max_count")
	}
	for k, v := range s.Metadata {
		if k == "" || len(k) > 255 || len(v) > 255 {
			return badRequest("Invalid input for field/attribute metadata.")
		}
	}
	for _, tag := range s.Tags {
		if tag == "" || len(tag) > 60 || strings.ContainsAny(tag, "/,") {
			return badRequest("Invalid input for field/attribute tags. Value: " + tag)
		}
	}
	return nil
}

// create is granted as far as the quota goes. That there is no room for it is
// found out later: by then there are servers in ERROR.
func (o *openstack) create(w http.ResponseWriter, r *http.Request) error {
	var body openstackOrder
	if err := decode(r, &body); err != nil {
		return badRequest("Malformed request body")
	}
	if err := body.check(); err != nil {
		return err
	}
	s := &body.Server
	userData, err := base64.StdEncoding.DecodeString(s.UserData)
	if err != nil {
		return badRequest("Userdata content cannot be decoded")
	}
	o.mu.Lock()
	o.counter++
	reservation := fmt.Sprintf("r-%08d", o.counter)
	o.mu.Unlock()
	request := cloud.CreateRequest{
		Token: reservation, Type: strings.TrimPrefix(s.Flavor, "flavor-"), Zone: s.Zone, Count: max(s.Max, 1), Tags: maps.Clone(s.Metadata), UserData: userData,
	}
	if request.Tags == nil {
		request.Tags = map[string]string{}
	}
	if len(s.Tags) > 0 {
		request.Tags[novaTags] = strings.Join(s.Tags, ",")
	}
	for i := range request.Count {
		name := s.Name
		if request.Count > 1 {
			name = fmt.Sprintf("%s-%d", s.Name, i+1)
		}
		request.Names = append(request.Names, name)
	}
	made, err := o.d.Create(r.Context(), request)
	if cloud.KindOf(err) == cloud.NoCapacity && err != nil {
		made, err = o.unplace(&request), nil
	}
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.built[reservation] = made
	o.mu.Unlock()
	if s.ReturnReserved {
		return writeJSON(w, http.StatusAccepted, map[string]any{"reservation_id": reservation})
	}
	return writeJSON(w, http.StatusAccepted, map[string]any{"server": map[string]any{
		"id": made[0].ID, "OS-DCF:diskConfig": "MANUAL", "adminPass": "openstack-admin-pass", "security_groups": []any{}, "links": []any{},
	}})
}

// unplace makes servers that no host has.
func (o *openstack) unplace(r *cloud.CreateRequest) (made []cloud.Machine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, name := range r.Names {
		m := cloud.Machine{
			ID: fmt.Sprintf("%s-unplaced-%d", r.Token, i), Name: name, Type: r.Type, State: cloud.Failed, Created: o.now(),
			Tags: maps.Clone(r.Tags), Reason: "No valid host was found. There are not enough hosts available.",
		}
		o.unplaced[m.ID] = m
		made = append(made, m)
	}
	return made
}

// list knows servers of a reservation at once and others once the cloud behind
// lists them.
func (o *openstack) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	reservation := query.Get("reservation_id")
	machines, err := o.d.List(r.Context(), o.tagsOf(reservation))
	if err != nil {
		return err
	}
	if reservation != "" {
		machines = o.reserved(reservation, machines)
	} else {
		machines = append(machines, o.withoutHost()...)
	}
	var all []map[string]any
	for _, m := range machines {
		have := strings.Split(m.Tags[novaTags], ",")
		missing := func(tag string) bool { return tag != "" && !slices.Contains(have, tag) }
		if m.State != cloud.Deleted && !slices.ContainsFunc(strings.Split(query.Get("tags"), ","), missing) {
			all = append(all, novaServer(m))
		}
	}
	return o.pageOf(w, r, "servers", all)
}

// tagsOf are the tags that the machines of a reservation bear, so that not all
// need be listed for it; nil for none.
func (o *openstack) tagsOf(reservation string) map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if made := o.built[reservation]; len(made) > 0 {
		return made[0].Tags
	}
	return nil
}

func (o *openstack) withoutHost() []cloud.Machine {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.SortedFunc(maps.Values(o.unplaced), func(a, b cloud.Machine) int { return strings.Compare(a.ID, b.ID) })
}

func (o *openstack) reserved(reservation string, listed []cloud.Machine) (found []cloud.Machine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.built[reservation] {
		if i := slices.IndexFunc(listed, func(l cloud.Machine) bool { return l.ID == m.ID }); i >= 0 {
			m = listed[i]
		}
		found = append(found, m)
	}
	return found
}

var novaStatus = map[cloud.State]string{
	cloud.Pending: "BUILD", cloud.Running: "ACTIVE", cloud.Stopping: "ACTIVE", cloud.Stopped: "SHUTOFF", cloud.Deleting: "ACTIVE", cloud.Failed: "ERROR",
}

var novaTask = map[cloud.State]any{cloud.Pending: "spawning", cloud.Stopping: "powering-off", cloud.Deleting: "deleting"}

func novaServer(m cloud.Machine) map[string]any {
	metadata := maps.Clone(m.Tags)
	tags := slices.DeleteFunc(strings.Split(metadata[novaTags], ","), func(s string) bool { return s == "" })
	delete(metadata, novaTags)
	addresses := map[string]any{}
	if m.Address != "" {
		addresses["private"] = []any{
			map[string]any{"addr": "fd00::1", "version": 6, "OS-EXT-IPS:type": "fixed"},
			map[string]any{"addr": m.Address, "version": 4, "OS-EXT-IPS:type": "fixed"},
		}
	}
	zone := m.Zone
	if m.State == cloud.Pending {
		zone = "" // placed nowhere yet
	}
	s := map[string]any{
		"id": m.ID, "name": m.Name, "status": novaStatus[m.State], "created": m.Created.UTC(), "updated": m.Created.UTC(),
		"metadata": metadata, "tags": tags, "addresses": addresses, "image": map[string]any{"id": OpenStackImage},
		"flavor": map[string]any{"original_name": m.Type, "vcpus": 2}, "OS-EXT-AZ:availability_zone": zone, "OS-EXT-STS:task_state": novaTask[m.State],
	}
	if m.State == cloud.Failed {
		s["fault"] = map[string]any{"code": 500, "created": m.Created.UTC(), "message": m.Reason}
	}
	return s
}

func (o *openstack) remove(w http.ResponseWriter, r *http.Request, id string) error {
	o.mu.Lock()
	_, ghost := o.unplaced[id]
	delete(o.unplaced, id)
	o.mu.Unlock()
	if !ghost {
		if err := o.d.Delete(r.Context(), id); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (o *openstack) act(w http.ResponseWriter, r *http.Request, id string) error {
	var body map[string]any
	if err := decode(r, &body); err != nil {
		return badRequest("Malformed request body")
	}
	stopper, err := o.stopper(cloud.OpStop)
	if err != nil {
		return err
	}
	_, stop := body["os-stop"]
	_, start := body["os-start"]
	switch {
	case stop:
		err = stopper.Stop(r.Context(), id)
	case start:
		err = stopper.Start(r.Context(), id)
	default:
		return badRequest("There is no such action")
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (o *openstack) flavors(w http.ResponseWriter, r *http.Request) error {
	offerings, err := o.d.Offerings(r.Context())
	if err != nil {
		return err
	}
	var all []map[string]any
	seen := map[string]bool{}
	for _, f := range offerings {
		if !seen[f.Type] {
			all = append(all, map[string]any{
				"id": "flavor-" + f.Type, "name": f.Type, "vcpus": int(f.CPU), "ram": f.Memory >> 20, "disk": 20, "swap": "", "rxtx_factor": 1.0,
				"os-flavor-access:is_public": true, "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false,
			})
		}
		seen[f.Type] = true
	}
	return o.pageOf(w, r, "flavors", all)
}

func (o *openstack) zones(w http.ResponseWriter, r *http.Request) error {
	offerings, err := o.d.Offerings(r.Context())
	if err != nil {
		return err
	}
	var all []any
	seen := map[string]bool{}
	for _, f := range offerings {
		if !seen[f.Zone] {
			all = append(all, map[string]any{"zoneName": f.Zone, "zoneState": map[string]any{"available": true}, "hosts": nil})
		}
		seen[f.Zone] = true
	}
	return writeJSON(w, http.StatusOK, map[string]any{"availabilityZoneInfo": all})
}
