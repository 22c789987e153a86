package configs

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String is "***", or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString masks what %#v prints.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText masks the secret in JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the shortest exact form: "64KiB", "1500B", "0".
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits()[:4] {
		if s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

type sizeUnit struct {
	name  string
	bytes Size
}

// sizeUnits are binary units, the largest first, then nginx's letters.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"B", 1},
		{"g", 1 << 30},
		{"m", 1 << 20},
		{"k", 1 << 10},
		{"G", 1 << 30},
		{"M", 1 << 20},
		{"K", 1 << 10},
		{"", 1},
	}
}

// parseScalar reads text as a value of type t and checks it against r.
func parseScalar(t reflect.Type, r rules, text string) (reflect.Value, *valueError) {
	v, err := parseKind(t, text)
	if err == nil {
		err = checkRange(v, r)
	}
	if err == nil && r.enum != nil && !slices.Contains(r.enum, text) && !slices.Contains(r.also, text) {
		err = &valueError{hint: nearest(text, slices.Concat(r.enum, r.also))}
	}
	if err == nil {
		return v, nil
	}
	if err.found == "" {
		err.found = strconv.Quote(text)
	}
	if err.allowed == "" {
		err.allowed = allowedFor(t, r)
	}
	return v, err
}

func parseKind(t reflect.Type, text string) (reflect.Value, *valueError) {
	v := reflect.New(t).Elem()
	switch kindOf(t) {
	case kindBool:
		if text != "true" && text != "false" {
			return v, &valueError{hint: boolHint(text)}
		}
		v.SetBool(text == "true")
	case kindInt:
		n, err := strconv.Atoi(text)
		if err != nil || strings.HasPrefix(text, "+") {
			return v, &valueError{}
		}
		v.SetInt(int64(n))
	case kindFloat:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) || strings.HasPrefix(text, "+") {
			return v, &valueError{}
		}
		v.SetFloat(x)
	case kindDuration:
		d, err := parseDuration(text)
		if err != nil {
			return v, err
		}
		v.SetInt(int64(d))
	case kindSize:
		n, err := parseSize(text)
		if err != nil {
			return v, err
		}
		v.SetInt(int64(n))
	case kindPrefix:
		p, ok := parsePrefix(text)
		if !ok {
			return v, &valueError{}
		}
		v.Set(reflect.ValueOf(p))
	case kindServer:
		s, err := ParseServer(text)
		if err != nil {
			return v, asValueError(err)
		}
		v.Set(reflect.ValueOf(s))
	default:
		v.SetString(text)
	}
	return v, nil
}

// boolHint knows the words that were booleans before YAML 1.2.
func boolHint(text string) string {
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1":
		return "true"
	case "no", "off", "n", "0":
		return "false"
	}
	return nearest(text, []string{"true", "false"})
}

// parseDuration reads Go's form and nothing else: a number without a unit
// means seconds to one and milliseconds to another.
func parseDuration(text string) (time.Duration, *valueError) {
	if text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.HasPrefix(text, "+") {
		hint := ""
		if _, err := strconv.ParseUint(text, 10, 32); err == nil {
			hint = text + "s"
		}
		return 0, &valueError{hint: hint}
	}
	return d, nil
}

func parseSize(text string) (Size, *valueError) {
	digits := strings.TrimRight(text, "BKMGTikmg")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, &valueError{hint: sizeHint(text)}
	}
	unit := text[len(digits):]
	for _, u := range sizeUnits() {
		if u.name != unit {
			continue
		}
		if n > uint64(math.MaxInt64)/uint64(u.bytes) {
			return 0, &valueError{}
		}
		return Size(n) * u.bytes, nil
	}
	return 0, &valueError{hint: sizeHint(text)}
}

// sizeHint turns "64KB", "64kb" and "64 KiB" into what they most likely mean.
func sizeHint(text string) string {
	digits := strings.TrimRight(text, "BbIiKkMmGgTt ")
	if _, err := strconv.ParseUint(digits, 10, 63); err != nil {
		return ""
	}
	unit := strings.ToUpper(strings.TrimSpace(text[len(digits):]))
	for _, u := range []string{"TiB", "GiB", "MiB", "KiB", "B"} {
		if unit == strings.ToUpper(u) || unit == u[:1]+"B" {
			return digits + u
		}
	}
	return ""
}

// parsePrefix reads a network or a single address. Bits below the mask are
// cleared; a network of v4-mapped addresses is that of the v4 ones, since
// clients are unmapped too.
func parsePrefix(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

func asValueError(err error) *valueError {
	if v, ok := err.(*valueError); ok {
		return v
	}
	return &valueError{allowed: err.Error()}
}

// checkRange compares numbers with the bounds of the tags.
func checkRange(v reflect.Value, r rules) *valueError {
	if r.min != "" {
		if low, err := parseKind(v.Type(), r.min); err == nil && amount(v) < amount(low) {
			return &valueError{}
		}
	}
	if r.max != "" {
		if high, err := parseKind(v.Type(), r.max); err == nil && amount(v) > amount(high) {
			return &valueError{}
		}
	}
	return nil
}

func amount(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	return float64(v.Int())
}

// allowedFor says in words what an option of that type takes.
func allowedFor(t reflect.Type, r rules) string {
	switch kindOf(t) {
	case kindBool:
		return "true or false"
	case kindInt:
		return "a whole number" + rangeText(r)
	case kindFloat:
		return "a number" + rangeText(r)
	case kindDuration:
		return `a duration such as "500ms", "30s" or "1h"` + rangeText(r)
	case kindSize:
		return `a size such as 512, "64KiB" or "10MiB"` + rangeText(r)
	case kindPrefix:
		return "a network such as 10.0.0.0/8, or an address"
	case kindServer:
		return allowedServer
	case kindList:
		return "a list, each " + allowedFor(t.Elem(), r)
	case kindSection:
		if f, ok := shortField(t); ok {
			return allowedFor(f.typ, f.rules) + " or a mapping"
		}
		return "a mapping of " + strings.Join(fieldNames(fieldsOf(t)), ", ")
	case kindNamed:
		return "a mapping from names to mappings"
	case kindTexts:
		return "a mapping from names to texts"
	}
	if r.enum == nil {
		return "a text"
	}
	return enumText(r.enum)
}

func enumText(enum []string) string {
	words := slices.Clone(enum)
	for i, w := range words {
		if w == "" {
			words[i] = `""`
		}
	}
	return strings.Join(words, ", ")
}

func rangeText(r rules) string {
	switch {
	case r.min != "" && r.max != "":
		return fmt.Sprintf(" from %s to %s", r.min, r.max)
	case r.min != "":
		return " of at least " + r.min
	case r.max != "":
		return " of at most " + r.max
	}
	return ""
}

// formatDuration is short and exact: "75s", "5m" or "1h30m", not "1m15s" or
// "5m0s".
func formatDuration(d time.Duration) string {
	if d < 2*time.Minute && d%time.Second == 0 {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
