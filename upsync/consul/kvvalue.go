package consul

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
)

// decodeKV reads one KV entry in nginx-upsync's layout: the text after the
// last '/' is the address, the value is empty or JSON. It returns nil for the
// key of a directory.
//
// Fields are taken as upsync takes them: names in any case, the first of
// equal names wins, numbers may be strings of digits, a bad field counts as
// not given. What is ours: IPv6, hostnames, max_conns and a backup that is
// one.
func decodeKV(key string, value []byte) *Found {
	name := key[strings.LastIndexByte(key, '/')+1:]
	if name == "" {
		return nil
	}
	f := &Found{Key: key}
	addr, host, err := ParseHostPort(name)
	if err != nil {
		f.Err = err.Error()
		return f
	}
	f.Spec = defaultSpec()
	f.Spec.Addr, f.Spec.Host = addr, host
	if len(bytes.TrimSpace(value)) == 0 {
		return f
	}
	d := valueDecoder{found: f}
	d.scan.resetBytes(value)
	if err := d.decode(); err != nil {
		// upsync keeps the server with all defaults; the caller may rather
		// keep what was good.
		*f = Found{Key: key, Spec: defaultSpec(), Err: "value is no JSON object: " + err.Error()}
		f.Spec.Addr, f.Spec.Host = addr, host
	}
	return f
}

type valueDecoder struct {
	scan  scanner
	found *Found
	seen  [len(valueFields)]bool
}

// valueFields are the names in use; the first of equal names counts.
var valueFields = [...]string{"weight", "max_fails", "fail_timeout", "down", "backup", "max_conns"}

func (d *valueDecoder) decode() error {
	err := d.scan.object(func(name []byte) error {
		for i, want := range valueFields {
			if strings.EqualFold(want, string(name)) && !d.seen[i] {
				d.seen[i] = true
				return d.field(want)
			}
		}
		return d.scan.skip()
	})
	if err != nil {
		return err
	}
	if c, err := d.scan.peek(); err == nil {
		d.found.note("text after the JSON object is ignored, from %q", c)
	}
	return nil
}

// field takes the value of one known field.
func (d *valueDecoder) field(name string) error {
	n, given, err := d.integer()
	if err != nil || !given {
		return err
	}
	s := &d.found.Spec
	switch {
	case name == "weight" && n >= 1:
		s.Weight, s.WeightFrom = min(n, MaxWeight), "kv"
		if n > MaxWeight {
			d.found.note("weight %d is cut to %d", n, MaxWeight)
		}
	case name == "max_fails" && n >= 0:
		s.MaxFails, d.found.SaysMaxFails = n, true
	case name == "fail_timeout" && n >= 0 && n <= int(longestTime/time.Second):
		s.FailTimeout, d.found.SaysFailTimeout = time.Duration(n)*time.Second, true
	case name == "max_conns" && n >= 0:
		s.MaxConns = n
	case name == "backup" && (n == 0 || n == 1):
		s.Backup = n == 1
	case name == "down" && (n == 0 || n == 1):
		if s.Down = n == 1; s.Down {
			s.DownWhy = "kv"
		}
	default:
		d.found.note("%s: invalid value, the default is used", name)
	}
	return nil
}

// integer reads a number, a string of digits, true (1) or false (0). What is
// none of these is -1, null is not given. Fractions are cut off, as upsync's
// parser has it.
func (d *valueDecoder) integer() (n int, given bool, err error) {
	c, err := d.scan.peek()
	if err != nil {
		return 0, false, err
	}
	switch c {
	case '{', '[':
		return -1, true, d.scan.skip()
	case '"':
		text, err := d.scan.str()
		return digits(text), true, err
	}
	lit, err := d.scan.literal()
	if err != nil {
		return 0, false, err
	}
	switch string(lit) {
	case "null":
		return 0, false, nil
	case "true":
		return 1, true, nil
	case "false":
		return 0, true, nil
	}
	return number(lit), true, nil
}

// digits is the value of a text of digits only, or -1.
func digits(text []byte) int {
	if len(text) == 0 || len(text) > 10 {
		return -1
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	if n > math.MaxInt32 {
		return -1
	}
	return n
}

func number(lit []byte) int {
	f, err := strconv.ParseFloat(string(lit), 64)
	if err != nil || !(f > -1 && f <= math.MaxInt32) {
		return -1
	}
	return int(f)
}
