package consul

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// serviceDecoder reads the answers of /v1/catalog/service and
// /v1/health/service. Both are one list of instances; they differ in the
// names of the fields and in that only the latter knows of health.
type serviceDecoder struct {
	max    int
	health bool
	// upsync takes every check that is not passing for down, as the module
	// does; otherwise a warning lowers the weight.
	upsync bool
	// tag, if set, is one that instances must have.
	tag  string
	scan scanner

	have, next []*Found
}

// instance is one element of an answer, as scanned.
type instance struct {
	node, nodeAddress   string
	id, address         string
	port                string
	tags                []string
	passing, warning    int // weights, -1 unknown
	worst, worstCheckID string
}

// decode implements decoder.
func (d *serviceDecoder) decode(r io.Reader) (changed bool, err error) {
	d.next = nil
	d.scan.reset(r)
	err = d.scan.array(func() error {
		if len(d.next) == d.max {
			return fmt.Errorf("answer has more than %d entries", d.max)
		}
		in := instance{passing: -1, warning: -1}
		if err := d.element(&in); err != nil {
			return err
		}
		if d.tag == "" || slices.Contains(in.tags, d.tag) {
			d.next = append(d.next, d.found(&in))
		}
		return nil
	})
	if err == nil {
		err = d.scan.finish()
	}
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(d.next, func(a, b *Found) int { return cmp.Compare(a.Key, b.Key) })
	return d.differs(), nil
}

func (d *serviceDecoder) differs() bool {
	return !slices.EqualFunc(d.have, d.next, func(a, b *Found) bool { return a.same(b) })
}

func (d *serviceDecoder) absent() bool {
	d.next = nil
	return d.differs()
}

func (d *serviceDecoder) fillAnswer(a *Answer) { a.Servers = d.next }
func (d *serviceDecoder) commit()              { d.have = d.next }

func (d *serviceDecoder) element(in *instance) error {
	if d.health {
		return d.scan.object(func(name []byte) error { return d.healthField(in, string(name)) })
	}
	return d.scan.object(func(name []byte) error { return d.catalogField(in, string(name)) })
}

func (d *serviceDecoder) catalogField(in *instance, name string) (err error) {
	switch name {
	case "Node":
		in.node, err = d.text()
	case "Address":
		in.nodeAddress, err = d.text()
	case "ServiceID":
		in.id, err = d.text()
	case "ServiceAddress":
		in.address, err = d.text()
	case "ServicePort":
		in.port, err = d.number()
	case "ServiceTags":
		err = d.tags(in)
	default:
		err = d.scan.skip()
	}
	return err
}

func (d *serviceDecoder) healthField(in *instance, name string) error {
	switch name {
	case "Node":
		return d.scan.object(func(name []byte) (err error) {
			switch string(name) {
			case "Node":
				in.node, err = d.text()
			case "Address":
				in.nodeAddress, err = d.text()
			default:
				err = d.scan.skip()
			}
			return err
		})
	case "Service":
		return d.scan.object(func(name []byte) error { return d.serviceField(in, string(name)) })
	case "Checks":
		return d.scan.array(func() error { return d.check(in) })
	}
	return d.scan.skip()
}

func (d *serviceDecoder) serviceField(in *instance, name string) (err error) {
	switch name {
	case "ID":
		in.id, err = d.text()
	case "Address":
		in.address, err = d.text()
	case "Port":
		in.port, err = d.number()
	case "Tags":
		err = d.tags(in)
	case "Weights":
		err = d.scan.object(func(name []byte) error { return d.weight(in, string(name)) })
	default:
		err = d.scan.skip()
	}
	return err
}

func (d *serviceDecoder) weight(in *instance, name string) error {
	if name != "Passing" && name != "Warning" {
		return d.scan.skip()
	}
	text, err := d.number()
	n, convErr := strconv.Atoi(text)
	if convErr != nil {
		n = -1
	}
	if name == "Passing" {
		in.passing = n
	} else {
		in.warning = n
	}
	return err
}

func (d *serviceDecoder) tags(in *instance) error {
	return d.scan.array(func() error {
		tag, err := d.text()
		in.tags = append(in.tags, tag)
		return err
	})
}

// check keeps the worst of an instance's checks.
func (d *serviceDecoder) check(in *instance) error {
	var id, status string
	err := d.scan.object(func(name []byte) (err error) {
		switch string(name) {
		case "CheckID":
			id, err = d.text()
		case "Status":
			status, err = d.text()
		default:
			err = d.scan.skip()
		}
		return err
	})
	if id == "_node_maintenance" || strings.HasPrefix(id, "_service_maintenance:") {
		if !strings.HasPrefix(status, "passing") {
			status = "maintenance"
		}
	}
	if severity(status) > severity(in.worst) {
		in.worst, in.worstCheckID = status, id
	}
	return err
}

// severity orders check states. One that is not known is as bad as critical.
func severity(status string) int {
	switch {
	case status == "" || strings.HasPrefix(status, "passing"):
		return 0
	case status == "warning":
		return 1
	case status == "maintenance":
		return 3
	}
	return 2
}

// text is a string of the answer; number a number or a string of one. A value
// of another type is an error of the whole answer: this is no Consul.
func (d *serviceDecoder) text() (string, error) {
	b, err := d.scan.str()
	return string(b), err
}

func (d *serviceDecoder) number() (string, error) {
	if c, err := d.scan.peek(); err != nil || c == '"' {
		return d.text()
	}
	b, err := d.scan.literal()
	return string(b), err
}

// found turns an instance into an entry.
func (d *serviceDecoder) found(in *instance) *Found {
	f := &Found{Key: in.id + "@" + in.node}
	host := in.address
	if host == "" {
		host = in.nodeAddress
	}
	if host == "" {
		f.Err = "has neither a service address nor a node address"
		return f
	}
	addr, name, err := JoinHostPort(host, in.port)
	if err != nil {
		f.Err = err.Error()
		return f
	}
	f.Spec = defaultSpec()
	f.Spec.Addr, f.Spec.Host = addr, name
	if d.health && !d.upsync && in.passing > 0 {
		f.Spec.Weight, f.Spec.WeightFrom = min(in.passing, MaxWeight), "service.weights"
	}
	for _, tag := range in.tags {
		f.tag(tag)
	}
	d.judge(f, in)
	return f
}

// judge applies what the checks say.
func (d *serviceDecoder) judge(f *Found, in *instance) {
	level := severity(in.worst)
	if level == 0 {
		return
	}
	if d.upsync || level > 1 || in.warning == 0 {
		f.Spec.Down = true
		f.Spec.DownWhy = in.worst
		return
	}
	if in.warning > 0 && f.Spec.WeightFrom != "tag" {
		f.Spec.Weight, f.Spec.WeightFrom = min(in.warning, MaxWeight), "service.weights.warning"
	}
}

// tag applies one service tag in nginx-upsync's syntax; other tags mean
// nothing here. Of equal tags the last counts.
func (f *Found) tag(tag string) {
	s := &f.Spec
	name, value, _ := strings.Cut(tag, "=")
	switch {
	case tag == "down":
		s.Down, s.DownWhy = true, "tag"
	case tag == "backup":
		s.Backup = true
	case !strings.Contains(tag, "="):
	case name == "fail_timeout":
		t, err := ParseSeconds(value)
		if err != nil {
			f.note("tag %q: %v", tag, err)
			return
		}
		s.FailTimeout, f.SaysFailTimeout = t, true
	case name == "weight" || name == "max_fails" || name == "max_conns":
		n := digits([]byte(value))
		if n < 0 || n == 0 && name == "weight" {
			f.note("tag %q: invalid number", tag)
			return
		}
		f.number(name, n)
	}
}

func (f *Found) number(name string, n int) {
	s := &f.Spec
	switch name {
	case "weight":
		s.Weight, s.WeightFrom = min(n, MaxWeight), "tag"
	case "max_fails":
		s.MaxFails, f.SaysMaxFails = n, true
	case "max_conns":
		s.MaxConns = n
	}
}
